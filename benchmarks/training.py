"""What our training path saves: shadow models trained and asked, by the original's loop, a plain one and ours.

python benchmarks/training.py [--models 4] [--train 5000] [--epochs 3] [--asked 6000] [--batch-size 256]
                                             [--rounds 1] [--out FILE.json]

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

The original trained on 10,000 images for 20 epochs and asked each model about 12,000, so that questions were 6 % of
training's images. By default they are 40 %, which is kind to whoever asks fast: times at the original's proportions are
computed from the rates, with one start, and labelled so. `--train 10000 --epochs 20 --asked 12000` measures them.

The limit is the mean speed of 2048x2048 float32 products with all threads, before and after. The share counts the
multiplications and additions that convolutions and dense layers need, not those of a second forward pass; bfloat16 may
exceed 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from mia.compute import workers
from mia.models import building, checkpoints, query, training
from mia.models.lessons import Lesson, together
from mia.params import Recipe

SHAPE = (32, 32, 3)
N_CLASSES = 10
RATE = 0.001
ORIGINAL = {"train": 10_000, "epochs": 20, "asked": 12_000}


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    models: int
    train: int
    epochs: int
    asked: int
    batch_size: int


class World(NamedTuple):
    """Images uint8 (asked, height, width, channels), their labels int64, and what each model is trained on."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    lessons: list[Lesson]


class Measured(NamedTuple):
    """Seconds of the phases of one side, and a model's mean accuracy: equal work has about equal accuracy."""

    training: float
    running: float
    questions: float
    train_accuracy: float
    heldout_accuracy: float


def made_up(settings: Settings) -> World:
    """Noise with a little of its class's colour."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, N_CLASSES, settings.asked)
    colours = rng.integers(0, 64, (N_CLASSES, SHAPE[2]), np.uint8)
    images = rng.integers(0, 192, (settings.asked, *SHAPE), np.uint8) + colours[labels][:, None, None]
    lessons = []
    for k in range(1, settings.models + 1):
        rows = rng.permutation(settings.asked)
        lessons.append(Lesson(k, rows[: settings.train], rows[settings.train :], k, k, k))
    return World(images, labels, lessons)


def network(initial_seed: int | None = None) -> nn.Sequential:
    """The CNN as one writes it down, tanh before pooling, with the initial weights that our model has."""
    height, width, channels = SHAPE
    made = nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (height // 4) * (width // 4), 128),
        nn.Tanh(),
        nn.Linear(128, N_CLASSES),
    )
    if initial_seed is not None:
        ours = building.create("shokri_cnn", SHAPE, N_CLASSES, initial_seed)
        with torch.no_grad():
            for theirs, own in zip(made.parameters(), ours.parameters(), strict=True):
                theirs.copy_(own)
    return made


# -- the original's loop -----------------------------------------------------------------------------------------------


class Photographs(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """PIL images and labels, transformed one by one."""

    def __init__(self, images: list[Image.Image], labels: list[int]) -> None:
        self.images, self.labels = images, labels
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def original(settings: Settings, world: World) -> Measured:
    """Train and ask as the original did."""
    torch.manual_seed(0)
    photographs, labels = [Image.fromarray(image) for image in world.images], world.labels.tolist()
    trained = []
    start = time.perf_counter()
    for one in world.lessons:
        dataset = Photographs([photographs[row] for row in one.members], [labels[row] for row in one.members])
        loader = torch.utils.data.DataLoader(dataset, settings.batch_size, shuffle=True, num_workers=0)
        model, criterion = network(one.initial_seed), nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(model.parameters(), RATE)
        for _ in range(settings.epochs):
            model.train()
            loss_sum, correct = 0.0, 0
            for inputs, targets in loader:
                optimizer.zero_grad()
                loss = criterion(model(inputs), targets)
                loss.backward()
                optimizer.step()
                loss_sum += loss.item() * len(targets)
                correct += int((model(inputs).argmax(1) == targets).sum().item())
        trained.append(model)
    training_seconds = time.perf_counter() - start

    answers = []
    start = time.perf_counter()
    for model in trained:
        model.eval()
        posteriors = []
        with torch.no_grad():
            for inputs, _ in torch.utils.data.DataLoader(Photographs(photographs, labels), batch_size=1):
                posteriors.append(torch.softmax(model(inputs), 1)[0].numpy())
        answers.append(np.array(posteriors))
    questions = time.perf_counter() - start
    return Measured(training_seconds, training_seconds, questions, *accuracies(world, answers))


# -- a plain loop ------------------------------------------------------------------------------------------------------


def plain(settings: Settings, world: World) -> Measured:
    """Train and ask by a decent loop over tensors."""
    torch.manual_seed(0)
    pixels = (torch.from_numpy(world.images).permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous()
    labels = torch.from_numpy(world.labels)
    trained = []
    start = time.perf_counter()
    for one in world.lessons:
        members = torch.from_numpy(one.members)
        model = network(one.initial_seed).train()
        optimizer = torch.optim.Adam(model.parameters(), RATE)
        for _ in range(settings.epochs):
            for rows in torch.split(members[torch.randperm(len(members))], settings.batch_size):
                loss = nn.functional.cross_entropy(model(pixels[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        trained.append(model.eval())
    training_seconds = time.perf_counter() - start

    start = time.perf_counter()
    with torch.inference_mode():
        answers = [torch.cat([model(some) for some in torch.split(pixels, 1000)]).numpy() for model in trained]
    questions = time.perf_counter() - start
    return Measured(training_seconds, training_seconds, questions, *accuracies(world, answers))


# -- ours --------------------------------------------------------------------------------------------------------------


def ours(
    settings: Settings, world: World, precision: Literal["float32", "bfloat16"] = "float32", at_most: int = 1
) -> Measured:
    """Train and ask as the stages do."""
    recipe = Recipe(
        architecture="shokri_cnn",
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        optimizer="adam",
        learning_rate=RATE,
        schedule="constant",
        momentum=0.9,
        weight_decay=0.0,
        label_smoothing=0.0,
        augmentation=[],
        precision=precision,
    )
    groups = together(world.lessons, recipe, at_most, compares=False)
    shared = (world.images, world.labels, N_CLASSES, recipe, None)
    start = time.perf_counter()
    list(workers.spread(nothing, shared, groups, name="nothing", unit="group"))
    starting = time.perf_counter() - start
    start = time.perf_counter()
    groups_trained = workers.spread(training.train, shared, groups, name="training", unit="group")
    trained = [one for group in groups_trained for one in group]
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    answers = list(workers.each(asked, (world.images,), trained, name="questions", unit="model"))
    questions = time.perf_counter() - start
    return Measured(seconds, seconds - starting, questions, *accuracies(world, answers))


def nothing(*_: object) -> None:
    """A task for measuring what it takes to start the processes."""


def asked(images: NDArray[np.uint8], trained: training.Trained) -> NDArray[np.float32]:
    """A trained model's logits for the images."""
    return query.logits(checkpoints.build(checkpoints.Stored(Path(), trained.description, trained.weights)), images)


# -- comparing ---------------------------------------------------------------------------------------------------------


class Side(NamedTuple):
    """A way to do the work, and the environment of its process."""

    run: Callable[[Settings, World], Measured]
    environment: Mapping[str, str]


AS_STAGES = {"GOMP_SPINCOUNT": "2000"}  # stages/__init__.py sets it before torch is imported
ONE_PROCESS = {**AS_STAGES, "MIA_PROCESSES": "1", "MIA_THREADS": str(torch.get_num_threads())}
SIDES = {
    "original": Side(original, {}),
    "plain": Side(plain, {}),
    "ours": Side(ours, AS_STAGES),
    "ours_one_by_one": Side(ours, ONE_PROCESS),
    "ours_bfloat16": Side(lambda settings, world: ours(settings, world, precision="bfloat16"), AS_STAGES),
    "ours_together": Side(lambda settings, world: ours(settings, world, at_most=settings.models), ONE_PROCESS),
}


def accuracies(world: World, answers: list[NDArray[np.float32]]) -> tuple[float, float]:
    """Mean accuracy of models on what they were trained on and on the rest; answers: (asked, classes) a model."""
    right = [answer.argmax(1) == world.labels for answer in answers]
    both = [[of[one.members].mean(), of[one.nonmembers].mean()] for of, one in zip(right, world.lessons, strict=True)]
    train, heldout = np.mean(both, axis=0).tolist()
    return train, heldout


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
    training_seconds, running, questions = (min(one[phase] for one in rounds) for phase in range(3))
    steps, questioned = (settings.models * settings.train * settings.epochs, settings.models * settings.asked)
    started = max(0.0, training_seconds - running)
    scale = settings.models * ORIGINAL["train"] * ORIGINAL["epochs"] / steps
    at_proportions = started + running * scale + questions * ORIGINAL["asked"] / settings.asked
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
        "train_accuracy": float(np.mean([one.train_accuracy for one in rounds])),
        "heldout_accuracy": float(np.mean([one.heldout_accuracy for one in rounds])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=4, help="a multiple of the cores, or some idle at the end")
    parser.add_argument("--train", type=int, default=5000, help="images a model is trained on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--asked", type=int, default=6000, help="images each model is asked about")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--side", choices=list(SIDES), help="measure this one here and write its seconds to --out")
    given = parser.parse_args()
    settings = Settings(given.models, given.train, given.epochs, given.asked, given.batch_size)
    if not 0 < settings.train < settings.asked:
        parser.error("--train: expected fewer images than --asked, which are held out")
    if given.side:
        found = SIDES[given.side].run(settings, made_up(settings))
        given.out.write_text(json.dumps(found._asdict()), encoding="utf-8")
        return

    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): loops with two threads suffer most, no number is fair\n")
    before = product_speed()
    rounds: dict[str, list[Measured]] = {name: [] for name in SIDES}
    for number in range(given.rounds):
        for name in reversed(SIDES) if number % 2 else SIDES:
            rounds[name].append(measured(name))
    after = product_speed()
    limit = (before + after) / 2
    sides = {name: described(settings, found, limit) for name, found in rounds.items()}
    for row in sides.values():
        row["times_faster"] = sides["original"]["seconds"] / row["seconds"]
        key = "computed_seconds_at_original_proportions"
        row["computed_times_faster_at_original_proportions"] = sides["original"][key] / row[key]
    report(settings, limit, sides)
    if given.out:
        content = {
            "machine": machine(load),
            "settings": {
                **asdict(settings),
                "rounds": given.rounds,
                "operations_per_image": operations(network(), torch.zeros(SHAPE[2], *SHAPE[:2])),
                "original_proportions": ORIGINAL,
            },
            "limit_gflops": round(limit, 1),
            "limit_gflops_before_and_after": [round(before, 1), round(after, 1)],
            "sides": {name: {key: float(f"{value:.4g}") for key, value in row.items()} for name, row in sides.items()},
        }
        given.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def machine(load: float) -> dict[str, str | int | float]:
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


def report(settings: Settings, limit: float, sides: dict[str, dict[str, float]]) -> None:
    """Print what was found as a Markdown table."""
    print(
        f"{settings.models} models, each {settings.epochs} epochs of {settings.train} images in batches of "
        f"{settings.batch_size}, asked about {settings.asked}; matrix products {limit:.0f} GFLOP/s\n"
    )
    print(
        "| side | training, img/s | running | share of limit | questions, img/s | seconds | times faster | "
        "accuracy | computed at original's proportions, s | times faster |"
    )
    print("| --- " + "| ---: " * 9 + "|")
    for name, row in sides.items():
        print(
            f"| {name} | {row['training_images_per_second']:.0f} | {row['running_images_per_second']:.0f} | "
            f"{row['share_of_limit']:.2f} | {row['questions_images_per_second']:.0f} | {row['seconds']:.1f} | "
            f"{row['times_faster']:.1f} | {row['train_accuracy']:.3f}, {row['heldout_accuracy']:.3f} | "
            f"{row['computed_seconds_at_original_proportions']:.0f} | "
            f"{row['computed_times_faster_at_original_proportions']:.1f} |"
        )


if __name__ == "__main__":
    main()
