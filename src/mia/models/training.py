"""Training models, the same for target and shadows: one, or several of one kind in the same steps."""

from __future__ import annotations

import copy
import hashlib
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mia import progress, seeds
from mia.compute import devices
from mia.errors import InputError
from mia.models import augmentation, building, checkpoints, networks, snapshots
from mia.models.checkpoints import Description
from mia.store import atomic, sealed_json

_MEASURED_AT_ONCE = 250  # images: more is no faster, and takes more memory
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
    """A trained model: what it is, its weights as safetensors, its learning curve (LEARNING).

    snapshot: of its training, which is of no use once the model is stored.
    """

    description: Description
    weights: bytes
    learning: pd.DataFrame
    snapshot: Path | None


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


def together(lessons: Sequence[Lesson], recipe: Recipe, at_most: int, *, compares: bool) -> list[list[Lesson]]:
    """Lessons in groups that `train` takes: in their order, at most so many, as many steps an epoch each.

    compares: the models compare the records of a batch (`building.compares_records`).
    """
    groups: list[list[Lesson]] = []
    for one in lessons:
        if (
            groups
            and len(groups[-1]) < at_most
            and _steps(groups[-1][0], recipe, compares) == _steps(one, recipe, compares)
        ):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def train(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    n_classes: int,
    recipe: Recipe,
    kept: Path | None,
    lessons: Sequence[Lesson],
) -> list[Trained]:
    """Train a model a lesson with cross-entropy, all of them in the same steps; each as it would be alone.

    images: (samples, height, width, channels), of which a lesson names rows: its members are seen once an epoch in an
    order of its own, its non-members only measured. Several models' weights are stacked and one vectorised step moves
    all: the same numbers as alone but for rounding. Lessons: a group of `together`. kept: a folder for snapshots; a
    training that was cut short goes on from its own, to the same bytes. None: nothing is kept.
    Raises InputError when a loss is no longer finite.
    """
    devices.deterministic()
    device = devices.chosen()
    pixels, targets = building.tensor(images).to(device), building.tensor(labels).to(device)
    shape: tuple[int, int, int] = images.shape[1:]
    made = [building.create(recipe.architecture, shape, n_classes, one.initial_seed).to(device) for one in lessons]
    learners = _One(made[0]) if len(made) == 1 else _Stack(made)
    optimizer = _optimizer(learners.parameters(), recipe)
    orders = [torch.Generator().manual_seed(one.order_seed) for one in lessons]
    augmenting = [torch.Generator().manual_seed(one.augmentation_seed) for one in lessons]
    counts = [len(one.members) for one in lessons]
    measured = [building.tensor(one.nonmembers[:: -(-len(one.nonmembers) // MEASURED)]).to(device) for one in lessons]
    steps = _steps(lessons[0], recipe, building.compares_records(made[0]))
    name = _name(lessons)

    at = _Position.first(len(made), [*orders, *augmenting], device)
    kept_as = snapshots.Snapshots(kept, _key(images, labels, n_classes, recipe, lessons) if kept else "", name)
    if found := kept_as.found():
        at = _restore(found, learners, optimizer, [*orders, *augmenting])
        print(f"{name}: goes on in epoch {min(at.epoch + 1, recipe.epochs)} of {recipe.epochs}", file=sys.stderr)

    total = recipe.epochs * steps
    with progress.bar(range(total), name, unit="batch", done=at.epoch * steps + at.step) as bar:
        while at.epoch < recipe.epochs:
            rows = _padded([_shuffled(one.members, order) for one, order in zip(lessons, orders, strict=True)], device)
            drawn = [
                augmentation.draw(recipe.augmentation, count, shape[0], shape[1], generator)
                for count, generator in zip(counts, augmenting, strict=True)
            ]
            draws = augmentation.Draws(*(_padded(of_all, device) for of_all in zip(*drawn, strict=True)))
            while at.step < steps:
                losses = []
                for some, columns in _batches(counts, at.step, steps, recipe.batch_size, device):
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
                    at.loss_sum[some] += each.detach().sum(1)
                    at.correct[some] += (logits.detach().argmax(2) == targets[batch]).sum(1)
                for group in optimizer.param_groups:
                    group["lr"] = _learning_rate(recipe, (at.epoch * steps + at.step) / total)
                optimizer.zero_grad()
                torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                bar.update()
                at.step += 1
                if at.step < steps:
                    kept_as.offer(lambda: _state(at, learners, optimizer))
            ended = []
            for k, (loss, right) in enumerate(zip(at.loss_sum.tolist(), at.correct.tolist(), strict=True)):
                if not math.isfinite(loss):
                    raise InputError(
                        f"{_name(lessons[k : k + 1])}: the training loss is {loss} in epoch {at.epoch + 1} of "
                        f"{recipe.epochs}; lower learning_rate ({recipe.learning_rate}) of the active target section "
                        "in params.yaml"
                    )
                test_accuracy = _accuracy(learners.alone(k), pixels[measured[k]], targets[measured[k]])
                ended.append((loss / counts[k], right / counts[k], test_accuracy))
            at.end_epoch(ended, [*orders, *augmenting])
            kept_as.offer(lambda: _state(at, learners, optimizer))
            loss, _, accuracy = np.mean(ended, axis=0)
            bar.set_postfix_str(f"loss {loss:.3f}, test accuracy {accuracy:.3f}")
    return [
        Trained(
            Description(one.model_id, recipe.architecture, shape, n_classes),
            checkpoints.weights(learners.alone(k)),
            _learning(one.model_id, [ended[k] for ended in at.curve]),
            kept_as.path,
        )
        for k, one in enumerate(lessons)
    ]


def _accuracy(model: nn.Module, pixels: Tensor, targets: Tensor) -> float:
    """The share of images that a model is right on."""
    model.eval()
    with torch.inference_mode():
        predicted = [model(building.to_input(batch)).argmax(1) for batch in pixels.split(_MEASURED_AT_ONCE)]  # type: ignore[no-untyped-call]
    return float((torch.cat(predicted) == targets).double().mean())


@dataclass
class _Position:
    """How far a training is.

    step: steps of the epoch that are done. loss_sum, correct: (models,), over these. curve: an epoch, a model, its loss
    and accuracies. generators: their states as the epoch began, which is drawn again to go on in it.
    """

    epoch: int
    step: int
    loss_sum: Tensor
    correct: Tensor
    curve: list[list[tuple[float, float, float]]]
    generators: list[Tensor] = field(repr=False)

    @classmethod
    def first(cls, n_models: int, generators: Sequence[torch.Generator], device: torch.device) -> _Position:
        loss_sum = torch.zeros(n_models, dtype=torch.float64, device=device)
        correct = torch.zeros(n_models, dtype=torch.int64, device=device)
        return cls(0, 0, loss_sum, correct, [], [one.get_state() for one in generators])

    def end_epoch(self, ended: list[tuple[float, float, float]], generators: Sequence[torch.Generator]) -> None:
        self.curve.append(ended)
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum.zero_()
        self.correct.zero_()
        self.generators = [one.get_state() for one in generators]


def _state(at: _Position, learners: _One | _Stack, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All that a training needs to go on, by name."""
    state = {f"model.{name}": value.detach() for name, value in learners.state().items()}
    for k, parameter in enumerate(learners.parameters()):
        state |= {f"optimizer.{k}.{name}": value for name, value in optimizer.state[parameter].items()}
    state |= {f"generator.{k}": value for k, value in enumerate(at.generators)}
    curve = torch.tensor(at.curve, dtype=torch.float64)
    place = torch.tensor([at.epoch, at.step])
    return state | {"place": place, "loss_sum": at.loss_sum, "correct": at.correct, "curve": curve}


def _restore(
    state: Mapping[str, Tensor],
    learners: _One | _Stack,
    optimizer: torch.optim.Optimizer,
    generators: Sequence[torch.Generator],
) -> _Position:
    """Bring a training to the state that `_state` gave; how far that is."""
    with torch.no_grad():
        for name, value in learners.state().items():
            value.copy_(state[f"model.{name}"])
    for k, parameter in enumerate(learners.parameters()):
        for name, value in state.items():
            if name.startswith(prefix := f"optimizer.{k}."):
                like = parameter.detach() if value.shape == parameter.shape else value  # strides are the parameter's
                placed = torch.empty_like(like, dtype=value.dtype, device=parameter.device).copy_(value)
                optimizer.state[parameter][name.removeprefix(prefix)] = placed
    for k, generator in enumerate(generators):
        generator.set_state(state[f"generator.{k}"])
    epoch, step = state["place"].tolist()
    device = learners.parameters()[0].device
    curve = [[(*one,) for one in ended] for ended in state["curve"].tolist()]
    begun = [one.get_state() for one in generators]
    return _Position(epoch, step, state["loss_sum"].to(device), state["correct"].to(device), curve, begun)


def _key(
    images: NDArray[np.uint8], labels: NDArray[np.int64], n_classes: int, recipe: Recipe, lessons: Sequence[Lesson]
) -> str:
    """A digest of all that decides a training's bytes: code, data, recipe, lessons, and what adds numbers up."""
    digest = hashlib.sha256(_code())
    digest.update(networks.digest(recipe.architecture).encode())
    runs_on = (torch.__version__, devices.chosen(), torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())
    digest.update(repr((runs_on, recipe, n_classes, images.shape, len(lessons))).encode())
    arrays: list[NDArray[Any]] = [images, labels]
    for array in arrays + [rows for one in lessons for rows in (one.members, one.nonmembers)]:
        digest.update(repr((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).data)
    for one in lessons:
        digest.update(repr((one.model_id, one.initial_seed, one.order_seed, one.augmentation_seed)).encode())
    return digest.hexdigest()


@cache
def _code() -> bytes:
    """The text of every file that training computes with."""
    modules = (atomic, augmentation, building, checkpoints, devices, networks, sealed_json, seeds, snapshots)
    files = [Path(__file__), *(Path(str(module.__file__)) for module in modules)]
    return b"".join(file.read_bytes() for file in files)


Some = slice | Tensor  # which of the models: all of them, or their numbers


class _One:
    """One model, trained by its own forward pass."""

    def __init__(self, model: nn.Module) -> None:
        self.model: nn.Module = model.to(memory_format=torch.channels_last)

    def parameters(self) -> list[Tensor]:
        return list(self.model.parameters())

    def state(self) -> Mapping[str, Tensor]:
        """Weights and running means by name, in place."""
        return self.model.state_dict()

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

    def state(self) -> Mapping[str, Tensor]:
        """Weights and running means of all by name, in place."""
        return self.weights | self.buffers

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
        with torch.no_grad():  # buffers that are not stored too, which a state_dict leaves out
            for name, value in (*model.named_parameters(), *model.named_buffers()):
                value.copy_((self.weights | self.buffers)[name][k])
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


def _steps(one: Lesson, recipe: Recipe, compares: bool) -> int:
    """Batches an epoch; the last may be smaller, but no image is alone where batch normalisation compares images."""
    full, rest = divmod(len(one.members), recipe.batch_size)
    return full + (rest > int(compares and full > 0))


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
    return building.tensor(rows)[torch.randperm(len(rows), generator=order)]


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
