"""The dense network of Shokri et al. 2017 as an estimator for rows of a table, trained by torch.

The networks' own training takes images and trains many models in the same steps. Rows need the preprocessing that each
model fits on its own members, so that models differ in width: here each is trained by itself, on one thread.
"""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn

from mia.arrays import Floats, Integers
from mia.models.networks.shokri_mlp import Network
from mia.models.optimizers import Adam

RULES: dict[str, tuple[type, str, float, float]] = {  # of settings: their kind, and what they are at least and below
    "epochs": (numbers.Integral, "a whole number of at least 1", 1, math.inf),
    "batch_size": (numbers.Integral, "a whole number of at least 1", 1, math.inf),
    "learning_rate": (numbers.Real, "a number above 0", math.ulp(0), math.inf),
    "weight_decay": (numbers.Real, "a number of at least 0", 0, math.inf),
    "label_smoothing": (numbers.Real, "a number of at least 0 and below 1", 0, 1),
}


class ShokriMLP(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """One hidden layer of 128 units with tanh (Shokri et al. 2017, Sec. VI-B), trained by Adam at a constant rate.

    The paper does not give every value of its training: the defaults are ours. weight_decay: added to the gradient, as
    a multiple of the weight. random_state: decides the first weights and the order of records. A fitted model holds its
    weights as arrays, `weights_`, so that it can be stored without pickle.
    """

    def __init__(
        self,
        *,
        epochs: int = 100,
        batch_size: int = 64,
        learning_rate: float = 0.001,
        weight_decay: float = 0.0,
        label_smoothing: float = 0.0,
        random_state: int = 0,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.random_state = random_state

    def fit(self, x: Floats, y: Integers) -> ShokriMLP:
        """Train on rows (samples, columns) of numbers and their classes, (samples,).

        Raises ValueError where a setting is not what it must be, a line for all.
        """
        self._check()
        self.classes_, codes = np.unique(y, return_inverse=True)
        inputs, targets = torch.from_numpy(np.asarray(x, np.float32)), torch.from_numpy(codes)
        with _one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.random_state)
            network = Network((1, inputs.shape[1], 1), len(self.classes_))
            self._train(network, inputs, targets)
        self.weights_ = {name: value.numpy().copy() for name, value in network.state_dict().items()}
        return self

    def _train(self, network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        optimizer = Adam(list(network.parameters()), weight_decay=self.weight_decay)
        rng = np.random.default_rng(self.random_state)
        for _ in range(self.epochs):
            order = torch.from_numpy(rng.permutation(len(inputs)))
            for rows in torch.split(order, self.batch_size):
                optimizer.clear_gradients()
                loss = nn.functional.cross_entropy(
                    network(inputs[rows]), targets[rows], label_smoothing=self.label_smoothing
                )
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step(self.learning_rate)

    def decision_function(self, x: Floats) -> NDArray[np.float64]:
        """Logits of rows, (samples, classes of `classes_`)."""
        weights = {name: value.astype(np.float64) for name, value in self.weights_.items()}
        hidden = np.tanh(np.asarray(x, np.float64) @ weights["dense.weight"].T + weights["dense.bias"])
        logits: NDArray[np.float64] = hidden @ weights["logits.weight"].T + weights["logits.bias"]
        return logits

    def predict(self, x: Floats) -> Any:
        """The class of each row, (samples,)."""
        return self.classes_[self.decision_function(x).argmax(axis=1)]

    def _check(self) -> None:
        faults = [
            f"{name}: expected {rule}, got {getattr(self, name)!r}"
            for name, (kind, rule, least, most) in RULES.items()
            if isinstance(getattr(self, name), bool)
            or not isinstance(getattr(self, name), kind)
            or not least <= getattr(self, name) < most
        ]
        if faults:
            raise ValueError("; ".join(faults))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch, whose sums hang on their number; a fork has no other (mia.compute.forks)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
