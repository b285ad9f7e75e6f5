"""Where the time of a cold `dvc repro` goes, stage by stage, on the embedded data.

    python benchmarks/stages.py

Runs in a fresh clone of HEAD in a temporary folder; prints seconds a stage and, beside them, what starting Python and
importing torch alone cost there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Clone, run, print."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": f"{folder}/site",
            "PYTHONUNBUFFERED": "1",
        }
        (clone / "dvc.lock").unlink(missing_ok=True)
        imports = {
            name: timed([sys.executable, "-c", f"import {name}"]) for name in ("sys", "torch", "sklearn.ensemble")
        }
        began = last = time.perf_counter()
        stages: list[tuple[str, float]] = []
        name = "dvc starts"
        with subprocess.Popen(
            ["dvc", "repro"], cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            assert run.stdout is not None
            for line in run.stdout:
                started = re.match(r"Running stage '(.+)'", line)
                if started:
                    now = time.perf_counter()
                    stages.append((name, now - last))
                    name, last = started[1], now
        stages.append((name, time.perf_counter() - last))
        if run.returncode:
            sys.exit("error: dvc repro failed in the clone; run it in your workspace to see why")
        whole = time.perf_counter() - began
        again = timed(["dvc", "repro"], cwd=clone, env=environment)
    for name, seconds in stages:
        print(f"{name:18} {seconds:6.1f} s")
    print(f"{'whole cold run':18} {whole:6.1f} s")
    print(f"{'second dvc repro':18} {again:6.1f} s")
    for name, seconds in imports.items():
        print(f"{'python, import ' + name:32} {seconds:6.2f} s")


def timed(command: list[str], **options: object) -> float:
    """Wall seconds of a command."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
