"""What DVC itself takes of a run with 1, 8 or 64 blocks of shadows: why 256 shadows stand in blocks of 32.

    python benchmarks/blocks.py [--blocks 1 8 64] [--models 256] [--seconds-per-model 20] [--exp-run] [--out FILE.json]

In a copy of the workspace in a temporary folder every stage's command is replaced by a line of shell that writes a few
bytes to each path that the stage declares, so that what is left is DVC: reading dvc.yaml, hashing the dependencies, its
cache, and dvc.lock, which it writes anew after every stage. Hashing what the stages really write comes on top and is
the same for any number of blocks.

"share" is what DVC takes of a first run in which a shadow costs so many seconds, one after the other, and nothing else
costs any; "lost" is the training that is done again when a block is interrupted at its end. Few blocks lose much there,
many blocks wait for DVC.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
COMMANDS = Path("commands")  # of the copy: a script a stage
WRITES = ("outs", "metrics", "plots")
UP_TO_DATE = "Data and pipelines are up to date."


@dataclass(frozen=True)
class Row:
    """Seconds with so many blocks. commands: of what DVC starts, alone. None: not measured."""

    blocks: int
    stages: int
    repro: float
    commands: float
    again: float
    status: float
    exp_run: float | None
    share: float
    exp_run_share: float | None
    lost: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--models", type=int, default=256, help="shadows, spread over the blocks")
    parser.add_argument("--seconds-per-model", type=float, default=20)
    parser.add_argument("--exp-run", action="store_true", help="`dvc exp run` too, which takes longer than `dvc repro`")
    parser.add_argument("--out", type=Path, help="a JSON file, written anew after every number of blocks")
    given = parser.parse_args()
    if min(given.blocks) < 1 or max(given.blocks) > given.models:
        parser.error(f"--blocks: expected 1 to --models {given.models}, got {' '.join(map(str, given.blocks))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the temporary folder is removed then too
    training = given.models * given.seconds_per_model
    print(f"share and lost: {given.models} shadows of {given.seconds_per_model:g} s each, {training:g} s in all\n")
    print(
        "| blocks | stages | dvc repro, s | a stage, s | again, s | dvc status, s | dvc exp run, s "
        "| share of repro | of exp run | lost, s |"
    )
    print("| ---: " * 10 + "|", flush=True)
    rows = []
    for blocks in given.blocks:
        rows.append(measured(blocks, given.models, given.seconds_per_model, with_exp_run=given.exp_run))
        print(line(rows[-1]), flush=True)
        if given.out:
            given.out.write_text(json.dumps(report(given, rows), indent=1) + "\n")


def measured(blocks: int, models: int, seconds_per_model: float, *, with_exp_run: bool) -> Row:
    """Run the pipeline with so many blocks, in folders of its own."""
    with tempfile.TemporaryDirectory(prefix="blocks-") as name:
        copy = workspace(Path(name) / "repro", blocks)
        stages = dvc(copy, "stage", "list", "--name-only")[0].split()
        _, commands = alone(copy, stages)
        output, repro = dvc(copy, "repro")
        expect(output.count("Running stage"), len(stages), output)
        output, again = dvc(copy, "repro")
        expect(UP_TO_DATE in output, True, output)
        output, status = dvc(copy, "status")
        expect(UP_TO_DATE in output, True, output)
        exp_run = None
        if with_exp_run:
            output, exp_run = dvc(workspace(Path(name) / "exp", blocks), "exp", "run")
            expect(output.count("Running stage"), len(stages), output)
    training = models * seconds_per_model
    return Row(
        blocks=blocks,
        stages=len(stages),
        repro=round(repro, 2),
        commands=round(commands, 2),
        again=round(again, 2),
        status=round(status, 2),
        exp_run=None if exp_run is None else round(exp_run, 2),
        share=round(repro / (repro + training), 5),
        exp_run_share=None if exp_run is None else round(exp_run / (exp_run + training), 5),
        lost=-(-models // blocks) * seconds_per_model,
    )


# -- the copy that DVC runs in ---------------------------------------------------------------------------------------


def workspace(copy: Path, blocks: int) -> Path:
    """A repository of what git tracks or would track here, as it stands, with so many blocks and nothing computed."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and name != "dvc.lock" and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    declared, params = read(copy / "dvc.yaml"), read(copy / "params.yaml")
    params["shadow"]["blocks"] = list(range(blocks))
    YAML().dump(params, copy / "params.yaml")
    (copy / COMMANDS).mkdir()
    for name, stage in declared["stages"].items():
        each = stage.get("do", stage)
        (copy / COMMANDS / f"{name}.sh").write_text(script(each))
        each["cmd"] = f"sh {COMMANDS}/{name}.sh" + (" ${item}" if "do" in stage else "")
    YAML().dump(declared, copy / "dvc.yaml")
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "as it stands"]):
        subprocess.run(["git", *command], cwd=copy, env=environment(copy), check=True)
    return copy


def read(path: Path) -> Any:
    """A YAML file as DVC reads it, to be written again."""
    return YAML().load(path.read_text(encoding="utf-8"))


def script(stage: dict[str, Any]) -> str:
    """Shell that writes its own name to every path that a stage declares; a path without a suffix is a folder.

    $1: the block.
    """
    entries = [entry for kind in WRITES for entry in stage.get(kind, [])]
    paths = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    files = [path if Path(path).suffix else f"{path}/file.json" for path in paths]
    folders = sorted({str(Path(path).parent) for path in files})
    lines = [f"mkdir -p {' '.join(folders)}", *(f"echo {path} > {path}" for path in files)]
    return "\n".join(lines).replace("${item}", "$1") + "\n"


def environment(copy: Path) -> dict[str, str]:
    """Nothing of the user's own settings or caches of DVC and git takes part."""
    beside = copy.parent
    who = {f"GIT_{role}_{what}": "benchmark" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {
        **os.environ,
        **who,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "DVC_SITE_CACHE_DIR": str(beside / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(beside / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(beside / "system"),
        "DVC_NO_ANALYTICS": "1",
    }


# -- measuring -------------------------------------------------------------------------------------------------------


def dvc(copy: Path, *arguments: str) -> tuple[str, float]:
    """What a DVC command says, and its wall seconds."""
    return timed(["dvc", *arguments], copy)


def alone(copy: Path, stages: list[str]) -> tuple[str, float]:
    """What DVC starts, started without it in a folder of its own, one after the other; as `dvc`."""
    apart = copy.parent / "alone"
    shutil.copytree(copy / COMMANDS, apart / COMMANDS)
    started = [f"sh {COMMANDS}/{name}.sh {item}" for name, _, item in (stage.partition("@") for stage in stages)]
    return timed(["sh", "-c", "\n".join(["set -e", *started])], apart)


def timed(command: list[str], folder: Path) -> tuple[str, float]:
    began = time.perf_counter()
    run = subprocess.run(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    seconds = time.perf_counter() - began
    if run.returncode:
        sys.exit(f"{run.stdout}error: {' '.join(command)} ended with {run.returncode}")
    return run.stdout, seconds


def expect(got: object, expected: object, output: str) -> None:
    """Refuse to print a time of something else than what was meant."""
    if got != expected:
        sys.exit(f"{output}error: expected {expected}, got {got}: this is not the run that was to be timed")


def line(row: Row) -> str:
    exp_run = ("", "") if row.exp_run is None else (f"{row.exp_run:.1f}", f"{row.exp_run_share:.2%}")
    return (
        f"| {row.blocks} | {row.stages} | {row.repro:.1f} | {row.repro / row.stages:.3f} | {row.again:.1f} "
        f"| {row.status:.1f} | {exp_run[0]} | {row.share:.2%} | {exp_run[1]} | {row.lost:g} |"
    )


def report(given: argparse.Namespace, rows: list[Row]) -> dict[str, Any]:
    """What was asked for, with which DVC, and what was measured."""
    return {
        "models": given.models,
        "seconds_per_model": given.seconds_per_model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "dvc": version("dvc"),
        "blocks": [asdict(row) for row in rows],
    }


if __name__ == "__main__":
    main()
