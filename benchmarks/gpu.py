"""What one GPU does: wall time of three audits' training, images a second, share of the GPU's own product speed.

    python benchmarks/gpu.py --out docs/results/speed/gpu.json

1. original: the target (50,000 images x 20 epochs) and five shadows (10,000 x 20) of the original experiment.
2. hundreds: 256 shadows of the same CNN on 30,000 images x 20 epochs, `--together` in the same steps.
3. lira: `--wide` models of WRN-28-2 on 25,000 images x 100 epochs with flip, shift and cutout, as Carlini et al. 2022,
   Sec. VI; with `--population FOLDER` (data/population of a `cifake` or `cifar10` run) on real images, so that their
   accuracy on unseen ones is printed beside the authors' .92, else on noise. Extrapolated to 256 models.

Where torch sees no GPU the table says "not run". `--device cpu` runs the same code anywhere; `--shrink 1000` divides
numbers of images by that.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from mia.compute import devices, tasks
from mia.data import stored_records
from mia.models import building, training
from mia.models.lessons import Lesson, together
from mia.models.training import Trained
from mia.params_audit import Recipe

CNN = Recipe(
    architecture="shokri_cnn",
    epochs=20,
    batch_size=256,
    optimizer="adam",
    learning_rate=0.001,
    schedule="constant",
    momentum=0.9,
    weight_decay=0.0,
    label_smoothing=0.0,
    augmentation=[],
    precision="float32",
)
WIDE = Recipe(
    architecture="wrn28_2",
    epochs=100,
    batch_size=256,
    optimizer="sgd",
    learning_rate=0.1,
    schedule="cosine",
    momentum=0.9,
    weight_decay=0.0005,
    label_smoothing=0.0,
    augmentation=["flip", "shift", "cutout"],
    precision="bfloat16",
)
AIMS = {"original": "10 s", "hundreds": "180 s", "lira": "3600 s for 256 models"}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--together", type=int, default=32, help="models in the same steps")
    parser.add_argument("--models", type=int, default=256, help="shadows of the second part")
    parser.add_argument("--wide", type=int, default=16, help="models of the third part")
    parser.add_argument("--epochs", type=int, help="instead of 20, 20 and 100")
    parser.add_argument("--shrink", type=int, default=1)
    parser.add_argument("--population", type=Path)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], help="instead of float32, float32 and bfloat16")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.device.startswith("cuda") and not torch.cuda.is_available():
        result: dict[str, object] = {"device": None, "parts": dict.fromkeys(AIMS, "not run")}
        print("| part | aim | wall time |\n| --- | --- | --- |")
        for name, aim in AIMS.items():
            print(f"| {name} | {aim} | not run: torch {torch.__version__} sees no GPU |")
    else:
        os.environ["MIA_DEVICE"] = given.device
        result = measured(given)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(result, indent=1) + "\n")


def measured(given: argparse.Namespace) -> dict[str, object]:
    """The three parts on this device."""
    tasks.settle()
    devices.deterministic()
    name = torch.cuda.get_device_name() if given.device.startswith("cuda") else "cpu"
    limits = {dtype: product_speed(dtype) for dtype in (torch.float32, torch.bfloat16)}
    speeds = ", ".join(f"{limit / 1e12:.1f} TFLOP/s {str(dtype)[6:]}" for dtype, limit in limits.items())
    print(f"{name}, torch {torch.__version__}; matrix products: {speeds}\n")
    print(
        "| part | aim | models | wall time | images/s | share of product speed | test accuracy |\n" + "| --- " * 7 + "|"
    )
    noise = some_images(70_000 // given.shrink)
    real = noise
    if given.population:
        records = stored_records.load(given.population)
        real = records.images, records.labels
    changes = {"epochs": given.epochs} if given.epochs else {}
    changes |= {"precision": given.precision} if given.precision else {}
    cnn, wide = (recipe.model_copy(update=changes) for recipe in (CNN, WIDE))
    train(noise, cnn, lessons(1, len(noise[0]) // 4, len(noise[0])), 1)  # warm-up
    parts = {}
    for part, images, recipe, groups in (
        ("original", noise, cnn, [(1, 50_000, 1), (5, 10_000, 5)]),
        ("hundreds", noise, cnn, [(given.models, 30_000, given.together)]),
        ("lira", real, wide, [(given.wide, 25_000, min(given.wide, given.together))]),
    ):
        began, seen, accuracies, count = time.perf_counter(), 0, [], 0
        for n_models, size, at_most in groups:
            taught = train(images, recipe, lessons(n_models, size // given.shrink, len(images[0])), at_most)
            seen += n_models * (size // given.shrink) * recipe.epochs
            accuracies = [float(one.learning["test_accuracy"].iloc[-1]) for one in taught]
            count += n_models
        seconds = time.perf_counter() - began
        limit = limits[torch.float32 if recipe.precision == "float32" else torch.bfloat16]
        share = seen / seconds * operations(recipe.architecture) / limit
        parts[part] = {
            "aim": AIMS[part],
            "models": count,
            "together": groups[-1][2],
            "recipe": recipe.model_dump(),
            "seconds": round(seconds, 2),
            "seconds_for_256": round(seconds * 256 / count, 1),
            "images_per_second": round(seen / seconds),
            "share_of_products": round(share, 4),
            "test_accuracy": round(float(np.mean(accuracies)), 4),
        }
        accuracy = f"{np.mean(accuracies):.3f}" if images is real and given.population else "noise"
        print(
            f"| {part} | {AIMS[part]} | {count} | {seconds:.1f} s | {seen / seconds:,.0f} | {share:.3f} | {accuracy} |"
        )
    extrapolated = parts["lira"]["seconds_for_256"]
    print(f"\n256 models of the third part at that rate: {extrapolated} s")
    return {"device": name, "torch": torch.__version__, "shrink": given.shrink, "parts": parts}


def some_images(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noise of CIFAR's shape: speed does not depend on what an image shows."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, count)


def lessons(count: int, size: int, available: int) -> list[Lesson]:
    """Models that each draw their own members; at most 10,000 others are measured."""
    made = []
    for k in range(count):
        order = np.random.default_rng(k).permutation(available)
        made.append(Lesson(k + 1, order[:size], order[size : size + 10_000], 3 * k, 3 * k + 1, 3 * k + 2))
    return made


def train(
    images: tuple[NDArray[np.uint8], NDArray[np.int64]], recipe: Recipe, wanted: Sequence[Lesson], at_most: int
) -> list[Trained]:
    """All of them, group by group; returns when the device is done."""
    groups = together(wanted, recipe, at_most, compares=False)
    return [one for group in groups for one in training.train(*images, 10, recipe, None, group)]


def operations(architecture: str) -> int:
    """Floating-point operations of an image's training step, forward and backward, as torch counts them."""
    model = building.create(architecture, (32, 32, 3), 10, seed=0)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, 3, 32, 32)).sum().backward()
    return int(counter.get_total_flops()) // 2


def product_speed(dtype: torch.dtype) -> float:
    """Operations a second of the device's own matrix products."""
    device = devices.chosen()
    side = 8192 if device.type == "cuda" else 1024
    a = torch.randn(side, side, device=device, dtype=dtype)
    for _ in range(3):
        a @ a
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(10):
            b = a @ a
        float(b[0, 0])  # waits for the device
        best = max(best, 20 * side**3 / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    main()
