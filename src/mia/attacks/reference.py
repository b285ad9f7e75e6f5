"""Reference attacks: where a record's loss stands among other records, or among models that never saw it.

Attacks P and R are of Ye et al. 2022, "Enhanced Membership Inference Attacks against Machine Learning Models".

Losses are compared through margins: the loss log(1 + exp(-margin)) strictly falls in the margin, which does not round
to 0 where the loss does. Each attack is a function of an `Evidence` to scores, float64, (samples,), higher = member.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from mia.arrays import Floats
from mia.attacks.evidence import Evidence, Moments
from mia.errors import InputError


def population(evidence: Evidence) -> Floats:
    """Attack P: the share of audited records with a larger loss under the target than this one has, in (0, 1).

    Ye et al. 2022, attack P: the loss is compared with a quantile of the target's losses on population records.
    The population here is the audited records, members among them, so the score is a rank and no false positive rate;
    its ROC curve is that of the loss. Equal losses count one half each, the record itself among them: equal losses,
    equal scores. Reads view 0 of the target, no reference.
    """
    share: Floats = (rankdata(evidence.target[:, 0]) - 0.5) / len(evidence)
    return share


def reference(evidence: Evidence) -> Floats:
    """Attack R: the share of OUT references whose loss on the record is at least the target's, ties broken; in (0, 1).

    Ye et al. 2022, attack R: the loss is compared with a quantile of the OUT references' losses on the same
    record. Among K of them the share has K + 1 values, so the margin less its OUT mean, d nats, orders records of the
    same share: (count + (1 + d / (1 + |d|)) / 2) / (K + 1). The fraction that is added lies strictly within (0, 1), so
    records with the same K are never ordered against their shares. K may differ by record; then each score is still
    within 1 / (K + 1) of its share. Reads view 0.
    InputError: a record has no OUT reference.
    """
    out = _outside(evidence)
    target = evidence.target[:, 0]
    count = np.zeros(len(evidence), np.int64)
    for margins, is_in in zip(evidence.references, evidence.is_in, strict=True):
        count += ~is_in & (margins[:, 0] <= target)
    d = target - out.mean[:, 0]
    score: Floats = (count + (1 + d / (1 + np.abs(d))) / 2) / (out.count + 1)
    return score


def calibrated(evidence: Evidence) -> Floats:
    """The target's margin less its mean over OUT references, mean over views, nats.

    Watson et al. 2022, "On the Importance of Difficulty Calibration in Membership Inference Attacks": a record's
    signal less what models trained without it give on average. They calibrate loss, confidence or gradient
    norm; the margin is ours, as it saturates at neither end.
    InputError: a record has no OUT reference.
    """
    difference: Floats = (evidence.target - _outside(evidence).mean).mean(axis=1)
    return difference


def _outside(evidence: Evidence) -> Moments:
    count = evidence.outside.count
    if not count.all():
        raise InputError(
            f"references: expected, for every record, a model that was not trained on it, got none for "
            f"{int((count == 0).sum())} of {len(evidence)} records; train more shadow models"
        )
    return evidence.outside
