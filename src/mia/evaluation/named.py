"""The records that an attack accuses: those whose score is high enough for an FPR."""

from __future__ import annotations

import numpy as np

from mia.arrays import Bools, Floats
from mia.evaluation.roc import false_positives_allowed


def named_at(scores: Floats, is_member: Bools, fpr: float) -> Bools:
    """Return which records an attack calls members at the point of `roc.tpr_at`, (records,).

    scores: (records,), higher for members. Of the non-members as many as `fpr` allows, or fewer where scores tie:
    whoever scores above the first that may not be named.
    """
    nonmembers = np.sort(scores[~is_member])[::-1]
    allowed = false_positives_allowed(fpr, nonmembers.size)
    if allowed >= nonmembers.size:
        return np.ones(scores.shape, dtype=bool)
    return np.asarray(scores > nonmembers[allowed])
