"""Adam and SGD in torch's fused steps.

torch.optim's classes compute the same with the same functions, but the first use of each imports torch's compiler: as
long as torch itself takes, in every process that trains.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd


class Optimizer:
    """What moves parameters along their gradients. state: of each parameter, by name; empty before the first step."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = list(parameters)
        self.state: dict[Tensor, dict[str, Tensor]] = {parameter: {} for parameter in self.parameters}

    def clear_gradients(self) -> None:
        """Forget the gradients of the last step."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move every parameter that has a gradient, at this learning rate."""
        moved = [parameter for parameter in self.parameters if parameter.grad is not None]
        gradients = [parameter.grad for parameter in moved if parameter.grad is not None]
        if moved:
            self._move(moved, gradients, rate)

    def _move(self, moved: list[Tensor], gradients: list[Tensor], rate: float) -> None:
        raise NotImplementedError


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015). beta1, beta2: of the running means of gradients and of their squares."""

    def __init__(
        self, parameters: Sequence[Tensor], *, beta1: float = 0.9, beta2: float = 0.999, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters)
        self.beta1, self.beta2, self.weight_decay = beta1, beta2, weight_decay

    def _move(self, moved: list[Tensor], gradients: list[Tensor], rate: float) -> None:
        for parameter in moved:
            if not (state := self.state[parameter]):
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        states = [self.state[parameter] for parameter in moved]
        adam(
            moved,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=self.beta1,
            beta2=self.beta2,
            lr=rate,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )


class SGD(Optimizer):
    """Stochastic gradient descent, with Nesterov's momentum (Sutskever et al. 2013) where momentum is above 0."""

    def __init__(self, parameters: Sequence[Tensor], *, momentum: float, weight_decay: float) -> None:
        super().__init__(parameters)
        self.momentum, self.weight_decay = momentum, weight_decay

    def _move(self, moved: list[Tensor], gradients: list[Tensor], rate: float) -> None:
        buffers = [self.state[parameter].get("momentum_buffer") for parameter in moved]
        sgd(
            moved,
            gradients,
            buffers,
            fused=True,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=self.momentum > 0,
            maximize=False,
        )
        for parameter, buffer in zip(moved, buffers, strict=True):
            if buffer is not None:
                self.state[parameter]["momentum_buffer"] = buffer
