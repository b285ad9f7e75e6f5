"""Adam and SGD move parameters as torch's own classes do, to the bit, and training imports no compiler."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mia.models.optimizers import SGD, Adam, Optimizer

ROOT = Path(__file__).parents[3]
RATES = (0.1, 0.03, 0.001)

Theirs = Callable[[list[Tensor]], torch.optim.Optimizer]
Ours = Callable[[list[Tensor]], Optimizer]
PAIRS: dict[str, tuple[Theirs, Ours]] = {
    "adam": (lambda weights: torch.optim.Adam(weights, fused=True), Adam),
    "adam, beta1 and decay": (
        lambda weights: torch.optim.Adam(weights, betas=(0.5, 0.999), weight_decay=0.1, fused=True),
        lambda weights: Adam(weights, beta1=0.5, weight_decay=0.1),
    ),
    "sgd": (
        lambda weights: torch.optim.SGD(weights, fused=True),
        lambda weights: SGD(weights, momentum=0.0, weight_decay=0.0),
    ),
    "sgd, momentum and decay": (
        lambda weights: torch.optim.SGD(weights, 0.1, momentum=0.9, weight_decay=0.1, nesterov=True, fused=True),
        lambda weights: SGD(weights, momentum=0.9, weight_decay=0.1),
    ),
}


def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2))


def moved(weights: nn.Module, step: Callable[[float], None]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    for rate in RATES:
        weights(torch.randn(11, 5, generator=generator)).square().sum().backward()
        step(rate)
    return [parameter.detach() for parameter in weights.parameters()]


@pytest.mark.parametrize("name", PAIRS)
def test_a_step_is_torchs_own_to_the_bit(name: str) -> None:
    of_theirs, of_ours = PAIRS[name]
    first, second = model(), model()
    theirs, ours = of_theirs(list(first.parameters())), of_ours(list(second.parameters()))

    def their_step(rate: float) -> None:
        for group in theirs.param_groups:
            group["lr"] = rate
        theirs.step()
        theirs.zero_grad()

    def our_step(rate: float) -> None:
        ours.step(rate)
        ours.clear_gradients()

    for expected, parameter in zip(moved(first, their_step), moved(second, our_step), strict=True):
        assert torch.equal(expected, parameter)


def test_a_parameter_without_a_gradient_stays() -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = Adam([used, unused])
    optimizer.step(0.1)  # none has one
    used.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step(0.1)
    assert (used < 1).all()
    assert torch.equal(unused.detach(), torch.ones(2))


TRAINS = """
import sys
import numpy as np
from pathlib import Path
from mia import params
from mia.models import lessons, training
recipe = params.load(Path("params.yaml")).audit.target.model_copy(update={"epochs": 1})
lesson = lessons.Lesson(0, np.arange(8), np.arange(8, 12), 1, 2, 3)
images, labels = np.zeros((12, 8, 8, 1), np.uint8), np.arange(12) % 3
(trained,) = training.train(images, labels, 3, recipe, None, [lesson])
assert trained.weights
print(*sorted({"torch._dynamo", "torch._inductor", "sympy", "joblib", "sklearn"} & set(sys.modules)))
"""


def test_training_imports_no_compiler() -> None:
    """It takes as long to import as torch itself, in every process that trains."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", TRAINS], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "\n"
