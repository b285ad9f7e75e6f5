"""What an attack proves of differential privacy: a lower bound on epsilon, and the threshold to measure it at."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from mia.arrays import Floats
from mia.errors import InputError
from mia.evaluation.intervals import lower_limit, tail_of, upper_limit
from mia.evaluation.roc import curve


def lower_bound(tp: int, n_member: int, fp: int, n_nonmember: int, *, level: float = 0.95, delta: float = 0.0) -> float:
    """Return an empirical lower bound, in nats and at least 0, on epsilon of (epsilon, delta)-privacy.

    tp of n_member members and fp of n_nonmember non-members were called members at ONE rule fixed in
    advance. Any test of "in the training set" obeys TPR <= e^epsilon FPR + delta and
    1 - FPR <= e^epsilon (1 - TPR) + delta (Kairouz, Oh & Viswanath 2015), hence
    epsilon >= max(log((tpr_low - delta) / fpr_high), log((1 - fpr_high - delta) / (1 - tpr_low)), 0),
    where tpr_low and fpr_high are one-sided Clopper-Pearson limits at (1 - level) / 2 each, so both hold,
    and the bound with them, with probability >= level (Jagielski, Ullman & Oprea 2020; Nasr et al. 2021).
    No record on a side says nothing: 0.

    Rests on three things:
    - The threshold was not picked on these records. The best of many thresholds on the same records exceeds
      the bound of a fixed one by luck alone, and the limits of one binomial no longer hold. Pick it on
      shadow models (`best_threshold`) and measure here.
    - Membership was drawn at random for the records, as under a random split, so that nothing but the model
      tells the two sides apart.
    - The records are independent trials. They are NOT strictly so: all share one trained model, while the
      definition speaks of many trainings. The limits then stand for other records put to this model, and
      the bound is evidence about this training run, not a certificate about the algorithm. Steinke, Nasr &
      Jagielski (2023) give a bound from one run that needs no independence.
    InputError: a count out of its range, level not in (0, 1), delta not in [0, 1).
    """
    tail = tail_of(level)
    _check_delta(delta)
    if not (0 <= tp <= n_member and 0 <= fp <= n_nonmember):
        raise InputError(
            f"tp, fp: expected 0 <= tp <= n_member and 0 <= fp <= n_nonmember, "
            f"got {tp} of {n_member} and {fp} of {n_nonmember}"
        )
    return max(0.0, float(_bound(tp, n_member, fp, n_nonmember, tail, delta)))


def _check_delta(delta: float) -> None:
    if not 0 <= delta < 1:
        raise InputError(f"delta: expected a number in [0, 1), got {delta}")


def _bound(tp: ArrayLike, n_member: int, fp: ArrayLike, n_nonmember: int, tail: float, delta: float) -> Floats:
    """Return `lower_bound` before it is cut at 0, for arrays; -inf where neither log exists."""
    tpr_low = lower_limit(tp, n_member, tail)
    fpr_high = upper_limit(fp, n_nonmember, tail)
    with np.errstate(divide="ignore"):
        by_accusing = np.log(np.maximum(tpr_low - delta, 0) / fpr_high)
        by_clearing = np.log(np.maximum(1 - fpr_high - delta, 0) / (1 - tpr_low))
    return np.asarray(np.maximum(by_accusing, by_clearing))


def best_threshold(
    scores: ArrayLike,
    is_member: ArrayLike,
    *,
    n_member: int | None = None,
    n_nonmember: int | None = None,
    level: float = 0.95,
    delta: float = 0.0,
) -> float:
    """Return the threshold, an observed score, that maximises `lower_bound` on shadow scores.

    For use on the target with `lower_bound`. That keeps the guarantee: given the shadow scores the
    threshold is a constant, so the target's counts are those of one fixed rule. A poor choice only lowers
    the bound.
    n_member, n_nonmember: the target's counts, where they differ from the shadows'. The bound is then
    maximised as if these rates were met at that size (tp = TPR * n_member, not rounded); many pooled
    shadows otherwise choose an FPR so low that the target's few non-members cannot confirm it. The target's
    sizes are known before its scores are, so this does not break the guarantee. Left out: the shadows' own
    counts. Compared before the cut at 0; ties go to the highest threshold. Only corners of the curve are
    tried (no other point has as many tp at its fp, or as few fp at its tp): the bound rises in tp and falls
    in fp.
    InputError: as `roc.curve`; a count below 1; level or delta as `lower_bound`.
    """
    tail = tail_of(level)
    _check_delta(delta)
    roc = curve(scores, is_member)
    M = roc.n_member if n_member is None else n_member
    N = roc.n_nonmember if n_nonmember is None else n_nonmember
    if M < 1 or N < 1:
        raise InputError(f"n_member, n_nonmember: expected at least 1, got {M} and {N}")
    rises = np.diff(roc.tp) > 0
    corner = 1 + np.flatnonzero(rises & np.append(np.diff(roc.fp)[1:] > 0, True))
    bound = _bound(roc.tpr[corner] * M, M, roc.fpr[corner] * N, N, tail, delta)
    return float(roc.thresholds[corner[np.argmax(bound)]])
