"""Seconds and memory of `mia answers`: 60,000 records of 10 classes, without shadows and with 64.

    python benchmarks/answers.py [--records 60000] [--classes 10] [--shadows 0 64] [--stages]

Answers are made up and written as Parquet, probabilities in a column a class, each shadow trained on half of the
records. The audit runs as a user runs it, a process of its own with two threads; what is measured is that process
alone, imports included. "reading" is what reading the files and checking them takes, before any stage, in this process.
--stages: seconds of each stage too.
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

from mia.data import answers

STAGES = """
import sys, time
from pathlib import Path
from mia.audits import quick
import importlib
def timed(name, main):
    def run(*arguments):
        wall, processor = time.perf_counter(), time.process_time()
        main(*arguments)
        took = time.perf_counter() - wall, time.process_time() - processor
        print(f"{name:16}{took[0]:8.1f} s{took[1]:8.1f} CPU s", file=sys.stderr)
    return run
for stage in (*quick.BEFORE, *quick.AFTER):
    module = importlib.import_module(f"stages.{stage}")
    module.main = timed(stage, module.main)
target, shadows, out = sys.argv[1:]
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


def measure(folder: Path, shadows: int, stages: bool) -> None:
    """Print one line: what reading takes, and what the whole audit takes."""
    target, many = folder / "target.parquet", folder / "shadows.parquet"
    start, processor = time.perf_counter(), time.process_time()
    given = answers.read_target(target)
    if shadows:
        answers.read_shadows(many, given)
    reading = time.perf_counter() - start, time.process_time() - processor
    print(f"{shadows} shadows: reading {reading[0]:.1f} s ({reading[1]:.1f} CPU s)", flush=True)
    del given
    if stages:
        command = [sys.executable, "-c", STAGES, str(target), str(many) if shadows else "", str(folder / "audit")]
    else:
        more = ["--shadows", str(many)] if shadows else []
        out = ["--out", str(folder / "audit")]
        command = [sys.executable, "-m", "mia.commands", "answers", str(target), *more, *out]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MIA_PROCESSES": "2"}
    start = time.perf_counter()
    errors = None if stages else subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    print(
        f"{shadows} shadows: audit {wall:.1f} s ({used.ru_utime + used.ru_stime:.1f} CPU s), "
        f"{used.ru_maxrss / 2**20:.2f} GiB at most, exit code {os.waitstatus_to_exitcode(status)}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--shadows", type=int, nargs="+", default=[0, 64])
    parser.add_argument("--stages", action="store_true")
    arguments = parser.parse_args()
    for shadows in arguments.shadows:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), arguments.records, arguments.classes, shadows)
            measure(Path(folder), shadows, arguments.stages)


if __name__ == "__main__":
    main()
