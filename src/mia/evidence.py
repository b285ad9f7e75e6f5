"""Evidence: what an attacker has seen of the records it asks about. It never holds whether the target saw them.

Every attack is a pure function of one `Evidence` to scores of shape (samples,), higher = more likely a member. Statistics
over reference models are summed one model at a time, so that the memory beside the evidence itself does not grow with
their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Moments:
    """What one side of the reference models, IN or OUT, says of each record.

    count: int64, (samples,): models on this side. mean: (samples, views): their mean margin, nats; NaN without a model.
    squares: (samples, views): the sum over models of (margin - mean)^2. log_mean_p: (samples, views): the log of their
    mean posterior of the true class; -inf without a model.
    """

    count: NDArray[np.int64]
    mean: Floats
    squares: Floats
    log_mean_p: Floats


@dataclass(frozen=True, eq=False)
class Evidence:
    """Margins of the true class, nats, by the model under attack and by reference models of known membership.

    target: (samples, views). references: (models, samples, views). is_in: bool, (models, samples): the reference was
    trained on the record. labels: int64, (samples,). View 0 is the record itself.
    """

    target: Floats
    references: Floats
    is_in: Bools
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def inside(self) -> Moments:
        """Over the references that were trained on the record."""
        return self._moments(self.is_in)

    @cached_property
    def outside(self) -> Moments:
        """Over the references that were not trained on the record."""
        return self._moments(~self.is_in)

    def _moments(self, side: Bools) -> Moments:
        count = side.sum(axis=0, dtype=np.int64)
        total, squares = np.zeros_like(self.target), np.zeros_like(self.target)
        log_sum_p = np.full_like(self.target, -np.inf)
        for margins, rows in zip(self.references, side, strict=True):
            total[rows] += margins[rows]
            log_sum_p[rows] = np.logaddexp(log_sum_p[rows], log_p(margins[rows]))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count[:, None]
            log_mean_p = np.where(count[:, None] > 0, log_sum_p - np.log(count)[:, None], -np.inf)
        for margins, rows in zip(self.references, side, strict=True):
            squares[rows] += (margins[rows] - mean[rows]) ** 2
        return Moments(count, mean, squares, log_mean_p)


def log_p(margin: Floats) -> Floats:
    """The log of the posterior of the true class, from its margin log p - log(1 - p); both in nats, neither saturates."""
    value: Floats = -np.logaddexp(0, -margin)
    return value
