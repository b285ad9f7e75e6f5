"""Seconds and memory of reading 60,000 images, from a folder, a zip and Parquet.

    python benchmarks/reading.py
    python benchmarks/reading.py --against 4adfdd7 --repeats 3

Makes JPEGs of 32x32 in ten classes in a temporary folder and reads them with `mia.data.folder.load`, each time in a
process of its own. --against: that revision's code and the working tree's take turns in one run, so that what else the
machine does falls on both. Prints the least seconds of the repeats, the user CPU seconds with them, and the most memory
that a process held, less what it held before it read.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).parent.parent
CLASSES = 10
READ = """
import json, os, resource, sys, time
from pathlib import Path
from mia.data import folder
from mia.data.image_files import decode  # Pillow is loaded, as the measured part is to be reading alone
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
before, began, used = peak(), time.perf_counter(), time.process_time()
records = folder.load(Path(sys.argv[1]), min_per_class=1)
print(json.dumps([time.perf_counter() - began, time.process_time() - used, peak() - before, len(records)]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="REV", help="a revision whose code takes turns with the working tree's")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        code = {"working tree": ROOT / "src"}
        if given.against:
            code = {given.against: source_of(given.against, Path(place) / "against"), **code}
        sources = made(Path(place), given.images)
        print(f"{'of ' + format(given.images, ','):14} {'code':14} {'seconds':>8} {'CPU':>8} {'MiB':>8}")
        for name, source in sources.items():
            runs: dict[str, list[list[float]]] = {revision: [] for revision in code}
            for _ in range(given.repeats):
                for revision, folder in code.items():
                    runs[revision].append(measured(folder, source, given.images))
            for revision, found in runs.items():
                seconds, cpu, peak = (
                    min(run[0] for run in found),
                    min(run[1] for run in found),
                    max(run[2] for run in found),
                )
                print(f"{name:14} {revision[:14]:14} {seconds:8.2f} {cpu:8.2f} {peak:8.0f}", flush=True)


def measured(code: Path, source: Path, count: int) -> list[float]:
    """Seconds, CPU seconds and mebibytes of one reading, and the images read."""
    done = subprocess.run(
        [sys.executable, "-c", READ, source],
        env={**os.environ, "PYTHONPATH": str(code)},
        check=True,
        capture_output=True,
        text=True,
    )
    found: list[float] = json.loads(done.stdout)
    assert found[3] == count
    return found


def source_of(revision: str, folder: Path) -> Path:
    """The folder src of a revision."""
    archive = subprocess.run(["git", "archive", revision, "src"], cwd=ROOT, capture_output=True)
    if archive.returncode:
        sys.exit(f"error: --against: no revision {revision!r} in this repository")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder, filter="data")
    return folder / "src"


def made(place: Path, count: int) -> dict[str, Path]:
    """The same images as a folder, a zip and a Parquet file."""
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (count, 4, 4, 3), np.uint8)
    root, packed, table = place / "folder", place / "images.zip", place / "images.parquet"
    contents = []
    for label in range(CLASSES):
        (root / str(label)).mkdir(parents=True)
    with zipfile.ZipFile(packed, "w") as archive:
        for row in range(count):
            content = io.BytesIO()
            Image.fromarray(smooth[row]).resize((32, 32)).save(content, "JPEG")
            name = f"{row % CLASSES}/{row:06}.jpg"
            (root / name).write_bytes(content.getvalue())
            archive.writestr(name, content.getvalue())
            contents.append(content.getvalue())
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": content, "path": None} for content in contents], kind)
    pq.write_table(pa.table({"image": images, "label": np.arange(count) % CLASSES}), table, row_group_size=1000)
    return {"folder": root, "zip": packed, "Parquet": table}


if __name__ == "__main__":
    main()
