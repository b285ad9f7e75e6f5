"""Models as they are trained: one by its own forward pass, or several with stacked weights by one vectorised pass."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mia.models import networks
from mia.models.optimizers import SGD, Adam, Optimizer
from mia.params_audit import Recipe

Which = slice | Tensor  # which of the models: all of them, or their numbers


class Single:
    """One model, trained by its own forward pass. channels_last: its weights are laid out so, which is faster."""

    def __init__(self, model: nn.Module, *, channels_last: bool = True) -> None:
        self.model: nn.Module = model.to(memory_format=torch.channels_last) if channels_last else model

    def parameters(self) -> list[Tensor]:
        """What the optimizer moves."""
        return list(self.model.parameters())

    def state(self) -> Mapping[str, Tensor]:
        """Weights and running means by name, in place."""
        return self.model.state_dict()

    def __call__(self, inputs: Tensor, which: Which) -> Tensor:
        """Logits (1, batch, classes) for inputs (1, batch, channels, height, width), as in training."""
        logits: Tensor = self.model.train()(inputs[0])
        return logits[None]

    def alone(self, k: int) -> nn.Module:
        """The model itself."""
        return self.model


class Stack:
    """Models of one kind with their weights stacked, (models, ...), and one vectorised forward pass."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.weights, self.buffers = torch.func.stack_module_state(list(models))
        self.kind = copy.deepcopy(models[0]).to("meta").train()

    def parameters(self) -> list[Tensor]:
        """What the optimizer moves: each (models, ...)."""
        return list(self.weights.values())

    def state(self) -> Mapping[str, Tensor]:
        """Weights and running means of all by name, in place."""
        return self.weights | self.buffers

    def __call__(self, inputs: Tensor, which: Which) -> Tensor:
        """Logits (models, batch, classes) of these models, each for its own inputs, as in training."""
        weights = {name: value[which] for name, value in self.weights.items()}
        buffers = {name: value[which] for name, value in self.buffers.items()}
        logits: Tensor = torch.vmap(lambda w, b, x: torch.func.functional_call(self.kind, (w, b), (x,)))(
            weights, buffers, inputs
        )
        if isinstance(which, Tensor):  # batch normalisation moved the running means of copies
            for name, value in buffers.items():
                self.buffers[name][which] = value
        return logits

    def alone(self, k: int) -> nn.Module:
        """A copy of model k."""
        model = copy.deepcopy(self.kind).to_empty(device=self.parameters()[0].device)
        with torch.no_grad():  # buffers that are not stored too, which a state_dict leaves out
            for name, value in (*model.named_parameters(), *model.named_buffers()):
                value.copy_((self.weights | self.buffers)[name][k])
        return model


Learners = Single | Stack


def learners_of(models: Sequence[nn.Module], architecture: str) -> Learners:
    """The models of an architecture ready to be trained in the same steps."""
    if len(models) > 1:
        return Stack(models)
    return Single(models[0], channels_last=not networks.is_own(architecture))


def optimizer_of(parameters: Sequence[Tensor], recipe: Recipe) -> Optimizer:
    """The recipe's optimizer of these parameters."""
    if recipe.optimizer == "adam":
        return Adam(parameters, beta1=recipe.momentum, weight_decay=recipe.weight_decay)
    return SGD(parameters, momentum=recipe.momentum, weight_decay=recipe.weight_decay)


def learning_rate(recipe: Recipe, share: float) -> float:
    """The rate of a step before which this share of all steps is done.

    Cosine: half a wave down to 0 (Loshchilov and Hutter 2017).
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (1 + math.cos(math.pi * share)) / 2
