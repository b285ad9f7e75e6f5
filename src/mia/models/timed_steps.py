"""What a training step costs on this machine: steps of models of its own, timed before a training begins.

No generator, weight or image of the training takes part, so that what it trains is the same to the byte.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mia.compute import devices, tasks
from mia.models import building
from mia.models.learners import Learners, learners_of, optimizer_of
from mia.params_audit import Recipe

SECONDS = 0.35  # of steps that are timed, but for a step of two images where it takes longer
_FEWEST = 2  # images: batch normalisation compares them
_ON_CPU = 64  # images at most: more are no faster there
_GROWTH, _REPEATS = 4, 12


@dataclass(frozen=True)
class StepCost:
    """images_a_second: of all models together. activations: bytes that an image's forward pass keeps."""

    images_a_second: float
    activations: int


def measured(
    recipe: Recipe,
    shape: tuple[int, int, int],
    n_classes: int,
    *,
    n_models: int = 1,
    n_threads: int,
    whole: bool = False,
) -> StepCost:
    """The cost of steps of `n_models` models of this recipe, in its precision, with so many threads on a CPU.

    shape: (height, width, channels). whole: with the optimizer, which is up to half of a short step and a few
    hundredths of a long one, and whose import takes a second. Batches grow while time is left; the fastest step counts.
    """
    tasks.settle()
    device = devices.chosen()
    if device.type != "cpu":  # before its first product; on a CPU it changes no speed, and takes seconds of imports
        devices.deterministic()
    most = min(recipe.batch_size, _ON_CPU) if device.type == "cpu" else recipe.batch_size
    with _left_alone(device, n_threads):
        steps = _Steps(recipe, shape, n_classes, n_models, device, whole)
        activations = steps.activations()
        count = min(_FEWEST, most)
        first = steps.seconds(count)  # the first step prepares what the next ones use
        once = device.type == "cpu" and first > SECONDS
        speed = count / (first if once else min(steps.seconds(count) for _ in range(2)))
        end = time.perf_counter() + SECONDS
        for _ in range(_REPEATS):
            left = end - time.perf_counter()
            larger = min(_GROWTH * count, most)
            if larger / speed <= left:
                count = larger
            elif count / speed > left:
                break
            speed = max(speed, count / steps.seconds(count))
    return StepCost(n_models * speed, activations)


class _Steps:
    """Models in training on images of zeros."""

    def __init__(
        self,
        recipe: Recipe,
        shape: tuple[int, int, int],
        n_classes: int,
        n_models: int,
        device: torch.device,
        whole: bool,
    ) -> None:
        self.recipe, self.shape, self.n_models, self.device = recipe, shape, n_models, device
        networks = [
            building.create(recipe.architecture, shape, n_classes, 0, recipe.scaling).to(device)
            for _ in range(n_models)
        ]
        self.models: Learners = learners_of(networks, recipe.architecture)
        self.optimizer = optimizer_of(self.models.parameters(), recipe) if whole else None

    def loss(self, count: int, precision: str) -> Tensor:
        """The loss of a batch of `count` images for each model."""
        pixels = torch.zeros((self.n_models * count, *self.shape), dtype=torch.uint8, device=self.device)
        inputs = building.to_input(pixels)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            logits = self.models(inputs.view(self.n_models, count, *inputs.shape[1:]), slice(None))
        labels = torch.zeros(self.n_models * count, dtype=torch.int64, device=self.device)
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), labels)

    def seconds(self, count: int) -> float:
        """The time of one step: on one thread the processor's own, which other work on the machine does not change."""
        clock = time.process_time if self.device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
        begin = clock()
        loss = self.loss(count, self.recipe.precision)
        for parameter in self.models.parameters():
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        if self.optimizer:
            self.optimizer.step(self.recipe.learning_rate)
        loss.item()  # waits for a GPU
        return clock() - begin

    def activations(self) -> int:
        """Bytes that a forward pass in float32 keeps of an image of a model for the backward pass."""
        of_one, of_two = (self._kept(count * _FEWEST) for count in (1, 2))  # what is kept anyway, weights, cancels out
        return (of_two - of_one) // (_FEWEST * self.n_models)

    def _kept(self, count: int) -> int:
        """Bytes of all tensors that a forward pass of a batch keeps."""
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()  # itself would hold the graph that holds it

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = self.loss(count, "float32")
        assert loss.requires_grad  # holds the graph, and with it what is kept, until here
        return sum(kept.values())


@contextmanager
def _left_alone(device: torch.device, n_threads: int) -> Iterator[None]:
    """With so many threads; torch's generators and number of threads are as before afterwards."""
    before = torch.get_num_threads()
    gpus: list[Any] = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
