"""RMIA, the robust attack: how many other records a record beats in what the target gives it beyond the references.

Zarifzadeh, Liu and Shokri 2024, "Low-Cost High-Power Membership Inference Attacks". With p the posterior of the true
class, a record's ratio is p by the target over p_bar, its mean by models with and without the record in equal parts; x
dominates z if ratio(x) / ratio(z) >= gamma. Each attack is a function of an `Evidence` to scores, float64, (samples,),
higher = member. Ratios are held as logs, nats; the log of a mean is right to about 1e-14, so where every model gives
the true class more than 1 - 1e-14 the order is rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mia.arrays import Bools, Floats
from mia.attacks.evidence import Evidence, Moments, log_p
from mia.errors import InputError
from mia.evaluation import roc

A_GRID = tuple(k / 10 for k in range(11))


def online(evidence: Evidence, *, gamma: float) -> Floats:
    """The share of audited records that the record dominates, ties broken as `_share` says; in (0, 1).

    p_bar = (mean of p over IN references + mean over OUT references) / 2, the paper's form for a prior of one half.
    InputError: gamma is no number above 0; a record has no IN or no OUT reference.
    """
    inside, outside = _every(evidence.inside, "IN"), _every(evidence.outside, "OUT")
    log_bar = np.logaddexp(inside.log_mean_p, outside.log_mean_p) - np.log(2)
    return _share(log_p(evidence.target) - log_bar, gamma)


def offline(evidence: Evidence, *, gamma: float, a: float) -> Floats:
    """As online, with p_bar = ((1 + a) p_out + (1 - a)) / 2, p_out the mean of p over OUT references.

    The paper's approximation for models that never saw the record: its mean over IN references is taken as the line
    a p_out + (1 - a). a = 1: they gain nothing; a = 0: they are certain. See `choose_a`.
    InputError: gamma is no number above 0; a is not in [0, 1]; a record has no OUT reference.
    """
    return _share(_offline_log_ratio(evidence, a), gamma)


def choose_a(evidences: Sequence[Evidence], memberships: Sequence[Bools]) -> float:
    """The a of A_GRID with the highest mean AUC of `offline` over shadows that play the target; ties to the lowest.

    evidences: for each shadow what `offline` would get were it the target, references without itself. memberships:
    which records each was trained on, bool, (samples,). The paper chooses a on reference models as well, never on the
    target. There is no gamma: it never changes the order of the scores, hence no AUC.
    InputError: no shadow, or not one membership for each; a shadow without members or non-members; as `offline`.
    """
    if not evidences or len(evidences) != len(memberships):
        raise InputError(
            f"choose_a: expected one membership for each of at least one shadow, got {len(evidences)} shadows and "
            f"{len(memberships)} memberships"
        )
    aucs = [
        [
            roc.auc(roc.curve(_middle(_offline_log_ratio(evidence, a)), is_member))
            for evidence, is_member in zip(evidences, memberships, strict=True)
        ]
        for a in A_GRID
    ]
    return A_GRID[int(np.mean(aucs, axis=1).argmax())]  # argmax takes the first, the lowest a


def _offline_log_ratio(evidence: Evidence, a: float) -> Floats:
    if not 0 <= a <= 1:
        raise InputError(f"a: expected a number in [0, 1], got {a}")
    outside = _every(evidence.outside, "OUT")
    with np.errstate(divide="ignore"):  # a = 1: log 0, p_bar is p_out
        log_bar = np.logaddexp(np.log1p(a) + outside.log_mean_p, np.log1p(-a)) - np.log(2)
    log_ratio: Floats = log_p(evidence.target) - log_bar
    return log_ratio


def _share(log_ratio: Floats, gamma: float) -> Floats:
    """The share of records z with log_ratio(x) - log_ratio(z) >= log gamma, from (samples, views); in (0, 1).

    Each z is queried in view 0, and is counted for x if at least half of x's views dominate it (the paper's vote). The
    record itself is one of the z; members of the target are among them. Ties: with r the log ratio whose comparison
    decides the vote, (count + (1 + r / (1 + |r|)) / 2) / (n + 1); what is added is strictly within (0, 1) and rises
    in r, as count does, so the order is that of r for every gamma, and records tie only if their r differ by less than
    a score can hold, n * 4e-16.
    """
    if not 0 < gamma < np.inf:
        raise InputError(f"gamma: expected a number above 0, got {gamma}")
    r = _middle(log_ratio)
    count = np.searchsorted(np.sort(log_ratio[:, 0]), r - np.log(gamma), side="right")
    share: Floats = (count + (1 + r / (1 + np.abs(r))) / 2) / (len(r) + 1)
    return share


def _middle(log_ratio: Floats) -> Floats:
    """The upper median over views, (samples,): it passes a bound exactly if at least half of the views do."""
    middle: Floats = np.sort(log_ratio, axis=1)[:, log_ratio.shape[1] // 2]
    return middle


def _every(side: Moments, name: str) -> Moments:
    if not side.count.all():
        raise InputError(
            f"references: expected an {name} model for every record, got none for {int((side.count == 0).sum())} of "
            f"{len(side.count)} records; train more shadow models"
        )
    return side
