"""AUC, advantage and TPR of one attack with their bootstrap intervals, and the band around its ROC curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mia.arrays import Floats
from mia.errors import InputError
from mia.evaluation.intervals import Estimate, clopper_pearson, proportion, tail_of
from mia.evaluation.metrics import fpr_key
from mia.evaluation.roc import Roc, auc, curve, false_positives_allowed, resolvable, tpr_at


class Band(NamedTuple):
    """Confidence limits of the highest TPR at each of several FPRs, (fprs,) each, one FPR at a time."""

    low: Floats
    high: Floats


def estimates(
    scores: ArrayLike,
    is_member: ArrayLike,
    *,
    fprs: Sequence[float],
    replicates: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Return AUC, advantage and the TPR at each resolvable FPR, with stratified bootstrap intervals.

    Keys: "auc", "advantage", and `fpr_key(fpr)` for each of `fprs` with n_nonmember * fpr >= 1; others are
    left out. `value` is the statistic of the data itself. A replicate draws n_member members and
    n_nonmember non-members with replacement, members first; each side is drawn from its own, so the sizes
    stay as designed.
    - auc: percentile interval, the (1 - level) / 2 and (1 + level) / 2 quantiles of the replicates (linear
      between order statistics). A perfect attack gives [1, 1], which no sample size justifies.
    - tpr_at_fpr_*: percentile interval of `roc.tpr_at` on the replicates, so the spread of the threshold is
      in it, widened where need be to hold the Clopper-Pearson limits of the value as a share of n_member
      (all replicates of 0 are 0; the truth need not be). Where n_nonmember * fpr is below about 10 the
      threshold hangs on a few non-members and a 95 % interval is rough: 0.85 coverage has been seen at 2.
    - advantage, max(TPR - FPR) over all thresholds, at least 0: a maximum over noise, so biased upward, the
      more so the weaker the leak (with none its mean is about 0.63 sqrt(1 / M + 1 / N), not 0). Replicates
      add the bias once more, and their percentiles would exclude 0 nearly always without a leak. Hence the
      limits value -+ q, cut to [0, 1], q the `level` quantile over replicates of
      max over thresholds |(TPR* - FPR*) - (TPR - FPR)|: a simultaneous band on TPR - FPR, whose maximum
      cannot differ by more than the band allows. It covers with at least `level` for large samples, leak or
      none; it is half as wide again as a percentile interval, twice as wide for a strong leak.
    Cost: one sort, then time O(replicates * samples) and memory O(samples + replicates).
    InputError: as `roc.curve`; an fpr not in (0, 1]; fewer than 2 / (1 - level) replicates, too few for
    the quantiles (40 for 0.95).
    Source: Efron & Tibshirani 1993, ch. 13, and ch. 8 for two samples.
    """
    return estimates_and_band(curve(scores, is_member), fprs=fprs, replicates=replicates, rng=rng, level=level)[0]


def estimates_and_band(
    roc: Roc,
    *,
    fprs: Sequence[float],
    replicates: int,
    rng: np.random.Generator,
    level: float,
    band_fps: ArrayLike = (),
) -> tuple[dict[str, Estimate], Band]:
    """Return `estimates`, and from the same replicates the limits of the TPR at other points of the curve.

    band_fps: (points,), whole: the numbers of false positives of these points. InputError: as `estimates`.
    """
    tail = enough_replicates(replicates, level)
    M, N = roc.n_member, roc.n_nonmember
    resolved = [fpr for fpr in fprs if resolvable(fpr, N)]
    distinct_fps = np.unique(np.asarray(band_fps, dtype=np.int64))
    allowed = np.append([false_positives_allowed(fpr, N) for fpr in resolved], distinct_fps)
    gain = (roc.tp * N - roc.fp * M)[1:]  # (TPR - FPR) * M * N, in integers
    replicate = _Replicates(roc, gain)
    areas, gaps = np.empty(replicates), np.empty(replicates)
    tprs = np.empty((replicates, len(allowed)))
    for r in range(replicates):
        tp, fp, area = replicate.draw(rng)
        areas[r] = area / (2 * M * N)
        gaps[r] = replicate.gap(tp, fp) / (M * N)
        reached = np.searchsorted(fp, allowed, side="right") - 1
        tprs[r] = np.where(reached >= 0, tp[reached], 0) / M
    advantage = int(gain.max()) / (M * N)  # at least 0: the last point has TPR = FPR = 1
    band = float(np.quantile(gaps, level))
    by_key = {
        "auc": Estimate(auc(roc), *_percentiles(areas, tail)),
        "advantage": Estimate(advantage, max(0.0, advantage - band), min(1.0, advantage + band)),
    }
    for column, fpr in enumerate(resolved):
        value = tpr_at(roc, fpr)
        low, high = _percentiles(tprs[:, column], tail)
        at_threshold = proportion(round(value * M), M, level)
        by_key[fpr_key(fpr)] = Estimate(value, min(low, at_threshold.low), max(high, at_threshold.high))
    reached = roc.tp[np.searchsorted(roc.fp, distinct_fps, side="right") - 1]
    fixed_low, fixed_high = clopper_pearson(reached, M, level)
    lows, highs = np.quantile(tprs[:, len(resolved) :], [tail, 1 - tail], axis=0)
    where = np.searchsorted(distinct_fps, np.asarray(band_fps, dtype=np.int64))
    return by_key, Band(np.minimum(lows, fixed_low)[where], np.maximum(highs, fixed_high)[where])


class _Replicates:
    """Members and non-members of a curve drawn anew, counted at each of its points after the first.

    Everything is a whole number up to 2 M N: in 32 bits where that fits, half the memory and the same numbers.
    """

    def __init__(self, roc: Roc, gain: NDArray[np.int64]) -> None:
        whole: Any = np.int32 if 2 * roc.n_member * roc.n_nonmember < 2**31 else np.int64
        self.size_m, self.size_n = whole(roc.n_member), whole(roc.n_nonmember)
        self.gain: Any = gain.astype(whole)
        self.tp_at, self.fp_at = roc.tp[1:], roc.fp[1:]
        self.drawn_m: Any = np.zeros(roc.n_member + 1, whole)  # [i]: draws of the i highest of a side
        self.drawn_n: Any = np.zeros(roc.n_nonmember + 1, whole)
        # Of each non-member, highest score first: members with a score as high, and members with a higher one.
        nonmembers = np.diff(roc.fp)
        self.as_high, self.higher = np.repeat(roc.tp[1:], nonmembers), np.repeat(roc.tp[:-1], nonmembers)

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], float]:
        """Members and non-members at each point, (points,), and twice the pairs that are ranked rightly."""
        M, N = int(self.size_m), int(self.size_n)
        np.cumsum(np.bincount(rng.integers(M, size=M), minlength=M), out=self.drawn_m[1:])
        times = np.bincount(rng.integers(N, size=N), minlength=N)
        np.cumsum(times, out=self.drawn_n[1:])
        ranked = self.drawn_m[self.as_high] + self.drawn_m[self.higher]
        area = float(times.astype(np.float64) @ ranked.astype(np.float64))  # whole, below 2^53: exact
        return self.drawn_m[self.tp_at], self.drawn_n[self.fp_at], area

    def gap(self, tp: NDArray[Any], fp: NDArray[Any]) -> int:
        """The largest |(TPR* - FPR*) - (TPR - FPR)| times M N."""
        difference: Any = tp * self.size_n
        difference -= fp * self.size_m
        difference -= self.gain
        return max(int(difference.max()), -int(difference.min()))


def enough_replicates(replicates: int, level: float) -> float:
    """`tail_of` the level, where the replicates are enough for its quantiles. Raises InputError where they are not."""
    tail = tail_of(level)
    if replicates * tail < 1 - 1e-9:
        raise InputError(
            f"replicates: a {level:g} interval needs at least {math.ceil(1 / tail - 1e-6)}, got {replicates}"
        )
    return tail


def _percentiles(replicates: Floats, tail: float) -> tuple[float, float]:
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)
