"""ROC curves: the one place that turns scores into false and true positive rates.

Convention: a higher score means "more likely a member", the rule is `score >= threshold`, and records with
the same score are called together. FPR is the share of non-members called members, TPR the share of
members.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mia.errors import InputError


@dataclass(frozen=True, eq=False)
class Roc:
    """An empirical ROC curve; point i is the rule `score >= thresholds[i]`.

    tp, fp: int64, (points,): members and non-members with score >= thresholds[i]; neither ever falls.
    tpr, fpr: float64, (points,): tp / n_member and fp / n_nonmember.
    thresholds: float64, (points,), strictly falling; thresholds[0] is inf, the others are observed scores.
    n_member, n_nonmember: both at least 1.
    The first point is (0, 0), the last (1, 1).
    """

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    n_member: int
    n_nonmember: int
    tp: NDArray[np.int64]
    fp: NDArray[np.int64]


def curve(scores: ArrayLike, is_member: ArrayLike) -> Roc:
    """Return the ROC curve: (0, 0) at threshold inf, then one point per distinct score, highest score
    first.

    scores: (samples,), finite, compared as float64. is_member: bool, (samples,).
    InputError: shapes differ or are not one-dimensional, is_member is not bool, a score is NaN or infinite,
    or one side has no record.
    """
    values = np.asarray(scores, dtype=np.float64)
    member = np.asarray(is_member)
    if values.ndim != 1 or values.shape != member.shape:
        raise InputError(
            f"scores, is_member: expected two arrays of shape (samples,), got {values.shape} and {member.shape}"
        )
    if member.dtype != np.bool_:
        raise InputError(f"is_member: expected dtype bool, got {member.dtype}; cast it with .astype(bool)")
    n_nan, n_infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    if n_nan or n_infinite:
        raise InputError(
            f"scores: expected finite numbers, got {n_nan} NaN, {n_infinite} infinite of {values.size}; "
            "mend the attack that wrote them"
        )
    n_member = int(member.sum())
    n_nonmember = member.size - n_member
    if n_member == 0 or n_nonmember == 0:
        raise InputError(
            f"is_member: a ROC needs members and non-members, got {n_member} members and {n_nonmember} non-members"
        )
    order = np.argsort(values)[::-1]
    ranked = values[order]
    last_of_tie = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    tp = np.append(0, np.cumsum(member[order], dtype=np.int64)[last_of_tie])
    fp = np.append(0, last_of_tie + 1) - tp
    return Roc(
        fpr=fp / n_nonmember,
        tpr=tp / n_member,
        thresholds=np.append(np.inf, ranked[last_of_tie]),
        n_member=n_member,
        n_nonmember=n_nonmember,
        tp=tp,
        fp=fp,
    )


def of_attacks(scores: ArrayLike, is_member: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the scores of several attacks, (attacks, samples), and who is a member, checked.

    InputError: another shape, no attack; else as `curve`, for each attack.
    """
    values, member = np.asarray(scores, dtype=np.float64), np.asarray(is_member)
    if values.ndim != 2 or values.shape[0] == 0:
        raise InputError(f"scores: expected shape (attacks, samples), at least one attack, got {values.shape}")
    for row in values:
        curve(row, member)
    return values, member


def auc(roc: Roc) -> float:
    """Return P(member's score > non-member's) + P(equal) / 2, exactly.

    Over all pairs of one member and one non-member, counted in integers and divided once. On a thinned curve
    it is only the area under the straight lines between the points that were kept.
    """
    twice = np.sum(np.diff(roc.fp) * (roc.tp[1:] + roc.tp[:-1]))
    return int(twice) / (2 * roc.n_member * roc.n_nonmember)


def resolvable(fpr: float, n_nonmember: int) -> bool:
    """Say whether an FPR is at least one non-member: n_nonmember * fpr >= 1.

    Computed as 1 / n_nonmember <= fpr, the comparison `tpr_at` makes, so that rounding cannot part the two
    (49 * (1 / 49) < 1 in floating point). InputError: fpr is not in (0, 1].
    """
    if not 0 < fpr <= 1:
        raise InputError(f"fpr: expected a number in (0, 1], got {fpr}")
    return n_nonmember >= 1 and 1 / n_nonmember <= fpr


def false_positives_allowed(fpr: float, n_nonmember: int) -> int:
    """Return the largest count k with k / n_nonmember <= fpr, in float64 as the curve holds its FPR.

    fpr * n_nonmember rounded down can be one off (0.29 * 100 = 28.999...), so its neighbours are tried.
    """
    guess = int(fpr * n_nonmember)
    return max(k for k in (guess - 1, guess, guess + 1) if k / n_nonmember <= fpr)


def tpr_at(roc: Roc, fpr: float) -> float:
    """Return the highest TPR among the curve's points with FPR <= fpr.

    Nothing is interpolated: a real threshold reaches the rate, and a tie that straddles fpr counts for
    nothing.
    InputError: fpr is not in (0, 1], or is below 1 / n_nonmember, where the answer would rest on no
    non-member.
    """
    if not resolvable(fpr, roc.n_nonmember):
        raise InputError(
            f"fpr: {roc.n_nonmember} non-members resolve {1 / roc.n_nonmember:.3g} or more, got {fpr}; "
            f"choose a higher FPR or bring at least {math.ceil(1 / fpr)} non-members"
        )
    return float(roc.tpr[np.searchsorted(roc.fpr, fpr, side="right") - 1])


def best_threshold(scores: ArrayLike, is_member: ArrayLike) -> float:
    """Return the observed score that maximises TPR - FPR (Youden's J) under `score >= threshold`.

    For choosing a threshold on shadow models, to be used on the target; on the target itself it would be
    the best of many tries. Ties go to the highest threshold: it accuses the fewest records at the same J,
    hence has the lower FPR. The gain is compared in integers, so ties are exact. Only observed scores are
    candidates (not inf), so the answer is finite; where nothing beats J = 0 it may be the lowest score,
    "everybody".
    InputError: as `curve`.
    """
    roc = curve(scores, is_member)
    gain = roc.tp * roc.n_nonmember - roc.fp * roc.n_member
    return float(roc.thresholds[1 + np.argmax(gain[1:])])  # argmax takes the first, the highest threshold


def thin(roc: Roc, points: int = 250) -> Roc:
    """Return at most `points` points of the curve, for a CSV and a plot on linear and on logarithmic axes.

    Each point returned is a point of the curve, in its order. Always kept: the first; the last with FPR 0;
    the first and last at the lowest FPR above 0; the last with FPR <= 0.1, 0.01, ... down to 1 /
    n_nonmember (so `tpr_at` answers as before at these); the last. The rest: half evenly spaced along FPR +
    TPR (the linear view, steep parts included), half the last point with FPR <= x for x log-spaced from 1 /
    n_nonmember to 1 (the logarithmic view). A curve that is short enough comes back whole.
    InputError: points is below 32, too few for what is always kept.
    """
    if points < 32:
        raise InputError(f"points: expected at least 32, got {points}")
    if roc.fpr.size <= points:
        return roc
    decades = [10.0**-k for k in range(1, 17) if resolvable(10.0**-k, roc.n_nonmember)]
    above_zero = np.searchsorted(roc.fp, 1)  # the first point with a false positive; the last point has one
    extremes = [0, above_zero - 1, above_zero, _last_with_fp(roc, roc.fp[above_zero]), roc.fpr.size - 1]
    extremes.extend(np.searchsorted(roc.fpr, decades, side="right") - 1)
    always = np.unique(np.asarray(extremes, dtype=np.int64))
    half = (points - always.size) // 2
    along = roc.fpr + roc.tpr
    linear = np.searchsorted(along, np.linspace(0, 2, half))
    log_fpr = np.geomspace(1 / roc.n_nonmember, 1, half)
    logarithmic = np.searchsorted(roc.fpr, log_fpr, side="right") - 1
    keep = np.unique(np.concatenate([always, linear, logarithmic]))
    return Roc(
        fpr=roc.fpr[keep],
        tpr=roc.tpr[keep],
        thresholds=roc.thresholds[keep],
        n_member=roc.n_member,
        n_nonmember=roc.n_nonmember,
        tp=roc.tp[keep],
        fp=roc.fp[keep],
    )


def _last_with_fp(roc: Roc, count: int) -> int:
    return int(np.searchsorted(roc.fp, count, side="right")) - 1
