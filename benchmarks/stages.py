"""Where the time of a cold `dvc repro` goes, stage by stage, on the embedded data.

    python benchmarks/stages.py
    python benchmarks/stages.py --against 087504f

Runs in a fresh clone in a temporary folder, with an empty cache; prints seconds a stage and, beside them, what starting
Python and importing torch alone cost there. --against: the same of that revision first, and the ratio of the whole. The
working tree counts as it is, changes that are not committed and files that git does not know included. Both run with
this Python's packages, their own code, and nothing else at the same time. A pair is as good as the machine is idle.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
Seconds = dict[str, float]


def main() -> None:
    """Clone, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="REV", help="a revision to be run before the working tree")
    against = parser.parse_args().against
    with tempfile.TemporaryDirectory() as folder:
        imports = {
            name: timed([sys.executable, "-c", f"import {name}"]) for name in ("sys", "torch", "sklearn.ensemble")
        }
        clones = {"working tree": checked_out(None, Path(folder) / "working")}
        if against:
            clones = {against: checked_out(against, Path(folder) / "against"), **clones}
        columns = {name: cold_run(clone, name) for name, clone in clones.items()}
    show(columns)
    for name, seconds in imports.items():
        print(f"{'python, import ' + name:32} {seconds:6.2f} s")


def checked_out(revision: str | None, folder: Path) -> Path:
    """A clone of this repository at a revision; of the working tree as it is, where that is None."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
    if revision:
        commit = subprocess.run(
            ["git", "rev-parse", "--verify", f"{revision}^{{commit}}"], cwd=ROOT, capture_output=True, text=True
        )
        if commit.returncode:
            sys.exit(f"error: --against: no revision {revision!r} in this repository")
        subprocess.run(["git", "checkout", "--quiet", commit.stdout.strip()], cwd=clone, check=True)
    else:
        names = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        tracked = subprocess.run(names, cwd=clone, check=True, capture_output=True, text=True).stdout
        for name in filter(None, tracked.split("\0")):
            (clone / name).unlink(missing_ok=True)
        present = subprocess.run(names, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, present.split("\0")):
            if (ROOT / name).is_file():
                (clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, clone / name)
    (clone / "dvc.lock").unlink(missing_ok=True)
    return clone


def cold_run(clone: Path, name: str) -> Seconds:
    """Seconds of each stage of `dvc repro` with an empty cache, of the whole, and of a second run that has no work."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "src"),  # before an editable install, whose code is the workspace's
        "DVC_SITE_CACHE_DIR": str(clone.parent / "site"),
        "MIA_CACHE": str(clone.parent / "shared"),
        "PYTHONUNBUFFERED": "1",
    }
    for variable in ("PYTHONDONTWRITEBYTECODE", "DVC_STAGE"):
        environment.pop(variable, None)
    began = last = time.perf_counter()
    stages: Seconds = {}
    stage, output = "dvc starts", []
    with subprocess.Popen(
        ["dvc", "repro"], cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            output.append(line)
            started = re.match(r"Running stage '(.+)'", line)
            if started:
                now = time.perf_counter()
                stages[stage] = now - last
                stage, last = started[1], now
    stages[stage] = time.perf_counter() - last
    if run.returncode:
        sys.exit(f"{''.join(output[-20:])}error: dvc repro failed at {stage} of {name}")
    stages["whole cold run"] = time.perf_counter() - began
    stages["second dvc repro"] = timed(["dvc", "repro"], cwd=clone, env=environment)
    return stages


def show(columns: dict[str, Seconds]) -> None:
    """A row a stage, a column a revision; of two, how many times faster the second is."""
    print(f"{'seconds':18}" + "".join(f" {name:>14}" for name in columns))
    for stage in dict.fromkeys(stage for column in columns.values() for stage in column):
        row = [f"{column[stage]:14.1f}" if stage in column else f"{'-':>14}" for column in columns.values()]
        print(f"{stage:18} {' '.join(row)}")
    if len(columns) == 2:
        before, after = (column["whole cold run"] for column in columns.values())
        print(f"ratio of the whole {before / after:.2f}")


def timed(command: list[str], **options: object) -> float:
    """Wall seconds of a command."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
