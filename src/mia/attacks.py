"""Attacks: functions of what the attacker sees to scores, higher = more likely a member. No attack sees membership."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
LEARNED = "learned"  # Shokri et al. 2017, Sec. V-E; see mia.learned


def threshold_scores(signals: Mapping[str, Floats]) -> dict[str, Floats]:
    """The scores of every threshold attack, each of shape (samples,), from a model's signals by name."""
    return {attack: score(np.asarray(signals[signal])) for attack, (signal, score) in THRESHOLD.items()}
