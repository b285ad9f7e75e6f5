"""Memory of 1.28 million images of 64x64x3 (15.7 GB of pixels): `prepare`, and the first steps of training.

    python benchmarks/large.py [--images 1280000] [--steps 20] [--out FILE.json]
    python benchmarks/large.py --images 20000                                     # a trial of a minute

Makes a Parquet file of so many PNG images in 1,000 classes, and a hundredth more for the attacker, reads it as a user's
images are read, and then trains the CNN on half of them: the target in one process, and two shadows in two processes,
until each has taken `--steps` steps. Then the stage is interrupted, as by Ctrl-C. For the shadows the attacker holds
the population (its files are linked, so that the disk holds the pixels once).

Every stage runs as a user runs it, a process of its own, in a temporary folder. "own" is the largest sum over that
process and those it starts of what nothing but memory holds (RssAnon, and RssShmem, which processes share), looked at
five times a second. "mapped" is the largest sum of the pages of files that are in memory (RssFile): the kernel drops
these when it needs room; a page that two processes map counts twice. Needs Linux, and 2.2 times the pixels on the disk.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
from PIL import Image
from ruamel.yaml import YAML

from mia import paths

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import memory

SIDE, CLASSES, GROUP = 64, 1000, 1000
SHADOWS = 2
MIB = 2**20
AUDIT: dict[str, Any] = {
    "data": {
        "source": "images",
        "split": "half",
        "population_size": None,
        "attacker_size": None,
        "min_per_class": 2,
    },
    "shadow": {"per_block": SHADOWS, "together": 1, "train_size": 2, "heldout_size": 2},
}


@dataclass(frozen=True)
class Row:
    """What one stage took. steps: of each of its models when it was interrupted, at least; None: it ran to the end."""

    stage: str
    own_mib: int
    mapped_mib: int
    processes: int
    steps: int | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_280_000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, help="a JSON file, written anew after every stage")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was begun is removed then too
    signal.signal(signal.SIGINT, signal.default_int_handler)  # started with & it is ignored, by stages too
    with tempfile.TemporaryDirectory(prefix="large-") as name:
        folder = Path(name)
        pixels = given.images * SIDE * SIDE * 3
        needed = 2.2 * pixels
        if (free := shutil.disk_usage(folder).free) < needed:
            sys.exit(f"error: {folder.parent} has {free / 1e9:.1f} GB free, this needs {needed / 1e9:.1f}")
        make(folder, given.images + given.images // 100)
        print(f"{given.images:,} images of {SIDE}x{SIDE}x3, {pixels / 1e9:.1f} GB of pixels, {CLASSES:,} classes\n")
        print("| stage | own, MiB | mapped, MiB | processes | steps |")
        print("| --- | ---: | ---: | ---: | ---: |", flush=True)
        rows: list[Row] = []

        def measured(stage: str, *options: str, models: int = 0) -> None:
            rows.append(measure(folder, stage, options, models, given.steps))
            row = rows[-1]
            steps = "" if row.steps is None else row.steps
            print(f"| {row.stage} | {row.own_mib:,} | {row.mapped_mib:,} | {row.processes} | {steps} |", flush=True)
            if given.out:
                found = {"images": given.images, "pixels_gb": round(pixels / 1e9, 1), "stages": list(map(asdict, rows))}
                given.out.write_text(json.dumps(found, indent=1) + "\n")

        # The attacker holds few images of its own, so that the pixels are written once.
        params(folder, "disjoint", given.images)
        measured("prepare")
        params(folder, "population", None)
        shutil.rmtree(folder / paths.ATTACKER)
        shutil.copytree(folder / paths.POPULATION, folder / paths.ATTACKER, copy_function=os.link)
        measured("split")
        measured("train_target", models=1)
        measured("train_shadows", "--block", "0", models=SHADOWS)


def make(folder: Path, count: int) -> None:
    """A Parquet file of PNG images, each of 16 squares of random colours, and their labels."""
    rng = np.random.default_rng(0)
    place = folder / paths.audit("large") / "data" / "population"
    place.mkdir(parents=True)
    schema = pa.schema([("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())])
    with pq.ParquetWriter(place / "images.parquet", schema) as writer:
        for start in range(0, count, GROUP):
            squares = rng.integers(0, 256, (min(GROUP, count - start), 4, 4, 3), np.uint8)
            images = [{"bytes": png(of_image), "path": None} for of_image in squares]
            labels = np.arange(start, start + len(images)) % CLASSES
            writer.write_table(pa.table({"image": images, "label": labels}, schema=schema))


def png(squares: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(squares).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(content, "PNG", compress_level=1)
    return content.getvalue()


def params(folder: Path, knowledge: str, population: int | None) -> None:
    """The project's params.yaml and an audit of these images. population: records under audit; None: all there are."""
    memory.write_params(folder, {"audit": "large", "attacker.knowledge": knowledge, "shadow.blocks": [0]})
    own = YAML().load((memory.ROOT / paths.audit("cifake") / paths.PARAMS).read_text(encoding="utf-8"))
    own |= {"data": {**AUDIT["data"], "population_size": population}, "shadow": AUDIT["shadow"]}
    own["target"] |= {"batch_size": 64, "epochs": 1}
    YAML().dump(own, folder / paths.audit("large") / paths.PARAMS)


def measure(folder: Path, stage: str, options: tuple[str, ...], models: int, steps: int) -> Row:
    """Run a stage to its end, or, of models, until each has taken so many steps."""
    cache, log = folder / "cache", folder / "log"
    own = mapped = processes = done = 0
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(memory.ROOT / "src" / "stage.py"), stage, *options],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(memory.ROOT / "src"),
                "MIA_CACHE": str(cache),
                "MIA_SNAPSHOT_SECONDS": "1",
                "MIA_PROCESSES": str(SHADOWS),
                "MIA_DEVICE": "cpu",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                held = [kinds for pid in memory.family(process.pid) if (kinds := resident(pid))]
                own = max(own, sum(kinds["RssAnon"] + kinds["RssShmem"] for kinds in held))
                mapped = max(mapped, sum(kinds["RssFile"] for kinds in held))
                processes = max(processes, len(held))
                if models and (done := taken(cache, models)) >= steps:
                    process.send_signal(signal.SIGINT)
                    process.wait()
                time.sleep(memory.EVERY)
        finally:
            process.kill()
            process.wait()
    shutil.rmtree(cache, ignore_errors=True)
    if process.returncode != (130 if models else 0):
        sys.exit(f"error: {stage} ended with {process.returncode}\n{log.read_text(errors='replace')}")
    return Row(stage, own // 1024, mapped // 1024, processes, done if models else None)


def resident(pid: int) -> dict[str, int]:
    """A process's resident memory by its kind, KiB; empty where it has ended."""
    try:
        found = re.findall(r"(Rss\w+):\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return {}
    return {kind: int(size) for kind, size in found}


def taken(cache: Path, models: int) -> int:
    """The steps of the model that has taken the fewest, by the trainings' snapshots."""
    steps = []
    for path in cache.glob("training/*.safetensors"):
        try:
            epoch, step = safetensors.torch.load(path.read_bytes()[32:])["place"].tolist()
        except OSError:
            continue
        steps.append(step if epoch == 0 else sys.maxsize)
    return min(steps) if len(steps) == models else 0


if __name__ == "__main__":
    main()
