"""Signals: what one output says of one record. All from logits, in float64 and log space, so that none saturates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logsumexp, softmax

from mia.arrays import Floats

NAMES = ("loss", "margin", "confidence", "entropy", "modified_entropy", "correctness")


def log_odds(logits: NDArray[np.float32] | Floats, classes: NDArray[np.int64]) -> Floats:
    """log p - log(1 - p) of one class a record, nats, shape (samples,): its logit less logsumexp of all others."""
    rows = np.arange(len(logits))
    others = np.array(logits, np.float64)
    own = others[rows, classes]
    others[rows, classes] = -np.inf
    difference: Floats = own - logsumexp(others, axis=1)
    return difference


def loss(margin: Floats) -> Floats:
    """-log p of the class whose margin log p - log(1 - p) this is, nats; neither saturates."""
    nats: Floats = np.logaddexp(0, -margin)
    return nats


def all_signals(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Floats]:
    """Every signal in NAMES, each of shape (samples,), from logits (samples, classes) and true labels.

    margin: log p_y - log(1 - p_y), nats (the phi of Carlini et al. 2022, Sec. VI-A). loss: -log p_y, nats.
    confidence: the log odds of the largest posterior, nats: ranks records as the posterior itself does, without
    rounding to 1. entropy: -sum p log p, nats. modified_entropy: Song & Mittal 2021, Eq. 8, nats:
    -(1 - p_y) log p_y - sum over i != y of p_i log(1 - p_i). correctness: 1 where the largest logit is the label's.
    """
    rows = np.arange(len(logits))
    predicted = logits.argmax(axis=1)
    margin = log_odds(logits, labels)
    confidence = log_odds(logits, predicted)
    log_p = log_softmax(logits.astype(np.float64), axis=1)
    p = np.exp(log_p)

    log_1_minus_p = np.log1p(-np.minimum(p, 0.75))  # only the largest posterior can be above; it is set below
    log_1_minus_p[rows, predicted] = -np.logaddexp(0, confidence)
    nats = loss(margin)
    wrong = p * log_1_minus_p
    wrong[rows, labels] = 0
    return {
        "loss": nats,
        "margin": margin,
        "confidence": confidence,
        "entropy": -(p * log_p).sum(axis=1),
        "modified_entropy": nats * expit(-margin) - wrong.sum(axis=1),
        "correctness": (predicted == labels).astype(np.float64),
    }


def posteriors(logits: NDArray[np.float32]) -> Floats:
    """Softmax outputs, shape (samples, classes)."""
    values: Floats = softmax(logits.astype(np.float64), axis=1)
    return values
