"""Attacks: functions of what the attacker sees to scores, higher = more likely a member. No attack sees membership."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Attack: the signal it thresholds, and the sign that makes higher mean member.
THRESHOLD = {
    "correctness": ("correctness", +1),  # Yeom et al. 2018, Sec. 3.3: the gap attack
    "loss": ("loss", -1),  # Yeom et al. 2018, Adversary 2
    "confidence": (
        "confidence",
        +1,
    ),  # Salem et al. 2019, Adversary 3: the largest posterior, no label needed
    "entropy": ("entropy", -1),  # Song & Mittal 2021, Sec. 3.2; Salem et al. 2019
    "modified_entropy": ("modified_entropy", -1),  # Song & Mittal 2021, Eq. 8
}
LEARNED = "learned"  # Shokri et al. 2017, Sec. V-E; see mia.learned


def threshold_scores(signals: Mapping[str, Floats]) -> dict[str, Floats]:
    """The scores of every threshold attack, each of shape (samples,), from a model's signals by name."""
    return {attack: sign * np.asarray(signals[signal]) for attack, (signal, sign) in THRESHOLD.items()}
