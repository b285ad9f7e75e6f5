"""How a hard member / non-member decision did: counts, rates, and the limits of each.

The conventions are those of `mia.evaluation.roc`. An undefined value is NaN, never zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mia.errors import InputError
from mia.evaluation.intervals import Estimate, mover, proportion


@dataclass(frozen=True)
class Decision:
    """How a hard member / non-member decision did; made by `decision`.

    tp, fn: members called member / non-member. fp, tn: non-members called member / non-member.
    recall is the TPR. All rates in [0, 1].
    """

    n_member: int
    n_nonmember: int
    tp: int
    fp: int
    tn: int
    fn: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    precision: Estimate
    recall: Estimate
    fpr: Estimate
    f1: Estimate


def decision(predicted: ArrayLike, is_member: ArrayLike, *, level: float = 0.95) -> Decision:
    """Return counts and rates of a hard decision by a rule that was fixed before these records were seen.

    predicted, is_member: bool, (samples,); a rule `score >= threshold` gives `predicted`.
    Value and interval, with M members and N non-members:
    - recall tp / M and fpr fp / N: Clopper-Pearson.
    - accuracy (tp + tn) / (M + N): Clopper-Pearson. The count is a sum of two binomials, which spreads less
      than one binomial of the same mean (Hoeffding 1956), so this errs on the wide side.
    - precision tp / (tp + fp): Clopper-Pearson given the number called member. With M and N fixed its
      variance is at most that of this binomial, so this too errs on the wide side.
    - f1 2 tp / (2 tp + fp + fn) = 2 J / (1 + J) with J = tp / (tp + fp + fn): the Clopper-Pearson limits of
      J, put through that rising function; wide in the same way.
    - balanced accuracy (tpr + 1 - fpr) / 2: the Clopper-Pearson limits of tpr and fpr joined by
      `intervals.mover`:
      value - hypot(tpr - tpr_low, fpr_high - fpr) / 2, value + hypot(tpr_high - tpr, fpr - fpr_low) / 2.
      Approximate: enumerated over all outcomes at 5 to 100 records a side, a 95 % interval covers 0.96 or
      more on average over (tpr, fpr) and 0.925 at worst, where tpr and fpr sit at opposite ends. Joining
      the limits by Bonferroni is never below 0.95 but 1.6 times as wide.
    Undefined values are NaN with limits (0, 1): precision when nothing is called member, recall without
    members, fpr without non-members, balanced accuracy without either, f1 when there is no member and
    nothing is called one, all of them with no records.
    InputError: shapes differ or are not one-dimensional, or a dtype is not bool.
    """
    called, member = np.asarray(predicted), np.asarray(is_member)
    if called.ndim != 1 or called.shape != member.shape:
        raise InputError(
            f"predicted, is_member: expected two arrays of shape (samples,), got {called.shape} and {member.shape}"
        )
    if called.dtype != np.bool_ or member.dtype != np.bool_:
        raise InputError(
            f"predicted, is_member: expected dtype bool, got {called.dtype} and {member.dtype}; "
            "compare scores with a threshold, or cast with .astype(bool)"
        )
    n_member = int(member.sum())
    n_nonmember = member.size - n_member
    tp = int((called & member).sum())
    fp = int(called.sum()) - tp
    fn, tn = n_member - tp, n_nonmember - fp
    recall, fpr = proportion(tp, n_member, level), proportion(fp, n_nonmember, level)
    return Decision(
        n_member=n_member,
        n_nonmember=n_nonmember,
        tp=tp,
        fp=fp,
        tn=tn,
        fn=fn,
        accuracy=proportion(tp + tn, member.size, level),
        balanced_accuracy=_balanced(recall, fpr),
        precision=proportion(tp, tp + fp, level),
        recall=recall,
        fpr=fpr,
        f1=_f1(proportion(tp, tp + fp + fn, level)),
    )


def _balanced(recall: Estimate, fpr: Estimate) -> Estimate:
    value = (recall.value + 1 - fpr.value) / 2
    if math.isnan(value):
        return Estimate(math.nan, 0.0, 1.0)
    below, above = mover(recall, fpr)
    return Estimate(value, value - below / 2, value + above / 2)


def _f1(jaccard: Estimate) -> Estimate:
    value, low, high = (2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    return Estimate(value, low, high)


def always_member(n_member: int, n_nonmember: int) -> dict[str, float]:
    """Return what always answering "member" scores: the floor beside which accuracy and F1 are read.

    accuracy = precision = M / (M + N), recall 1, f1 2 M / (2 M + N), balanced_accuracy 0.5.
    InputError: a count is below 1.
    """
    if n_member < 1 or n_nonmember < 1:
        raise InputError(f"counts: expected at least 1 a side, got {n_member} members and {n_nonmember} non-members")
    share = n_member / (n_member + n_nonmember)
    return {
        "accuracy": share,
        "balanced_accuracy": 0.5,
        "precision": share,
        "recall": 1.0,
        "f1": 2 * n_member / (2 * n_member + n_nonmember),
    }
