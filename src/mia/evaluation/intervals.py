"""Confidence limits of proportions: Clopper and Pearson's, and MOVER, which joins those of two proportions.

An undefined value is NaN, never zero. Every interval treats records as independent draws put to one model: how much
another training of it would differ is not in there (`mia.evaluation.trainings` estimates that).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainccinv, betaincinv

from mia.arrays import Floats
from mia.errors import InputError


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence limits; value is NaN where undefined, and low, high then say "anything"."""

    value: float
    low: float
    high: float


def clopper_pearson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return (low, high), the exact two-sided confidence limits of a binomial proportion.

    low is the p at which `successes` or more has probability (1 - level) / 2 (0 for no success), high the p
    at which `successes` or fewer has (1 - level) / 2 (1 for no failure); so each is also a one-sided limit
    at 1 - (1 - level) / 2, and together they cover with probability >= level. No trials: (0, 1).
    successes, trials: integers, arrays that broadcast; the limits have their common shape.
    InputError: not 0 <= successes <= trials, not whole, or level not in (0, 1).
    Source: Clopper & Pearson, Biometrika 26 (1934), in its beta-quantile form.
    """
    k, n = np.broadcast_arrays(np.asarray(successes), np.asarray(trials))
    bad = ~((k >= 0) & (k <= n) & (k == np.floor(k)) & (n == np.floor(n)))
    if bad.any():
        raise InputError(f"successes: expected whole numbers in 0..trials, got {k[bad][0]} of {n[bad][0]}")
    tail = tail_of(level)
    return lower_limit(k, n, tail), upper_limit(k, n, tail)


def tail_of(level: float) -> float:
    """Half of what an interval leaves out. Raises InputError where level is not in (0, 1)."""
    if not 0 < level < 1:
        raise InputError(f"level: expected a number in (0, 1), got {level}")
    return (1 - level) / 2


def lower_limit(k: ArrayLike, n: ArrayLike, tail: float) -> Floats:
    """Return the one-sided Clopper-Pearson limit from below, which leaves out `tail`; 0 for no success.

    k, n: successes and trials, arrays that broadcast; k may be fractional, the beta quantile is continuous in it.
    """
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    limit = betaincinv(np.where(k > 0, k, 1), n - k + 1, tail)
    return np.asarray(np.where(k > 0, limit, 0.0))


def upper_limit(k: ArrayLike, n: ArrayLike, tail: float) -> Floats:
    """Return the limit from above, as `lower_limit`; 1 for no failure."""
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    limit = betainccinv(k + 1, np.where(k < n, n - k, 1), tail)
    return np.asarray(np.where(k < n, limit, 1.0))


def proportion(successes: int, trials: int, level: float) -> Estimate:
    """Return successes / trials with its Clopper-Pearson limits; NaN, 0 and 1 without a trial."""
    low, high = clopper_pearson(successes, trials, level)
    return Estimate(successes / trials if trials else math.nan, float(low), float(high))


def mover(a: Estimate, b: Estimate) -> tuple[float, float]:
    """How far the limits of a - b lie below and above it, from the limits of a and of b, which are independent.

    Source: MOVER, Zou & Donner, Statistics in Medicine 27 (2008); Newcombe 1998, method 10.
    """
    below = math.hypot(a.value - a.low, b.high - b.value)
    above = math.hypot(a.high - a.value, b.value - b.low)
    return below, above
