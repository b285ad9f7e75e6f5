"""Ranks, tails of distributions and two tests, from scipy.special.

scipy.stats has them all, but importing it takes longer than what is asked of it here: half a second in each stage. The
numbers are the same (tests/unit/evaluation/test_distributions.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincc, chdtrc, ndtr, ndtri

from mia.arrays import Floats

FEW = 8  # up to so many on a side Mann and Whitney's test is exact, where no two values are equal


def ranks(values: ArrayLike) -> Floats:
    """The rank of each value among those of its row, from 1; equal values share the mean of theirs; (..., values)."""
    return _ranked(np.asarray(values))[0]


def least_ranks(values: ArrayLike) -> Floats:
    """As `ranks`, but equal values share the least of theirs."""
    array = np.asarray(values)
    mean, ties = _ranked(array)
    return mean - (ties - 1) / 2


def _ranked(values: Any) -> tuple[Floats, Floats]:
    """Mean ranks, and how many values of the row equal each, both in the order of the values."""
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    begins = np.ones(values.shape, bool)
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    places = np.flatnonzero(begins)
    counts = np.diff(places, append=values.size)
    first = np.broadcast_to(np.arange(1, values.shape[-1] + 1, dtype=np.float64), values.shape)[begins]
    mean, ties = np.empty(values.shape), np.empty(values.shape)
    for target, of_run in ((mean, first + (counts - 1) / 2), (ties, counts.astype(np.float64))):
        np.put_along_axis(target, order, np.repeat(of_run, counts).reshape(values.shape), axis=-1)
    return mean, ties


def normal_above(z: float) -> float:
    """P(Z > z) of a standard normal Z."""
    return float(ndtr(-z))


def normal_quantile(upper: float) -> float:
    """The z that a standard normal exceeds with probability `upper`."""
    return float(-ndtri(upper))


def chi_squared_above(value: float, degrees: int) -> float:
    """P(X > value) of a chi-squared X."""
    return float(chdtrc(degrees, value))


def beta_at_most(x: ArrayLike, a: float, b: float) -> Floats:
    """P(X <= x) of a beta X; x in [0, 1], any shape."""
    return np.asarray(betainc(a, b, x), dtype=np.float64)


def binomial_at_most(k: int, n: int, p: ArrayLike) -> Floats:
    """P(X <= k) of a binomial X of n trials, 0 <= k; p in [0, 1], any shape."""
    return np.ones(np.shape(p)) if k >= n else np.asarray(betaincc(k + 1, n - k, p), dtype=np.float64)


def sign_test(a: int, b: int) -> float:
    """The two-sided exact p-value of "either is as likely", of which a and b were counted; 1 without a count."""
    return min(1.0, 2 * float(binomial_at_most(min(a, b), a + b, 0.5))) if a != b else 1.0


def mann_whitney(x: Floats, y: Floats) -> float:
    """The two-sided p-value of "x and y are alike", of Mann and Whitney's U; x and y: one value or more each.

    Exact for up to FEW on a side without ties, else normal with corrections for ties and continuity.
    """
    both = np.concatenate([x, y])
    ranked, ties = _ranked(both)
    if min(len(x), len(y)) <= FEW and ties.max() == 1:
        from scipy.stats import mannwhitneyu

        return float(mannwhitneyu(x, y, method="exact").pvalue)
    m, n = len(x), len(y)
    first = ranked[:m].sum() - m * (m + 1) / 2
    total = m + n
    tie_term = (ties**2 - 1).sum()  # sum of t^3 - t over runs of t equal values
    spread = np.sqrt(m * n / 12 * ((total + 1) - tie_term / (total * (total - 1))))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (max(first, m * n - first) - m * n / 2 - 0.5) / spread
    return float(np.clip(2 * ndtr(-z), 0.0, 1.0))
