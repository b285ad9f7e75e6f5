"""The sides of benchmarks/training.py: the original's loop, a plain one, and ours, on the same models and images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from mia.compute import workers
from mia.models import building, checkpoints, query, training
from mia.models.lessons import Lesson, together
from mia.params_audit import Recipe

SHAPE = (32, 32, 3)
N_CLASSES = 10
RATE = 0.001
Precision = Literal["float32", "bfloat16"]


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
    for lesson in world.lessons:
        dataset = Photographs([photographs[row] for row in lesson.members], [labels[row] for row in lesson.members])
        loader = torch.utils.data.DataLoader(dataset, settings.batch_size, shuffle=True, num_workers=0)
        model, criterion = network(lesson.initial_seed), nn.CrossEntropyLoss()
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
    for lesson in world.lessons:
        members = torch.from_numpy(lesson.members)
        model = network(lesson.initial_seed).train()
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
        answers = [torch.cat([model(batch) for batch in torch.split(pixels, 1000)]).numpy() for model in trained]
    questions = time.perf_counter() - start
    return Measured(training_seconds, training_seconds, questions, *accuracies(world, answers))


# -- ours --------------------------------------------------------------------------------------------------------------


def recipe_of(settings: Settings, precision: Precision) -> Recipe:
    """The training that our sides do."""
    return Recipe(
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


def ours(settings: Settings, world: World, precision: Precision = "float32", at_most: int = 1) -> Measured:
    """Train and ask as the stages do."""
    recipe = recipe_of(settings, precision)
    groups = together(world.lessons, recipe, at_most, compares=False)
    shared = (world.images, world.labels, N_CLASSES, recipe, None)
    start = time.perf_counter()
    list(workers.spread(nothing, shared, groups, name="nothing", unit="group"))
    starting = time.perf_counter() - start
    start = time.perf_counter()
    groups_trained = workers.spread(training.train, shared, groups, name="training", unit="group")
    trained = [model for group in groups_trained for model in group]
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
    both = [
        [of_model[lesson.members].mean(), of_model[lesson.nonmembers].mean()]
        for of_model, lesson in zip(right, world.lessons, strict=True)
    ]
    train, heldout = np.mean(both, axis=0).tolist()
    return train, heldout
