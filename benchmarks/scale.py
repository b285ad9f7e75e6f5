"""What a shadow costs as records, classes, images and models grow: measured on one core, then carried to ImageNet.

    python benchmarks/scale.py --out docs/results/speed/scale.json

One thread a model, as shadows train on a CPU. For each architecture, image size and number of classes: images a second
in training and in questions, operations an image as torch counts them, bytes of the model's file and of a record in
data/signals. The last lines carry the numbers to 1,000 shadows of a ResNet-50 on 1.28 million images of 224x224 and
1,000 classes; what a GPU does there is an assumption, printed as one (--gpu-images a second in training).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mia.compute import tasks
from mia.data.records import Records
from mia.models import building, query, training
from mia.models.checkpoints import Stored
from mia.models.lessons import Lesson
from mia.models.logits import SIGNALS
from mia.params_audit import Recipe
from mia.store import parquet

CASES = [  # architecture, side of the image, classes, images to time
    ("shokri_mlp", 32, 10, 4000),
    ("shokri_cnn", 8, 10, 4000),
    ("shokri_cnn", 32, 10, 2000),
    ("shokri_cnn", 32, 100, 2000),
    ("shokri_cnn", 32, 1000, 2000),
    ("shokri_cnn", 64, 10, 500),
    ("shokri_cnn", 128, 10, 150),
    ("wrn28_2", 32, 10, 200),
    ("resnet18", 32, 10, 100),
]
RECORDS, CLASSES, SHADOWS = 1_281_167, 1000, 1000  # ImageNet's training images and classes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shrink", type=int, default=1, help="divide the numbers of images by this")
    parser.add_argument("--gpu-images", type=float, default=3000, help="assumed: ResNet-50 training, images/s on a GPU")
    parser.add_argument("--epochs", type=int, default=90, help="of a ResNet-50")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    tasks.settle()
    torch.set_num_threads(1)
    print(
        "| architecture | image | classes | MFLOP an image | training images/s | GFLOP/s | queries/s | model "
        "| signals a record |"
    )
    print("| --- " * 9 + "|")
    rows = []
    for architecture, side, n_classes, count in CASES:
        row = measured(architecture, side, n_classes, max(20, count // given.shrink))
        rows.append(row)
        print(
            f"| {architecture} | {side}x{side} | {n_classes} | {row['operations'] / 1e6:.1f} | "
            f"{row['training_images_per_second']:,.0f} | {row['gflops']:.0f} | {row['questions_per_second']:,.0f} | "
            f"{row['model_bytes'] / 1e6:.2f} MB | {row['signals_bytes_per_record']:.0f} B |"
        )
    large = imagenet(given.gpu_images, given.epochs)
    print(f"\n1,000 ResNet-50 on ImageNet: {large['operations'] / 1e9:.1f} GFLOP an image and step;")
    print(f"with {given.gpu_images:,.0f} images/s a GPU (assumed) and {given.epochs} epochs of half the images:")
    print(f"  {large['gpu_hours_training']:,.0f} GPU hours of training, {large['gpu_hours_questions']:,.0f} of queries")
    print(f"  {large['models_bytes'] / 1e9:,.0f} GB of models, {large['signals_bytes'] / 1e12:,.1f} TB of logits,")
    print(f"  {large['margins_bytes'] / 1e9:,.0f} GB of margins")
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(
            json.dumps({"torch": torch.__version__, "cases": rows, "imagenet": large}, indent=1) + "\n"
        )


def measured(architecture: str, side: int, n_classes: int, count: int) -> dict[str, Any]:
    """One case, trained for an epoch after a warm-up, and asked about its images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count + 1, side, side, 3), dtype=np.uint8)
    labels = rng.integers(0, n_classes, count + 1)
    recipe = Recipe(
        architecture=architecture,
        epochs=1,
        batch_size=64,
        optimizer="adam",
        learning_rate=0.001,
        schedule="constant",
        momentum=0.9,
        weight_decay=0.0,
        label_smoothing=0.0,
        augmentation=[],
        precision="float32",
    )

    def train(size: int) -> training.Trained:
        return training.train(
            images, labels, n_classes, recipe, None, [Lesson(1, np.arange(size), np.array([count]), 1, 2, 3)]
        )[0]

    train(min(count, 128))
    began = time.perf_counter()
    trained = train(count)
    seconds = time.perf_counter() - began
    records = Records(images, labels, tuple(map(str, range(n_classes))), None, np.arange(len(images)).astype(str))
    stored = Stored(Path("models/1.safetensors"), trained.description, trained.weights)
    query.signals({"population": records}, 1, None, stored)
    began = time.perf_counter()
    answers = query.signals({"population": records}, 1, None, stored)
    asking = time.perf_counter() - began
    operations = step_operations(building.create(architecture, (side, side, 3), n_classes, seed=0), side)
    return {
        "architecture": architecture,
        "side": side,
        "classes": n_classes,
        "operations": operations,
        "training_images_per_second": round(count / seconds, 1),
        "gflops": round(operations * count / seconds / 1e9, 2),
        "questions_per_second": round(len(images) / asking, 1),
        "model_bytes": len(trained.weights),
        "signals_bytes_per_record": round(table_bytes(answers) / len(images), 1),
    }


def table_bytes(answers: pa.Table) -> int:
    """Bytes of the table as the stage writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signals.parquet"
        parquet.write(path, answers, SIGNALS)
        return path.stat().st_size


def step_operations(model: nn.Module, side: int) -> int:
    """Floating-point operations of an image's training step, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(2, 3, side, side)).sum().backward()
    return int(counter.get_total_flops()) // 2


def imagenet(gpu_images: float, epochs: int) -> dict[str, float]:
    """1,000 shadows of a ResNet-50, each trained on half of ImageNet and asked about all of it."""
    network = torchvision.models.resnet50()
    training_hours = SHADOWS * RECORDS / 2 * epochs / gpu_images / 3600
    return {
        "operations": step_operations(network, 224),
        "assumed_gpu_images_per_second": gpu_images,
        "epochs": epochs,
        "gpu_hours_training": round(training_hours, 1),
        "gpu_hours_questions": round(
            SHADOWS * RECORDS / (3 * gpu_images) / 3600, 1
        ),  # a third of a step: forward alone
        "models_bytes": SHADOWS * 4 * sum(value.numel() for value in network.state_dict().values()),
        "signals_bytes": SHADOWS * RECORDS * CLASSES * 4,
        "margins_bytes": SHADOWS * RECORDS * 8,
        "images_bytes": RECORDS * 224 * 224 * 3,
    }


if __name__ == "__main__":
    main()
