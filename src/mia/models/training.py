"""Training models, the same for target and shadows: one, or several of one kind in the same steps."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from mia import progress, seeds
from mia.compute import devices
from mia.errors import InputError
from mia.models import augmentation, building, checkpoints, lessons, networks, resume, snapshots
from mia.models.checkpoints import Description
from mia.models.learners import Learners, Which, learners_of, learning_rate, optimizer_of
from mia.models.lessons import Lesson
from mia.models.optimizers import Optimizer
from mia.models.resume import Position
from mia.params_audit import Recipe

_MEASURED_AT_ONCE = 250  # images: more is no faster, and takes more memory
MEASURED = 2000  # of a model's non-members at most, at each epoch's end: all of them would take a fifth of the time


class Diverged(InputError):  # noqa: N818
    """A loss is no longer finite."""


@dataclass(frozen=True)
class Trained:
    """A trained model: what it is, its weights as safetensors, its learning curve (LEARNING).

    snapshot: of its training, which is of no use once the model is stored.
    """

    description: Description
    weights: bytes
    learning: pd.DataFrame
    snapshot: Path | None


def train(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | NDArray[np.float32],
    n_classes: int,
    recipe: Recipe,
    snapshot_folder: Path | None,
    group: Sequence[Lesson],
) -> list[Trained]:
    """Train one model for each lesson with cross-entropy, all of them in the same steps; each as it would be alone.

    labels: int64, (samples,); or float32, (samples, classes), log posteriors of a model, nats. These are imitated: the
    loss is then the mean over classes of the squared difference between the log posteriors.
    images: (samples, height, width, channels), of which a lesson names rows: its members are seen once an epoch in an
    order of its own, its non-members only measured. Several models' weights are stacked and one vectorised step moves
    all: the same numbers as alone but for rounding. group: one of `lessons.together`. snapshot_folder: a training that
    was cut short goes on from its snapshot there, to the same bytes; None: no snapshot is kept.
    Raises Diverged when a loss is no longer finite, InputError when the recipe's initial weights do not fit.
    """
    devices.deterministic()
    training = _Training.begin(images, labels, n_classes, recipe, group)
    key = resume.key(images, labels, n_classes, recipe, group) if snapshot_folder else ""
    store = snapshots.Snapshots(snapshot_folder, key, training.name)
    training.resume(store)
    with progress.bar(range(training.total), training.name, unit="batch", done=training.steps_done) as bar:
        while training.position.epoch < recipe.epochs:
            training.epoch(store, bar)
    return training.trained(n_classes, store.path)


@dataclass
class _Training:
    """A training on its way.

    pixels: uint8, (samples, height, width, channels). labels: as of `train`. targets: int64, (samples,), the classes,
    or the likeliest of those that are imitated. orders, augmenting: a generator each model. measured: rows of each
    model's non-members. steps: an epoch.
    """

    recipe: Recipe
    group: Sequence[Lesson]
    pixels: Tensor
    labels: Tensor
    targets: Tensor
    models: Learners
    optimizer: Optimizer
    orders: list[torch.Generator]
    augmenting: list[torch.Generator]
    measured: list[Tensor]
    steps: int
    position: Position

    @classmethod
    def begin(
        cls,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64] | NDArray[np.float32],
        n_classes: int,
        recipe: Recipe,
        group: Sequence[Lesson],
    ) -> _Training:
        """Models with their first weights, before the first step."""
        device = devices.chosen()
        shape: tuple[int, int, int] = images.shape[1:]
        made = [
            building.create(recipe.architecture, shape, n_classes, lesson.initial_seed, recipe.scaling)
            for lesson in group
        ]
        if recipe.initial is not None:
            checkpoints.begin(made, Path(recipe.initial))
        compares = building.compares_records(made[0])
        models = learners_of([model.to(device) for model in made], recipe.architecture)
        orders = [torch.Generator().manual_seed(lesson.order_seed) for lesson in group]
        augmenting = [torch.Generator().manual_seed(lesson.augmentation_seed) for lesson in group]
        given = building.tensor(labels).to(device)
        return cls(
            recipe=recipe,
            group=group,
            pixels=building.tensor(images).to(device),
            labels=given,
            targets=given if given.ndim == 1 else given.argmax(1),
            models=models,
            optimizer=optimizer_of(models.parameters(), recipe),
            orders=orders,
            augmenting=augmenting,
            measured=[_measured_rows(lesson).to(device) for lesson in group],
            steps=lessons.steps_an_epoch(group[0], recipe, compares),
            position=Position.first(len(group), [*orders, *augmenting], device),
        )

    @property
    def name(self) -> str:
        return lessons.name_of(self.group)

    @property
    def counts(self) -> list[int]:
        """Members of each model."""
        return [len(lesson.members) for lesson in self.group]

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.recipe.epochs * self.steps

    @property
    def steps_done(self) -> int:
        return self.position.epoch * self.steps + self.position.step

    def resume(self, store: snapshots.Snapshots) -> None:
        """Go to where an earlier run of this training was cut short, if its snapshot is there."""
        if tensors := store.latest():
            self.position = resume.restore(tensors, self.models, self.optimizer, [*self.orders, *self.augmenting])
            epoch = min(self.position.epoch + 1, self.recipe.epochs)
            print(f"{self.name}: goes on in epoch {epoch} of {self.recipe.epochs}", file=sys.stderr)

    def epoch(self, store: snapshots.Snapshots, bar: tqdm[int]) -> None:
        """Take the steps of this epoch that are left, then measure."""
        rows, draws = self._order(), self._draws()
        while self.position.step < self.steps:
            self._step(rows, draws)
            bar.update()
            if self.position.step < self.steps:
                store.offer(self._state)
        measures = [self._measure(k) for k in range(len(self.group))]
        self.position.end_epoch(measures, [*self.orders, *self.augmenting])
        store.offer(self._state)
        loss, _, accuracy = np.mean(measures, axis=0)
        bar.set_postfix_str(f"loss {loss:.3f}, test accuracy {accuracy:.3f}")

    def _order(self) -> Tensor:
        """Each model's members in the order of this epoch, (models, most members)."""
        shuffled = [_shuffled(lesson.members, order) for lesson, order in zip(self.group, self.orders, strict=True)]
        return _padded(shuffled, self.pixels.device)

    def _draws(self) -> augmentation.Draws:
        """What happens to each image in this epoch, (models, most members)."""
        _, height, width, _ = self.pixels.shape
        drawn = [
            augmentation.draw(self.recipe.augmentation, count, height, width, generator)
            for count, generator in zip(self.counts, self.augmenting, strict=True)
        ]
        return augmentation.Draws(*(_padded(of_models, self.pixels.device) for of_models in zip(*drawn, strict=True)))

    def _step(self, rows: Tensor, draws: augmentation.Draws) -> None:
        """One step of all models."""
        with self._layers_draw():
            losses = [
                self._loss(rows, draws, which, columns)
                for which, columns in _batches(
                    self.counts, self.position.step, self.steps, self.recipe.batch_size, self.pixels.device
                )
            ]
        self.optimizer.clear_gradients()
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(learning_rate(self.recipe, self.steps_done / self.total))
        self.position.step += 1

    @contextmanager
    def _layers_draw(self) -> Iterator[None]:
        """Where layers draw, as dropout does: from torch's generator, seeded by the model's own seed and the step.

        No layer of ours does. Of other networks only those that draw nothing are trained in the same steps.
        """
        if not networks.is_other(self.recipe.architecture):
            yield
            return
        device = self.pixels.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seeds.integer(self.group[0].initial_seed, "layers", self.steps_done))
            yield

    def _loss(self, rows: Tensor, draws: augmentation.Draws, which: Which, columns: slice) -> Tensor:
        """The sum of these models' mean losses, each over its own batch; the position notes their sums."""
        batch, kinds = rows[which, columns], self.recipe.augmentation
        inputs = augmentation.inputs(kinds, self.pixels, batch.flatten(), draws.take(which, columns))
        bfloat16 = self.recipe.precision == "bfloat16"
        with torch.autocast(self.pixels.device.type, torch.bfloat16, enabled=bfloat16):
            logits = self.models(inputs.view(*batch.shape, *inputs.shape[1:]), which)
        whole = logits.to(torch.promote_types(logits.dtype, torch.float32)).flatten(0, 1)
        losses = _losses(whole, self.labels[batch.flatten()], self.recipe.label_smoothing).view_as(batch)
        self.position.loss_sum[which] += losses.detach().sum(1)
        self.position.correct[which] += (logits.detach().argmax(2) == self.targets[batch]).sum(1)
        return losses.mean(1).sum()  # a model's loss depends on its own weights alone

    def _measure(self, k: int) -> tuple[float, float, float]:
        """The epoch of model k: its loss and accuracy on members as trained on, its accuracy on non-members."""
        loss, correct, count = self.position.loss_sum[k].item(), self.position.correct[k].item(), self.counts[k]
        if not math.isfinite(loss):
            raise Diverged(
                f"{lessons.name_of(self.group[k : k + 1])}: the training loss is {loss} in epoch "
                f"{self.position.epoch + 1} of {self.recipe.epochs}; lower learning_rate "
                f"({self.recipe.learning_rate}) of the active target section in params.yaml"
            )
        rows = self.measured[k]
        test_accuracy = _accuracy(self.models.alone(k), self.pixels[rows], self.targets[rows])
        return loss / count, correct / count, test_accuracy

    def _state(self) -> dict[str, Tensor]:
        return resume.state(self.position, self.models, self.optimizer)

    def trained(self, n_classes: int, snapshot: Path | None) -> list[Trained]:
        """The models and their learning curves."""
        height, width, channels = self.pixels.shape[1:]
        return [
            Trained(
                Description(
                    lesson.model_id,
                    self.recipe.architecture,
                    (height, width, channels),
                    n_classes,
                    self.recipe.scaling,
                ),
                checkpoints.weights(self.models.alone(k)),
                _learning(lesson.model_id, [measures[k] for measures in self.position.curve]),
                snapshot,
            )
            for k, lesson in enumerate(self.group)
        ]


def _losses(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Of each record, nats, (records,), from logits (records, classes): cross-entropy with its class.

    Or the mean squared distance from log posteriors, nats^2, where labels are these. That knows no label smoothing.
    """
    if labels.ndim == 2:
        return (logits.log_softmax(1) - labels).square().mean(1)
    return nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)


def _measured_rows(lesson: Lesson) -> Tensor:
    """Rows of at most MEASURED non-members, evenly spread."""
    return building.tensor(lesson.nonmembers[:: -(-len(lesson.nonmembers) // MEASURED)])


def _accuracy(model: nn.Module, pixels: Tensor, targets: Tensor) -> float:
    """The share of images that a model classifies correctly."""
    model.eval()
    with torch.inference_mode():
        predicted = [model(building.to_input(batch)).argmax(1) for batch in pixels.split(_MEASURED_AT_ONCE)]  # type: ignore[no-untyped-call]
    return float((torch.cat(predicted) == targets).double().mean())


def _batches(
    counts: Sequence[int], step: int, steps: int, batch_size: int, device: torch.device
) -> Iterator[tuple[Which, slice]]:
    """Which models see which of their rows in a step: all the same, but for the last, where sizes may differ."""
    start = step * batch_size
    if step < steps - 1 or len(set(counts)) == 1:
        yield slice(None), slice(start, start + batch_size if step < steps - 1 else counts[0])
        return
    for count in sorted(set(counts)):
        yield torch.tensor([k for k, c in enumerate(counts) if c == count], device=device), slice(start, count)


def _shuffled(rows: NDArray[np.int64], order: torch.Generator) -> Tensor:
    return building.tensor(rows)[torch.randperm(len(rows), generator=order)]


def _padded(of_models: Sequence[Tensor], device: torch.device) -> Tensor:
    """One row a model, (models, longest), filled up with zeros."""
    return nn.utils.rnn.pad_sequence(list(of_models), batch_first=True).to(device, non_blocking=True)


def _learning(model_id: int, curve: Sequence[tuple[float, float, float]]) -> pd.DataFrame:
    learning = pd.DataFrame(curve, columns=["train_loss", "train_accuracy", "test_accuracy"])
    learning.insert(0, "model_id", model_id)
    learning.insert(1, "epoch", np.arange(1, len(curve) + 1))
    return learning
