"""Attacks: functions of what the attacker sees to scores, higher = more likely a member. No attack sees membership."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mia.arrays import Floats, Integers
from mia.attacks import base, lira, reference, rmia
from mia.attacks.evidence import Evidence
from mia.evaluation import roc


def _as_is(signal: Floats) -> Floats:
    return signal


def _minus_log(signal: Floats) -> Floats:
    """Turn round a signal that is small for members, and spread out its values near 0; the order is exact."""
    score: Floats = -np.log(np.maximum(signal, np.finfo(np.float64).tiny))
    return score


# Attack: the signal it thresholds, and what makes a score of it, higher for members.
THRESHOLD = {
    "correctness": ("correctness", _as_is),  # Yeom et al. 2018, Sec. 3.3: the gap attack
    "loss": ("loss", _minus_log),  # Yeom et al. 2018, Adversary 2
    "confidence": ("confidence", _as_is),  # Salem et al. 2019, Adversary 3: the largest posterior, no label needed
    "entropy": ("entropy", _minus_log),  # Song & Mittal 2021, Sec. 3.2; Salem et al. 2019
    "modified_entropy": ("modified_entropy", _minus_log),  # Song & Mittal 2021, Eq. 8
}
PER_CLASS = tuple(f"{attack}_per_class" for attack in THRESHOLD if attack != "correctness")  # Song & Mittal 2021
LEARNED = (
    "learned",
    "learned_per_class",
)  # Shokri et al. 2017, Sec. V-E, has one model a class

# Attacks that compare the target with reference models: what each makes of the evidence.
REFERENCE: dict[str, Callable[[Evidence, Options], Floats]] = {
    "population": lambda evidence, _: reference.population(evidence),
    "reference": lambda evidence, _: reference.reference(evidence),
    "calibrated": lambda evidence, _: reference.calibrated(evidence),
    "lira_online": lambda evidence, options: lira.online(evidence, variance=options.lira_variance),
    "lira_offline": lambda evidence, options: lira.offline(evidence, variance=options.lira_variance),
    "rmia_online": lambda evidence, options: rmia.online(evidence, gamma=options.rmia_gamma),
    "rmia_offline": lambda evidence, options: rmia.offline(evidence, gamma=options.rmia_gamma, a=options.rmia_a),
    "base_online": lambda evidence, _: base.base_online(evidence),
    "base_offline": lambda evidence, options: base.base_offline(evidence, scale=options.base_scale),
    "bavaria_normal": lambda evidence, _: base.bavaria_normal(evidence),
    "bavaria_t": lambda evidence, _: base.bavaria_t(evidence),
}
QUANTILE = "quantile"  # Bertran et al. 2023; see mia.attacks.quantile
STACKED = "stacked"  # ours; see mia.attacks.stacked
ALL = (*THRESHOLD, *PER_CLASS, *LEARNED, *REFERENCE, QUANTILE, STACKED)  # as mia.params.AttackName


@dataclass(frozen=True)
class Options:
    """What reference attacks are told. rmia_a: chosen on shadows, or given; for the others see the attack's module."""

    lira_variance: lira.Variance
    rmia_gamma: float
    rmia_a: float
    base_scale: float


def lacks(attack: str, evidence: Evidence) -> str | None:
    """Why the threat model cannot carry an online attack, in a few words; None where it can.

    Online attacks need shadows that were trained on the audited records.
    """
    if attack.endswith("_online") and not evidence.inside.count.any():
        return "needs attacker.knowledge=population"
    return None


def threshold_scores(signals: Mapping[str, Floats]) -> dict[str, Floats]:
    """The scores of every threshold attack, each of shape (samples,), from a model's signals by name."""
    return {attack: score(np.asarray(signals[signal])) for attack, (signal, score) in THRESHOLD.items()}


def class_thresholds(score: Floats, is_member: NDArray[np.bool_], labels: Integers, n_classes: int) -> Floats:
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
