"""Peak memory of what holds most: a block of 32 shadows of 60,000 CIFAR-sized images, and an audit of 256 of them.

    python benchmarks/memory.py [--parts block together audit] [--out FILE.json]
    python benchmarks/memory.py --models 16 --per-block 4 --records 6000        # a trial of minutes

block: train_shadows and query_shadows, each model by itself; together: train_shadows with all models of the block in
the same steps. One epoch of the CNN on made-up images. audit: build_features and what follows up to evaluate, on
made-up answers of every block, first with attacks.run=all, then as params.yaml has it where that is something else.
select_attack and report are left out: no attack needs them here, and what they read does not grow with the shadows.
attacker.knowledge is `population`; with the others a model answers about the attacker's records too.

Every stage runs as a user runs it, a process of its own, in a temporary folder. "all" is the largest sum over that
process and those it starts of what each holds in memory, a page that several hold shared out among them (PSS), seen
five times a second: run this where no other Python runs, whose share of the libraries would be missing. "largest" is
the largest resident memory of one of them, as the kernel kept it, libraries in full. Needs Linux; a GPU's memory is not
counted. MIA_PROCESSES says how many models are trained at once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from ruamel.yaml import YAML

from mia import params, paths, seeds
from mia.catalogue import wanted
from mia.data import splits, stored_records
from mia.data.membership import MEMBERSHIP, membership_table
from mia.data.records import Records
from mia.models import networks
from mia.models.learning import LEARNING
from mia.models.logits import SIGNALS
from mia.store import parquet

ROOT = Path(__file__).parent.parent
PARTS = ("block", "together", "audit")
SCORING = ("fit_attack", "fit_quantile", "fit_stacked", "score", "evaluate")
CLASSES, SIDE = 10, 32
EVERY = 0.2  # seconds between two looks at the processes
MIB = 2**20
# Bytes on disk, as measured: a model of the CNN; a row of signals, membership with it; of margins; of scores.
MODEL, SIGNAL, MARGIN, SCORE = 2_200_000, 41, 11, 24


@dataclass(frozen=True)
class Row:
    """What one stage took. all_mib, processes: at the moment when all processes together held most."""

    part: str
    stage: str
    all_mib: float
    processes: int
    largest_mib: float
    seconds: float
    wrote_mib: float


def main() -> None:
    given = arguments()
    blocks = given.models // given.per_block
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was begun is ended and removed then too
    with tempfile.TemporaryDirectory(prefix="memory-") as name:
        folder = Path(name)
        refuse_without_disk(given, folder)
        changes: dict[str, Any] = {
            "audit": "cifar10",
            "attacker.knowledge": "population",
            "target.epochs": 1,
            "shadow.blocks": list(range(blocks)),
            "shadow.per_block": given.per_block,
            "shadow.together": 1,
            "query.views": given.views,
        }
        default = project_params()["attacks"]["run"]
        write_params(folder, changes)
        aside(make_images, folder, given.records)
        rows: list[Row] = []

        def measured(part: str, stage: str, *options: str) -> None:
            rows.append(measure(folder, part, stage, *options))
            print(line(rows[-1]), flush=True)
            if given.out:
                given.out.write_text(json.dumps(report(given, rows), indent=1) + "\n")

        print(f"{blocks} x {given.per_block} shadows, {given.records} records, views: {given.views}\n")
        print("| part | stage | all, MiB | processes | largest, MiB | seconds | wrote, MiB |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
        if "block" in given.parts:
            measured("block", "train_shadows", "--block", "0")
            measured("block", "query_shadows", "--block", "0")
        if "together" in given.parts:
            write_params(folder, {**changes, "shadow.together": given.per_block})
            measured("together", "train_shadows", "--block", "0")
        if "audit" in given.parts:
            shutil.rmtree(folder / "models", ignore_errors=True)
            aside(make_answers, folder)
            every = [name for name in wanted("all") if name != "glira"]  # it trains, and what is asked here is made up
            write_params(folder, {**changes, "attacks.run": every})
            measured("audit", "build_features")
            for run in [every, *([] if default == "all" else [default])]:
                write_params(folder, {**changes, "attacks.run": run})
                for stage in SCORING:
                    measured("audit: all" if run == every else "audit: as in params.yaml", stage)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=256, help="shadows of the audit")
    parser.add_argument("--per-block", type=int, default=32)
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--views", type=int, default=1, choices=[1, 2, 18])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, help="a JSON file, written anew after every stage")
    given = parser.parse_args()
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("needs Linux 4.14 or newer: it reads /proc/PID/smaps_rollup")
    given.per_block = min(given.per_block, given.models)
    if given.per_block < 1 or given.models % given.per_block:
        parser.error(f"--models: expected a multiple of --per-block {given.per_block}, got {given.models}")
    return given


def refuse_without_disk(given: argparse.Namespace, folder: Path) -> None:
    """One line and the end, where the disk has not what the parts asked for will write, with a fifth to spare."""
    answered = given.records * given.views
    data = 2 * given.records * (SIDE * SIDE * 3 + 100)
    block = given.per_block * (MODEL + answered * SIGNAL)
    features = project_params()["features"]["max_records"] * 8 * (CLASSES + 10)
    scores = len(wanted("all")) * (given.records + 160_000) * SCORE
    audit = given.models * answered * (SIGNAL + MARGIN) + given.records * 400 + features + 2 * scores
    needed = 1.2 * (data + max(block, audit if "audit" in given.parts else 0))
    free = shutil.disk_usage(folder).free
    if free < needed:
        sys.exit(
            f"error: {folder.parent} has {free / 2**30:.1f} GiB free, this needs {needed / 2**30:.1f}; "
            "set TMPDIR to a folder on another disk, or lower --models or --records"
        )


# -- the folder that stages run in -----------------------------------------------------------------------------------


def project_params() -> Any:
    """params.yaml as ruamel reads it to write it again."""
    return YAML().load((ROOT / paths.PARAMS).read_text(encoding="utf-8"))


def write_params(folder: Path, changes: dict[str, Any]) -> None:
    """The project's params.yaml with some values, dotted names, changed."""
    values = project_params()
    for name, value in changes.items():
        *above, last = name.split(".")
        section = values
        for part in above:
            section = section[part]
        section[last] = value
    YAML().dump(values, folder / paths.PARAMS)


def aside(work: Callable[..., None], folder: Path, *given: object) -> None:
    """Do some work in a process of its own, so that this one stays smaller than the stages.

    The kernel counts what a process held when it was forked into the largest memory of the program it then becomes.
    """
    process = multiprocessing.get_context("spawn").Process(target=_in_folder, args=(work, folder, *given))
    process.start()
    try:
        process.join()
    finally:
        process.kill()
        process.join()
    if process.exitcode:
        sys.exit(f"error: {work.__name__} ended with {process.exitcode}")


def _in_folder(work: Callable[..., None], folder: Path, *given: object) -> None:
    os.chdir(folder)
    work(*given)


def make_images(records: int) -> None:
    """A population of noisy images, each class with a picture of its own, and the same as the attacker's."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, records)
    pictures = rng.integers(0, 128, (CLASSES, SIDE, SIDE, 3), np.uint8)
    pixels = pictures[labels]
    pixels += rng.integers(0, 128, pixels.shape, np.uint8)
    names = np.array([f"train/{row}.png" for row in range(records)])
    classes = tuple(f"class {label}" for label in range(CLASSES))
    stored_records.save(paths.POPULATION, Records(pixels, labels, classes, None, names))
    shutil.copytree(paths.POPULATION, paths.ATTACKER)
    given = params.load(paths.PARAMS)
    networks.declare(paths.NETWORK, given.audit.recipe.architecture)


def make_answers() -> None:
    """What split, train_target, query_target, train_shadows and query_shadows write but for models, made up.

    Records differ in difficulty, and a model is surer of its members.
    """
    given = params.load(paths.PARAMS)
    known = stored_records.load_records(paths.POPULATION)
    labels, group = known["label"].to_numpy(np.int64), known["group"].to_numpy()
    rng = np.random.default_rng(1)
    difficulty = rng.normal(1, 3, len(labels))

    def said(model_id: int, is_member: NDArray[np.bool_]) -> pa.Table:
        of_views = []
        for view in range(given.query.views):
            logits = rng.normal(0, 1, (len(labels), CLASSES)).astype(np.float32)
            logits[np.arange(len(labels)), labels] += difficulty + 1.5 * is_member
            keys = {"model_id": model_id, "source": "population", "sample_id": np.arange(len(labels)), "view": view}
            rows = pa.Table.from_pandas(
                pd.DataFrame(keys).assign(label=labels, holds="posteriors"), preserve_index=False
            )
            of_views.append(rows.append_column("logits", parquet.list_column(logits)))
        return pa.concat_tables(of_views)

    def membership(model_id: int, is_member: NDArray[np.bool_]) -> pd.DataFrame:
        return membership_table(model_id, "population", np.flatnonzero(is_member), np.flatnonzero(~is_member))

    def learning(*model_ids: int) -> pd.DataFrame:
        curve = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.6, "test_accuracy": 0.5}
        return pd.DataFrame({"model_id": list(model_ids), **curve})

    trained = splits.draw_half(group, seeds.generator(given.seed, "target membership"))
    parquet.write(paths.TARGET_MEMBERSHIP, membership(0, trained), MEMBERSHIP)
    parquet.write(paths.TARGET_SIGNALS, said(0, trained), SIGNALS)
    parquet.write(paths.TARGET_LEARNING, learning(0), LEARNING)
    per_block = given.audit.sizes.per_block
    for block in given.shadow.blocks:
        ids = range(block * per_block + 1, (block + 1) * per_block + 1)
        memberships = []
        with parquet.writer(paths.shadow_signals(block), SIGNALS) as add:
            for model_id in ids:
                trained = splits.draw_shadow_half(
                    group, index=model_id - 1, rng_of=lambda pair: seeds.generator(given.seed, "shadow records", pair)
                )
                memberships.append(membership(model_id, trained))
                add(said(model_id, trained))
        parquet.write(paths.shadow_membership(block), pd.concat(memberships, ignore_index=True), MEMBERSHIP)
        parquet.write(paths.shadow_learning(block), learning(*ids), LEARNING)


# -- measuring -------------------------------------------------------------------------------------------------------


def measure(folder: Path, part: str, stage: str, *options: str) -> Row:
    """Run a stage in a folder, and look at its processes until it has ended."""
    before = written(folder)
    most, processes, largest = 0.0, 0, 0.0
    with started(folder, stage, *options) as (process, log):
        began = time.perf_counter()
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            held = [one for pid in family(process.pid) if (one := memory(pid))]
            largest = max([largest, *(peak for _, peak in held)])
            if (now := sum(pss for pss, _ in held)) > most:
                most, processes = now, len(held)
            time.sleep(EVERY)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            print(log.read_text(errors="replace"), end="", file=sys.stderr)
            sys.exit(f"error: {stage} ended with {process.returncode} after {seconds:.0f} s, at most {most:.0f} MiB")
    largest = max(largest, usage.ru_maxrss / 1024)  # KiB; of the stage and of each process that it has waited for
    wrote = sum(found[1] for path, found in written(folder).items() if found != before.get(path))
    return Row(part, stage, round(most), processes, round(largest), round(seconds, 1), round(wrote / MIB, 1))


@contextmanager
def started(folder: Path, stage: str, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A running stage and the file with what it says; killed when the block ends before it does."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "src" / "stage.py"), stage, *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, log
    finally:
        if process.returncode is None:
            process.kill()  # its workers end with it
            process.wait()


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        children.setdefault(parent, []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def memory(pid: int) -> tuple[float, float] | None:
    """A process's share of memory now (PSS, swap counted) and its largest resident memory, MiB; None: it has ended."""
    try:
        shares = re.findall(r"^(?:Pss|SwapPss): +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        peak = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return (sum(map(int, shares)) / 1024, int(peak[0]) / 1024) if shares and peak else None


def written(folder: Path) -> dict[Path, tuple[int, int]]:
    """When each file of data, models, metrics and plots was written, and its bytes."""
    files = (path for path in folder.glob("*/**/*") if path.is_file())
    return {path: ((found := path.stat()).st_mtime_ns, found.st_size) for path in files}


def line(row: Row) -> str:
    return (
        f"| {row.part} | {row.stage} | {row.all_mib:.0f} | {row.processes} | {row.largest_mib:.0f} "
        f"| {row.seconds:.1f} | {row.wrote_mib:.1f} |"
    )


def report(given: argparse.Namespace, rows: list[Row]) -> dict[str, Any]:
    """What was asked for, on what machine, and what was measured."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "models": given.models,
        "per_block": given.per_block,
        "records": given.records,
        "views": given.views,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_bytes / 2**30, 1),
        "python": platform.python_version(),
        "environment": {name: value for name, value in os.environ.items() if re.fullmatch(r"MIA_\w+|OMP_\w+", name)},
        "stages": [asdict(row) for row in rows],
    }


if __name__ == "__main__":
    main()
