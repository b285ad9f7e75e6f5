"""Training models, the same for target and shadows: one, or several of one kind in the same steps."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mia import augmentation, checkpoints, models, progress, seeds
from mia.checkpoints import Description
from mia.errors import InputError

MEASURED = 2000  # of a model's non-members at most, at each epoch's end: all of them would take a fifth of the time


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, as in params.yaml. momentum: Adam's beta1, or Nesterov momentum."""

    architecture: str
    epochs: int
    batch_size: int
    optimizer: Literal["adam", "sgd"]
    learning_rate: float
    schedule: Literal["constant", "cosine"]
    momentum: float
    weight_decay: float
    label_smoothing: float
    augmentation: Sequence[str]
    precision: Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Lesson:
    """What one model is trained on and its randomness. members, nonmembers: rows of the images, int64."""

    model_id: int
    members: NDArray[np.int64]
    nonmembers: NDArray[np.int64]
    initial_seed: int
    order_seed: int
    augmentation_seed: int


@dataclass(frozen=True)
class Trained:
    """A trained model: what it is, its weights as safetensors, its learning curve (tables.LEARNING)."""

    description: Description
    weights: bytes
    learning: pd.DataFrame


def lesson(seed: int, membership: pd.DataFrame) -> Lesson:
    """The lesson of the one model in a membership table; its randomness depends on its model_id and the seed alone."""
    (model_id,) = membership["model_id"].unique().tolist()
    sample_id, is_member = membership["sample_id"].to_numpy(np.int64), membership["is_member"].to_numpy(bool)
    return Lesson(
        model_id,
        members=sample_id[is_member],
        nonmembers=sample_id[~is_member],
        initial_seed=seeds.integer(seed, "initial weights", model_id),
        order_seed=seeds.integer(seed, "training order", model_id),
        augmentation_seed=seeds.integer(seed, "augmentation", model_id),
    )


def together(lessons: Sequence[Lesson], recipe: Recipe, at_most: int) -> list[list[Lesson]]:
    """Lessons in groups that `train` takes: in their order, at most so many, as many steps an epoch each."""
    groups: list[list[Lesson]] = []
    for one in lessons:
        if groups and len(groups[-1]) < at_most and _steps(groups[-1][0], recipe) == _steps(one, recipe):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def train(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    n_classes: int,
    recipe: Recipe,
    lessons: Sequence[Lesson],
) -> list[Trained]:
    """Train a model a lesson with cross-entropy, all of them in the same steps; each as it would be alone.

    images: (samples, height, width, channels), of which a lesson names rows: its members are seen once an epoch in an
    order of its own, its non-members only measured. Several models' weights are stacked and one vectorised step moves
    all: the same numbers as alone but for rounding. Lessons: a group of `together`.
    Raises InputError when a loss is no longer finite.
    """
    models.deterministic()
    device = models.device()
    pixels, targets = models.tensor(images).to(device), models.tensor(labels).to(device)
    shape: tuple[int, int, int] = images.shape[1:]
    made = [models.create(recipe.architecture, shape, n_classes, one.initial_seed).to(device) for one in lessons]
    learners = _One(made[0]) if len(made) == 1 else _Stack(made)
    optimizer = _optimizer(learners.parameters(), recipe)
    orders = [torch.Generator().manual_seed(one.order_seed) for one in lessons]
    augmenting = [torch.Generator().manual_seed(one.augmentation_seed) for one in lessons]
    counts = [len(one.members) for one in lessons]
    measured = [models.tensor(one.nonmembers[:: -(-len(one.nonmembers) // MEASURED)]).to(device) for one in lessons]
    steps = _steps(lessons[0], recipe)
    name = _name(lessons)

    curves: list[list[tuple[float, float, float]]] = [[] for _ in lessons]
    with progress.bar(range(recipe.epochs * steps), name, unit="batch") as bar:
        for epoch in range(recipe.epochs):
            rows = _padded([_shuffled(one.members, order) for one, order in zip(lessons, orders, strict=True)], device)
            drawn = [
                augmentation.draw(recipe.augmentation, count, shape[0], shape[1], generator)
                for count, generator in zip(counts, augmenting, strict=True)
            ]
            draws = augmentation.Draws(*(_padded(of_all, device) for of_all in zip(*drawn, strict=True)))
            loss_sum = torch.zeros(len(made), dtype=torch.float64, device=device)
            correct = torch.zeros(len(made), dtype=torch.int64, device=device)
            for step in range(steps):
                losses = []
                for some, columns in _batches(counts, step, steps, recipe.batch_size, device):
                    batch = rows[some, columns]
                    inputs = augmentation.inputs(
                        recipe.augmentation, pixels, batch.flatten(), draws.take(some, columns)
                    )
                    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                        logits = learners(inputs.view(*batch.shape, *inputs.shape[1:]), some)
                    each = nn.functional.cross_entropy(
                        logits.to(torch.promote_types(logits.dtype, torch.float32)).flatten(0, 1),
                        targets[batch].flatten(),
                        reduction="none",
                        label_smoothing=recipe.label_smoothing,
                    ).view_as(batch)
                    losses.append(each.mean(1).sum())  # a model's loss depends on its own weights alone
                    loss_sum[some] += each.detach().sum(1)
                    correct[some] += (logits.detach().argmax(2) == targets[batch]).sum(1)
                for group in optimizer.param_groups:
                    group["lr"] = _learning_rate(recipe, (epoch * steps + step) / (recipe.epochs * steps))
                optimizer.zero_grad()
                torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                bar.update()
            for k, (loss, right) in enumerate(zip(loss_sum.tolist(), correct.tolist(), strict=True)):
                if not math.isfinite(loss):
                    raise InputError(
                        f"{_name(lessons[k : k + 1])}: the training loss is {loss} in epoch {epoch + 1} of "
                        f"{recipe.epochs}; lower learning_rate ({recipe.learning_rate}) of the active target section "
                        "in params.yaml"
                    )
                predicted = models.logits(learners.alone(k), pixels[measured[k]]).argmax(1)
                test_accuracy = float((predicted == targets[measured[k]].cpu().numpy()).mean())
                curves[k].append((loss / counts[k], right / counts[k], test_accuracy))
            loss, _, accuracy = np.mean([curve[-1] for curve in curves], axis=0)
            bar.set_postfix_str(f"loss {loss:.3f}, test accuracy {accuracy:.3f}")
    return [
        Trained(
            Description(one.model_id, recipe.architecture, shape, n_classes),
            checkpoints.weights(learners.alone(k)),
            _learning(one.model_id, curves[k]),
        )
        for k, one in enumerate(lessons)
    ]


Some = slice | Tensor  # which of the models: all of them, or their numbers


class _One:
    """One model, trained by its own forward pass."""

    def __init__(self, model: nn.Module) -> None:
        self.model: nn.Module = model.to(memory_format=torch.channels_last)

    def parameters(self) -> list[Tensor]:
        return list(self.model.parameters())

    def __call__(self, inputs: Tensor, some: Some) -> Tensor:
        """Logits (1, batch, classes) for inputs (1, batch, channels, height, width), as in training."""
        logits: Tensor = self.model.train()(inputs[0])
        return logits[None]

    def alone(self, k: int) -> nn.Module:
        return self.model


class _Stack:
    """Models of one kind with their weights stacked, (models, ...), and one vectorised forward pass."""

    def __init__(self, made: Sequence[nn.Module]) -> None:
        self.weights, self.buffers = torch.func.stack_module_state(list(made))
        self.kind = copy.deepcopy(made[0]).to("meta").train()

    def parameters(self) -> list[Tensor]:
        return list(self.weights.values())

    def __call__(self, inputs: Tensor, some: Some) -> Tensor:
        """Logits (models, batch, classes) of some of the models, each for its own inputs, as in training."""
        weights = {name: value[some] for name, value in self.weights.items()}
        buffers = {name: value[some] for name, value in self.buffers.items()}
        logits: Tensor = torch.vmap(lambda w, b, x: torch.func.functional_call(self.kind, (w, b), (x,)))(
            weights, buffers, inputs
        )
        if isinstance(some, Tensor):  # batch normalisation moved the running means of copies
            for name, value in buffers.items():
                self.buffers[name][some] = value
        return logits

    def alone(self, k: int) -> nn.Module:
        """One of the models, a copy."""
        model = copy.deepcopy(self.kind).to_empty(device=self.parameters()[0].device)
        model.load_state_dict({name: value[k] for name, value in (self.weights | self.buffers).items()})
        return model


def _optimizer(parameters: list[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, rate, betas=(recipe.momentum, 0.999), weight_decay=decay, fused=True)
    nesterov = recipe.momentum > 0
    return torch.optim.SGD(parameters, rate, recipe.momentum, weight_decay=decay, nesterov=nesterov, fused=True)


def _learning_rate(recipe: Recipe, done: float) -> float:
    """The rate of a step when this share of all is done; cosine: half a wave to 0 (Loshchilov and Hutter 2017)."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2


def _steps(one: Lesson, recipe: Recipe) -> int:
    """Batches an epoch; the last may be smaller, but no image is alone where batch normalisation compares images."""
    full, rest = divmod(len(one.members), recipe.batch_size)
    return full + (rest > int(models.compares_images(recipe.architecture) and full > 0))


def _batches(
    counts: Sequence[int], step: int, steps: int, batch_size: int, device: torch.device
) -> Iterator[tuple[Some, slice]]:
    """Which models see which of their rows in a step: all the same, but for the last, where sizes may differ."""
    start = step * batch_size
    if step < steps - 1 or len(set(counts)) == 1:
        yield slice(None), slice(start, start + batch_size if step < steps - 1 else counts[0])
        return
    for count in sorted(set(counts)):
        yield torch.tensor([k for k, c in enumerate(counts) if c == count], device=device), slice(start, count)


def _shuffled(rows: NDArray[np.int64], order: torch.Generator) -> Tensor:
    return models.tensor(rows)[torch.randperm(len(rows), generator=order)]


def _padded(of_all: Sequence[Tensor], device: torch.device) -> Tensor:
    """One row a model, (models, longest), filled up with zeros."""
    return nn.utils.rnn.pad_sequence(list(of_all), batch_first=True).to(device, non_blocking=True)


def _name(lessons: Sequence[Lesson]) -> str:
    if len(lessons) > 1:
        return f"shadows {lessons[0].model_id} to {lessons[-1].model_id}"
    return f"shadow {lessons[0].model_id}" if lessons[0].model_id else "target"


def _learning(model_id: int, curve: Sequence[tuple[float, float, float]]) -> pd.DataFrame:
    learning = pd.DataFrame(curve, columns=["train_loss", "train_accuracy", "test_accuracy"])
    learning.insert(0, "model_id", model_id)
    learning.insert(1, "epoch", np.arange(1, len(curve) + 1))
    return learning
