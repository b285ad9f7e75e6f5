"""What a classifier finds that is told who is a member of half of the records, and is used on the other half.

No attack, and never the verdict: no attacker knows the members. So it bounds what a threshold or any other rule on
these answers finds, as far as this classifier learns it. It does not bound attacks with shadow models, which also know
how hard each record is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mia.arrays import Bools, Floats
from mia.evaluation import verdict, wording
from mia.evaluation.differences import auc_interval, placements
from mia.evaluation.strongest import tpr_limits

# Small trees, which learn most of few records: of 300 an AUC of .88 (31 leaves, scikit-learn's default: .85; the loss
# alone: .92), of 60,000 .746 (.742; .743). With few records it is no bound of what they tell.
SETTINGS = {"max_iter": 100, "learning_rate": 0.05, "max_leaf_nodes": 4, "early_stopping": False}
LEVEL = 0.95


def halves(is_member: Bools, rng: np.random.Generator) -> Bools:
    """Which records stand in the first half, (samples,): half of the members and half of the non-members, drawn."""
    half = np.zeros(len(is_member), bool)
    for side in (True, False):
        rows = rng.permutation(np.flatnonzero(is_member == side))
        half[rows[: len(rows) // 2]] = True
    return half


def unseen(features: Floats, is_member: Bools, fitted: Bools) -> Floats:
    """P(member) of the records that are not `fitted`, by boosted trees that were fitted on the others.

    features: (samples, features). is_member, fitted: (samples,); two members and two non-members at least.
    """
    import threadpoolctl
    from sklearn.ensemble import HistGradientBoostingClassifier

    with threadpoolctl.threadpool_limits(1):  # it runs in a fork, and the scores are the same on any number
        model = HistGradientBoostingClassifier(**SETTINGS).fit(features[fitted], is_member[fitted])
        score: Floats = model.predict_proba(features[~fitted])[:, 1]
    return score


def numbers(score: Floats, is_member: Bools, fprs: Sequence[float]) -> dict[str, float]:
    """AUC (DeLong) and, at the verdict's FPR, the TPR (`strongest.tpr_limits`), with 95 % limits.

    Keys: auc, auc_low, auc_high, fpr, tpr, tpr_low, tpr_high; the last four are left out where the non-members are too
    few (`verdict.headline_fpr`).
    """
    auc = auc_interval(placements(score, is_member), level=LEVEL)
    measured = {"auc": round(auc.value, 4), "auc_low": round(auc.low, 4), "auc_high": round(auc.high, 4)}
    fpr = verdict.headline_fpr(fprs, int((~is_member).sum()))
    if fpr is not None:
        tpr = tpr_limits(score[is_member], score[~is_member], fpr=fpr, tail=(1 - LEVEL) / 2)
        measured |= {"fpr": fpr, "tpr": round(tpr.value, 5), "tpr_low": round(tpr.low, 5)}
        measured["tpr_high"] = round(tpr.high, 5)
    return measured


def sentence(measured: Mapping[str, Any], noun: str) -> str:
    """The same in words. measured: as `numbers` gives it. noun: what one audited record is called."""
    finds = f"has an AUC of {wording.fraction(measured, 'auc')}"
    if "tpr" in measured:
        recognised, fpr = verdict.share(measured, "tpr"), verdict.rate(measured["fpr"])
        finds = f"recognises {recognised} of the members at {fpr} % FPR and {finds}"
    return (
        f"Beside the attacks: a classifier that is told the membership of half of the {noun}s, which no attacker "
        f"knows, {finds} on the other half. This is no ceiling: attacks with shadow models can recognise more."
    )
