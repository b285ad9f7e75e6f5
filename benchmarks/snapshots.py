"""What keeping snapshots costs a training, and what a kill costs with them.

    python benchmarks/snapshots.py [--seconds 60] [--out FILE.json]

Trains each architecture on made-up CIFAR-sized images for about so many seconds with snapshots as in the audit, and
adds up the time that goes into them: naming (a digest of all images), looking for an older one, writing. That is exact
where two whole runs side by side would differ by more than 1 % for other reasons; they are timed as well, once each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch

from mia.compute import tasks
from mia.models import resume, snapshots, training
from mia.models.lessons import Lesson
from mia.params_audit import Recipe

IMAGES = {"shokri_cnn": 20_000, "wrn28_2": 1_000, "resnet18": 500}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    tasks.settle()
    measured = [measure(architecture, count, given.seconds) for architecture, count in IMAGES.items()]
    if given.out:
        given.out.write_text(json.dumps(measured, indent=1) + "\n")
    print("| architecture | training, s | without snapshots, s | snapshots | MB each | in them, s | share |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for one in measured:
        print(
            f"| {one['architecture']} | {one['seconds']:.1f} | {one['without']:.1f} | {one['snapshots']} "
            f"| {one['megabytes']:.1f} | {one['in_snapshots']:.3f} | {one['share']:.2%} |"
        )


def measure(architecture: str, count: int, seconds: float) -> dict[str, Any]:
    """One architecture, with and without."""
    rng = np.random.default_rng(1)
    images, labels = rng.integers(0, 256, (count + 100, 32, 32, 3), np.uint8), rng.integers(0, 10, count + 100)
    lesson = Lesson(0, np.arange(count), np.arange(count, count + 100), 1, 2, 3)

    def train(epochs: int, kept: Path | None) -> float:
        recipe = Recipe(
            architecture=architecture,
            epochs=epochs,
            batch_size=128,
            optimizer="sgd",
            learning_rate=0.01,
            schedule="cosine",
            momentum=0.9,
            weight_decay=5e-4,
            label_smoothing=0.0,
            augmentation=[],
            precision="float32",
        )
        begin = time.perf_counter()
        training.train(images, labels, 10, recipe, kept, [lesson])
        return time.perf_counter() - begin

    train(1, None)
    epochs = max(2, round(seconds / train(1, None)))
    spent, sizes = [0.0], [0]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*given)
            finally:
                spent[0] += time.perf_counter() - begin

        return call

    def counted(tensors: Any, save: Callable[[Any], bytes] = safetensors.torch.save) -> bytes:
        content = save(tensors)
        sizes.append(len(content))
        return content

    before = resume.key, snapshots.Snapshots.latest, snapshots.Snapshots.offer, safetensors.torch.save
    without = train(epochs, None)
    resume.key, snapshots.Snapshots.latest, snapshots.Snapshots.offer = (timed(one) for one in before[:3])  # type: ignore[method-assign]
    safetensors.torch.save = counted  # type: ignore[assignment]
    try:
        with tempfile.TemporaryDirectory() as folder:
            whole = train(epochs, Path(folder))
    finally:
        resume.key, snapshots.Snapshots.latest, snapshots.Snapshots.offer = before[:3]  # type: ignore[method-assign]
        safetensors.torch.save = before[3]
    # What the last model's file is made of goes through the same function.
    kept = sizes[1:-1]
    return {
        "architecture": architecture,
        "seconds": whole,
        "without": without,
        "snapshots": len(kept),
        "megabytes": max(kept, default=0) / 1e6,
        "in_snapshots": spent[0],
        "share": spent[0] / whole,
    }


if __name__ == "__main__":
    main()
