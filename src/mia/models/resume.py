"""What a training needs to go on where it was cut short, to the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mia import seeds
from mia.compute import devices
from mia.models import augmentation, building, checkpoints, learners, lessons, networks, optimizers, snapshots
from mia.models.learners import Learners
from mia.models.lessons import Lesson
from mia.models.optimizers import Optimizer
from mia.params_audit import Recipe
from mia.store import atomic, sealed_json


@dataclass
class Position:
    """How far a training is.

    epoch: epochs that are done. step: steps of the next one that are done. loss_sum, correct: (models,), over these
    steps. curve: for each epoch and model its loss and accuracies. generators: their states as the epoch began, from
    which its order and augmentation are drawn again.
    """

    epoch: int
    step: int
    loss_sum: Tensor
    correct: Tensor
    curve: list[list[tuple[float, float, float]]]
    generators: list[Tensor] = field(repr=False)

    @classmethod
    def first(cls, n_models: int, generators: Sequence[torch.Generator], device: torch.device) -> Position:
        """The start."""
        loss_sum = torch.zeros(n_models, dtype=torch.float64, device=device)
        correct = torch.zeros(n_models, dtype=torch.int64, device=device)
        return cls(0, 0, loss_sum, correct, [], [generator.get_state() for generator in generators])

    def end_epoch(self, measures: list[tuple[float, float, float]], generators: Sequence[torch.Generator]) -> None:
        """Note the loss and accuracies of each model, and go to the next epoch."""
        self.curve.append(measures)
        self.epoch, self.step = self.epoch + 1, 0
        self.loss_sum.zero_()
        self.correct.zero_()
        self.generators = [generator.get_state() for generator in generators]


def state(position: Position, models: Learners, optimizer: Optimizer) -> dict[str, Tensor]:
    """All that a training needs to go on, by name."""
    tensors = {f"model.{name}": value.detach() for name, value in models.state().items()}
    for k, parameter in enumerate(models.parameters()):
        tensors |= {f"optimizer.{k}.{name}": value for name, value in optimizer.state[parameter].items()}
    tensors |= {f"generator.{k}": value for k, value in enumerate(position.generators)}
    curve = torch.tensor(position.curve, dtype=torch.float64)
    place = torch.tensor([position.epoch, position.step])
    return tensors | {"place": place, "loss_sum": position.loss_sum, "correct": position.correct, "curve": curve}


def restore(
    tensors: Mapping[str, Tensor],
    models: Learners,
    optimizer: Optimizer,
    generators: Sequence[torch.Generator],
) -> Position:
    """Bring a training to the state that `state` gave, and return how far it is."""
    with torch.no_grad():
        for name, value in models.state().items():
            value.copy_(tensors[f"model.{name}"])
    for k, parameter in enumerate(models.parameters()):
        for name, value in tensors.items():
            if name.startswith(prefix := f"optimizer.{k}."):
                like = parameter.detach() if value.shape == parameter.shape else value  # strides are the parameter's
                placed = torch.empty_like(like, dtype=value.dtype, device=parameter.device).copy_(value)
                optimizer.state[parameter][name.removeprefix(prefix)] = placed
    for k, generator in enumerate(generators):
        generator.set_state(tensors[f"generator.{k}"])
    epoch, step = tensors["place"].tolist()
    device = models.parameters()[0].device
    curve = [[(*measures,) for measures in of_epoch] for of_epoch in tensors["curve"].tolist()]
    states = [generator.get_state() for generator in generators]
    return Position(epoch, step, tensors["loss_sum"].to(device), tensors["correct"].to(device), curve, states)


def key(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | NDArray[np.float32],
    n_classes: int,
    recipe: Recipe,
    group: Sequence[Lesson],
) -> str:
    """A digest of all that decides a training's bytes: code, data, recipe, lessons, and what adds numbers up."""
    digest = hashlib.sha256(_code())
    digest.update(networks.digest(recipe.architecture).encode())
    if recipe.initial is not None:
        digest.update(networks.file_digest(recipe.initial).encode())
    runs_on = (torch.__version__, devices.chosen(), torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())
    digest.update(repr((runs_on, recipe, n_classes, images.shape, len(group))).encode())
    arrays: list[NDArray[Any]] = [images, labels]
    for array in arrays + [rows for lesson in group for rows in (lesson.members, lesson.nonmembers)]:
        digest.update(repr((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).data)
    for lesson in group:
        digest.update(
            repr((lesson.model_id, lesson.initial_seed, lesson.order_seed, lesson.augmentation_seed)).encode()
        )
    return digest.hexdigest()


@cache
def _code() -> bytes:
    """The text of every file that training computes with."""
    computing = (augmentation, building, checkpoints, devices, learners, lessons, networks, optimizers, seeds)
    files = [Path(str(module.__file__)) for module in (*computing, atomic, sealed_json, snapshots)]
    here = Path(__file__)
    return b"".join(file.read_bytes() for file in (here, here.with_name("training.py"), *files))
