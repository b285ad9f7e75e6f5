"""Threshold attacks: one signal of the model under attack, turned so that members score higher.

Each is a function of signals by name, (samples,) each (`mia.attacks.signals`), to scores, float64, (samples,). Sources:
`mia.catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mia.arrays import Bools, Floats, Integers
from mia.evaluation import roc


def correctness(signals: Mapping[str, Floats]) -> Floats:
    """1 where the model's class is the record's, else 0: the gap attack."""
    return signals["correctness"]


def views_right(signals: Mapping[str, Floats]) -> Floats:
    """The share of a record's views in which the model's class is the record's: only predicted labels are needed.

    Choquette-Choo et al. 2021 fit a classifier on which of the views are right; ours is their number.
    """
    return signals["views_right"]


def loss(signals: Mapping[str, Floats]) -> Floats:
    """Minus the log of the loss."""
    return _minus_log(signals["loss"])


def confidence(signals: Mapping[str, Floats]) -> Floats:
    """The log odds of the largest posterior; no label is needed."""
    return signals["confidence"]


def entropy(signals: Mapping[str, Floats]) -> Floats:
    """Minus the log of the posteriors' entropy; no label is needed."""
    return _minus_log(signals["entropy"])


def modified_entropy(signals: Mapping[str, Floats]) -> Floats:
    """Minus the log of the modified entropy."""
    return _minus_log(signals["modified_entropy"])


def _minus_log(signal: Floats) -> Floats:
    """Turn round a signal that is small for members, and spread out its values near 0; the order is exact."""
    score: Floats = -np.log(np.maximum(signal, np.finfo(np.float64).tiny))
    return score


def of_classes(score: Floats, is_member: Bools, labels: Integers, n_classes: int) -> Floats:
    """One threshold a class, (classes,), from shadows' scores, membership and true labels, (samples,) each.

    The threshold with the largest TPR - FPR on the class; a class without members or non-members takes that of all.
    Source: Song & Mittal 2021, Sec. 3.2.
    """
    thresholds = np.full(n_classes, roc.best_threshold(score, is_member))
    for label in np.unique(labels):
        rows = labels == label
        if is_member[rows].any() and not is_member[rows].all():
            thresholds[label] = roc.best_threshold(score[rows], is_member[rows])
    return thresholds
