"""Seconds by stage and memory of `mia answers`: 60,000 records of 10 classes, without shadows and with 64.

    python benchmarks/answers.py [--records 60000] [--classes 10] [--shadows 0 64] [--against 4adfdd7]

Answers are made up and written as Parquet, probabilities in a column a class, each shadow trained on half of the
records. The audit runs as a user runs it, a process of its own with two threads and two forks; what is measured is that
process and its forks, imports included. Of each stage: seconds of the wall, of the processor (its forks' too), and how
much memory had been taken at most by its end; "given" is reading and writing answers between `split` and the features.
--against: the same audit by the code of that revision first, in the same run on the same files. On a machine that does
something else too the seconds of the processor are the ones to compare.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
STAGES = """
import importlib, os, resource, sys, time
from pathlib import Path
from mia.audits import given, quick
def processor():
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
def line(name, wall, cpu):
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{name:16}{wall:8.1f} s{cpu:8.1f} CPU s{most / 2**20:8.2f} GiB", file=sys.stderr, flush=True)
def timed(name, main):
    def run(*arguments):
        wall, cpu = time.perf_counter(), processor()
        main(*arguments)
        line(name, time.perf_counter() - wall, processor() - cpu)
    return run
for stage in (*quick.BEFORE, *quick.AFTER):
    module = importlib.import_module(f"stages.{stage}")
    module.main = timed(stage, module.main)
for name in ("train_target", "train_shadows", "query_target", "query_shadows"):
    setattr(given, name, timed(f"given {name}"[:15], getattr(given, name)))
line("imports", time.perf_counter() - float(sys.argv[4]), processor())
target, shadows, out, _ = sys.argv[1:]
quick.run(Path(target), Path(shadows) if shadows else None, Path(out))
"""


def table(rng: np.random.Generator, labels: np.ndarray, member: np.ndarray, classes: int) -> pa.Table:
    """One model's answers about every record; members are answered with a somewhat larger margin."""
    logits = rng.normal(size=(len(labels), classes)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += 3 + member
    exponents = np.exp(logits)
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    columns = {f"p_{name}": probabilities[:, name] for name in range(classes)}
    return pa.table({"id": np.arange(len(labels)), "label": labels, "member": member, **columns})


def write(folder: Path, records: int, classes: int, shadows: int) -> None:
    """target.parquet and, where there are shadows, shadows.parquet in long form."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, records)
    pq.write_table(table(rng, labels, np.arange(records) % 2 == 0, classes), folder / "target.parquet")
    writer = None
    for number in range(shadows):
        rows = table(rng, labels, rng.permutation(records) < records // 2, classes)
        rows = rows.append_column("model", pa.array([f"shadow{number}"] * records))
        writer = writer or pq.ParquetWriter(folder / "shadows.parquet", rows.schema)
        writer.write_table(rows)
    if writer:
        writer.close()


def measure(folder: Path, shadows: int, source: Path, name: str) -> float:
    """Print the stages and the whole of one audit by the code in `source`; return its seconds."""
    target, many = folder / "target.parquet", folder / "shadows.parquet"
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MIA_PROCESSES": "2", "PYTHONPATH": str(source / "src")}
    print(f"{shadows} shadows, {name}:", flush=True)
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        command = [sys.executable, "-c", STAGES, str(target), str(many) if shadows else "", out, str(start)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    print(
        f"{'whole':16}{wall:8.1f} s{used.ru_utime + used.ru_stime:8.1f} CPU s{used.ru_maxrss / 2**20:8.2f} GiB, "
        f"exit code {os.waitstatus_to_exitcode(status)}, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return wall


def checked_out(revision: str, folder: Path) -> Path:
    """This repository at a revision."""
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", ROOT, folder], check=True)
    if subprocess.run(["git", "checkout", "--quiet", revision], cwd=folder).returncode:
        sys.exit(f"error: --against: no revision {revision!r} in this repository")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--shadows", type=int, nargs="+", default=[0, 64])
    parser.add_argument("--against", metavar="REV", help="a revision whose code is run before the working tree's")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sources = {"working tree": ROOT}
        if arguments.against:
            sources = {arguments.against: checked_out(arguments.against, Path(folder) / "against"), **sources}
        for shadows in arguments.shadows:
            write(Path(folder), arguments.records, arguments.classes, shadows)
            seconds = [measure(Path(folder), shadows, source, name) for name, source in sources.items()]
            if len(seconds) > 1:
                print(f"{shadows} shadows: a ratio of {seconds[0] / seconds[1]:.2f}\n", flush=True)


if __name__ == "__main__":
    main()
