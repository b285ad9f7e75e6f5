"""What our training path saves: shadow models trained and asked, by the original's loop, a plain one and ours.

python benchmarks/training.py [--models 4] [--train 5000] [--epochs 3] [--asked 6000] [--batch-size 256]
                                             [--rounds 1] [--sides original ours ...] [--out FILE.json]

One run, one machine without its GPU, the CNN of Shokri et al. 2017, the same images, batch size, epochs and initial
weights. Each model is trained on its own `--train` of `--asked` images and then asked about all of them. The sides:

original           a loop as experiments like the original have it: PIL images transformed one by one in a DataLoader,
                   tanh before pooling, Adam as it comes, a second forward pass a step for the training accuracy,
                   `.item()` each step; then attack data gathered one image at a time
plain              tensors normalised beforehand, batches by randperm, one forward pass; asked 1,000 images at a time
ours               workers.spread(training.train): as many models at once as there are cores, a thread each; then
                   models.logits of each model with all threads
ours_one_by_one    one model at a time with all threads (MIA_PROCESSES=1)
ours_bfloat16      ours with precision: bfloat16
ours_together      all models in the same steps with all threads (the stages' `together`, which is meant for GPUs)

Every side runs in a process of its own, as ours changes settings of its process, once a round, in turn; each phase's
best round counts. Importing torch is not timed, making PIL images or normalised tensors neither; starting worker
processes is, in "training" and "seconds". "running" is training less that start (tasks that do nothing), and what the
share of the limit is taken of. Ours also measures the held-out images after each epoch, as the stages do.

After each side --out is written anew, so that a run may be cut short. Sides that it has of an earlier run with the same
settings on the same machine are kept where --sides leaves them out. ours_bfloat16 is left out, with the reason, where
timed steps say that the processor only imitates bfloat16: it would take hours.

The original trained on 10,000 images for 20 epochs and asked each model about 12,000, so that questions were 6 % of
training's images. By default they are 40 %, which is kind to whoever asks fast: times at the original's proportions are
computed from the rates, with one start, and labelled so. `--train 10000 --epochs 20 --asked 12000` measures them.

The limit is the mean speed of 2048x2048 float32 products with all threads, before the first side and after each. The
share counts the multiplications and additions that convolutions and dense layers need, not those of a second forward
pass; bfloat16 may exceed 1.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from mia.models import timed_steps
from mia.store import atomic

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.training_sides import (
    N_CLASSES,
    SHAPE,
    SIDES,
    Measured,
    Settings,
    made_up,
    network,
    recipe_of,
)

IMITATED = 2.0  # times slower than float32: no processor that multiplies in bfloat16 is
ORIGINAL = {"train": 10_000, "epochs": 20, "asked": 12_000}


def operations(layers: nn.Sequential, image: Tensor) -> int:
    """Floating-point operations of a training step on one image, those of convolutions and dense layers.

    A multiplication and an addition for each weight that an output meets, padding included; as many again for the
    gradient of the weights, and for that of the inputs, which the first layer does not need.
    """
    total, passes, hidden = 0, 2, image[None]
    for layer in layers:
        hidden = layer(hidden)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            total += passes * 2 * hidden.numel() * layer.weight[0].numel()
            passes = 3
    return total


def product_speed(side: int = 2048, seconds: float = 2.0) -> float:
    """GFLOP/s of products of two square float32 matrices, with all threads that torch takes."""
    left, right, product = torch.rand(side, side), torch.rand(side, side), torch.empty(side, side)
    torch.mm(left, right, out=product)
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        torch.mm(left, right, out=product)
        done += 1
    return done * 2 * side**3 / elapsed / 1e9


def measured(name: str) -> Measured:
    """One side, measured by this program in a process of its own with the same arguments."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MIA_")}
    environment |= {"MIA_DEVICE": "cpu", **SIDES[name].environment}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measured.json"
        command = [sys.executable, __file__, *sys.argv[1:], "--side", name, "--out", str(out)]
        subprocess.run(command, env=environment, check=True)
        return Measured(**json.loads(out.read_text(encoding="utf-8")))


def described(settings: Settings, rounds: list[Measured], gflops: float) -> dict[str, float]:
    """One side's row but for what compares it with another: each phase's best round and what follows from it."""
    training_seconds, running, questions = (min(measures[phase] for measures in rounds) for phase in range(3))
    steps, questioned = (settings.models * settings.train * settings.epochs, settings.models * settings.asked)
    starting = max(0.0, training_seconds - running)
    scale = settings.models * ORIGINAL["train"] * ORIGINAL["epochs"] / steps
    at_proportions = starting + running * scale + questions * ORIGINAL["asked"] / settings.asked
    per_image = operations(network(), torch.zeros(SHAPE[2], *SHAPE[:2]))
    return {
        "training_seconds": training_seconds,
        "running_seconds": running,
        "questions_seconds": questions,
        "training_images_per_second": steps / training_seconds,
        "running_images_per_second": steps / running,
        "questions_images_per_second": questioned / questions,
        "seconds": training_seconds + questions,
        "share_of_limit": steps / running * per_image / 1e9 / gflops,
        "computed_seconds_at_original_proportions": at_proportions,
        "train_accuracy": float(np.mean([measures.train_accuracy for measures in rounds])),
        "heldout_accuracy": float(np.mean([measures.heldout_accuracy for measures in rounds])),
    }


def main() -> None:
    given = arguments()
    settings = Settings(given.models, given.train, given.epochs, given.asked, given.batch_size)
    if given.side:
        measures = SIDES[given.side].run(settings, made_up(settings))
        given.out.write_text(json.dumps(measures._asdict()), encoding="utf-8")
        return

    os.environ["MIA_DEVICE"] = "cpu"
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): loops with two threads suffer most, no number is fair\n")
    run = Run(settings, machine(load), given.rounds, given.out, [product_speed()], {}, {}, {})
    run.take_over([name for name in SIDES if name not in given.sides])
    if "ours_bfloat16" in given.sides and (reason := imitated(settings)):
        run.not_run["ours_bfloat16"] = reason
    sides = [name for name in SIDES if name in given.sides and name not in run.not_run]
    try:
        for number in range(given.rounds):
            for name in reversed(sides) if number % 2 else sides:
                run.add(name, measured(name))
    except KeyboardInterrupt:
        print("interrupted: these sides are done\n")
    report(settings, run.limit, run.compared(), run.not_run)


def arguments() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=4, help="a multiple of the cores, or some idle at the end")
    parser.add_argument("--train", type=int, default=5000, help="images a model is trained on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--asked", type=int, default=6000, help="images each model is asked about")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--sides", nargs="+", choices=list(SIDES), default=list(SIDES), help="measure these; all if none"
    )
    parser.add_argument("--out", type=Path, help="a JSON file, written anew after each side")
    parser.add_argument("--side", choices=list(SIDES), help="measure this one here and write its seconds to --out")
    given = parser.parse_args()
    if not 0 < given.train < given.asked:
        parser.error("--train: expected fewer images than --asked, which are held out")
    return given


def imitated(settings: Settings) -> str | None:
    """Why the side in bfloat16 is not run; None where the processor multiplies in it."""
    recipes = recipe_of(settings, "bfloat16"), recipe_of(settings, "float32")
    half, full = (timed_steps.measured(recipe, SHAPE, N_CLASSES, n_threads=1).images_a_second for recipe in recipes)
    if full <= IMITATED * half:
        return None
    return f"bfloat16 trains {full / half:.1f} times slower than float32 here ({half:,.0f} and {full:,.0f} images/s)"


@dataclass
class Run:
    """What is measured so far. limits: GFLOP/s of products. rounds: of this run. rows: of sides that are done.

    not_run: why, of sides that are left out.
    """

    settings: Settings
    machine: dict[str, Any]
    n_rounds: int
    out: Path | None
    limits: list[float]
    rounds: dict[str, list[Measured]]
    rows: dict[str, dict[str, float]]
    not_run: dict[str, str]

    @property
    def limit(self) -> float:
        """GFLOP/s, the mean of those measured so far."""
        return float(np.mean(self.limits))

    def take_over(self, names: Sequence[str]) -> None:
        """Keep what --out has of these sides. Exits where it is of other settings or of another machine."""
        if not (self.out and self.out.exists() and names):
            return
        earlier = json.loads(self.out.read_text(encoding="utf-8"))
        mine = self.content()
        of_settings = earlier["settings"] == mine["settings"]
        same = of_settings and earlier["machine"] | {"load_before": 0} == mine["machine"] | {"load_before": 0}
        if not same:
            sys.exit(f"error: {self.out}: measured with other settings or on another machine; name another file")
        self.machine = self.machine | {
            "load_before": max(earlier["machine"]["load_before"], self.machine["load_before"])
        }
        self.rows = {name: row for name, row in earlier["sides"].items() if name in names}
        self.not_run = {name: why for name, why in earlier.get("not_run", {}).items() if name in names}

    def add(self, name: str, measures: Measured) -> None:
        """Note a round of a side, and write what is known by now."""
        self.rounds.setdefault(name, []).append(measures)
        self.limits.append(product_speed())
        for side, rounds in self.rounds.items():
            self.rows[side] = described(self.settings, rounds, self.limit)
        if self.out:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            with atomic.file(self.out) as temporary:
                temporary.write_text(json.dumps(self.content(), indent=1) + "\n", encoding="utf-8")

    def compared(self) -> dict[str, dict[str, float]]:
        """The sides in their order, beside the original where that is among them."""
        key = "computed_seconds_at_original_proportions"
        sides = {name: dict(self.rows[name]) for name in SIDES if name in self.rows}
        if original_row := sides.get("original"):
            for row in sides.values():
                row["times_faster"] = original_row["seconds"] / row["seconds"]
                row["computed_times_faster_at_original_proportions"] = original_row[key] / row[key]
        return sides

    def content(self) -> dict[str, Any]:
        """What --out holds."""
        return {
            "machine": self.machine,
            "settings": {
                **asdict(self.settings),
                "rounds": self.n_rounds,
                "operations_per_image": operations(network(), torch.zeros(SHAPE[2], *SHAPE[:2])),
                "original_proportions": ORIGINAL,
            },
            "limit_gflops": round(self.limit, 1),
            "limit_gflops_before_and_after": [round(limit, 1) for limit in self.limits],
            "sides": {
                name: {key: float(f"{value:.4g}") for key, value in row.items()}
                for name, row in self.compared().items()
            },
            "not_run": self.not_run,
        }


def machine(load: float) -> dict[str, Any]:
    """What the numbers depend on besides the code. load: of the last minute before, 0 on a quiet machine."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", cpuinfo.read_text() if cpuinfo.exists() else "")
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "load_before": round(load, 2),
    }


def report(
    settings: Settings, limit: float, sides: Mapping[str, Mapping[str, float]], not_run: Mapping[str, str]
) -> None:
    """Print the sides as a Markdown table, and why others are not among them."""
    print(
        f"{settings.models} models, each {settings.epochs} epochs of {settings.train} images in batches of "
        f"{settings.batch_size}, queried about {settings.asked}; matrix products {limit:.0f} GFLOP/s\n"
    )
    print(
        "| side | training, img/s | running | share of limit | queries, img/s | seconds | times faster | "
        "accuracy | computed at original's proportions, s | times faster |"
    )
    print("| --- " + "| ---: " * 9 + "|")
    for name, row in sides.items():
        print(
            f"| {name} | {row['training_images_per_second']:.0f} | {row['running_images_per_second']:.0f} | "
            f"{row['share_of_limit']:.2f} | {row['questions_images_per_second']:.0f} | {row['seconds']:.1f} | "
            f"{row.get('times_faster', math.nan):.1f} | {row['train_accuracy']:.3f}, {row['heldout_accuracy']:.3f} | "
            f"{row['computed_seconds_at_original_proportions']:.0f} | "
            f"{row.get('computed_times_faster_at_original_proportions', math.nan):.1f} |".replace("nan", "–")
        )
    for name, why in not_run.items():
        print(f"\n{name} not run: {why}")


if __name__ == "__main__":
    main()
