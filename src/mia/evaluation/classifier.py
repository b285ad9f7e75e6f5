"""How well a classifier does, on its members or on its non-members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from mia.errors import InputError


def quality(predicted: ArrayLike, labels: ArrayLike, loss: ArrayLike, n_classes: int) -> dict[str, float]:
    """Return how well a classifier does: accuracy, macro precision, recall and F1, mean loss.

    predicted, labels: whole numbers in [0, n_classes), (samples,). loss: float, (samples,), nats.
    Keys: accuracy, macro_precision, macro_recall, macro_f1, loss; not rounded, so that gaps can be taken.
    macro_* is the plain mean over the classes that occur in labels or predictions; others are left out.
    Within a class: precision tp / (tp + fp), recall tp / (tp + fn), f1 2 tp / (2 tp + fp + fn); a class that
    is never predicted has precision 0, one that is never a label has recall 0 (scikit-learn's
    zero_division=0). Counted here and not by scikit-learn, whose import alone takes longer than the stage.
    InputError: no record, shapes differ, a class out of range or not whole, a loss that is not finite.
    """
    guess, truth, nats = np.asarray(predicted), np.asarray(labels), np.asarray(loss, dtype=np.float64)
    if guess.ndim != 1 or guess.size == 0 or not guess.shape == truth.shape == nats.shape:
        raise InputError(
            "predicted, labels, loss: expected three arrays of shape (samples,), at least one record, "
            f"got {guess.shape}, {truth.shape} and {nats.shape}"
        )
    for name, classes in (("predicted", guess), ("labels", truth)):
        if not np.issubdtype(classes.dtype, np.integer):
            raise InputError(f"{name}: expected whole numbers, got dtype {classes.dtype}")
        if classes.min() < 0 or classes.max() >= n_classes:
            raise InputError(f"{name}: expected classes in 0..{n_classes - 1}, got {classes.min()} to {classes.max()}")
    bad = int((~np.isfinite(nats)).sum())
    if bad:
        raise InputError(f"loss: expected finite numbers, got {bad} NaN or infinite among {nats.size}")
    right = np.bincount(truth[guess == truth], minlength=n_classes)
    called = np.bincount(guess, minlength=n_classes)
    actual = np.bincount(truth, minlength=n_classes)
    seen = called + actual > 0
    right, called, actual = right[seen], called[seen], actual[seen]
    # right is 0 wherever a denominator is, and 0 / 1 is the 0 that the contract promises
    return {
        "accuracy": int(right.sum()) / guess.size,
        "macro_precision": float(np.mean(right / np.maximum(called, 1))),
        "macro_recall": float(np.mean(right / np.maximum(actual, 1))),
        "macro_f1": float(np.mean(2 * right / (called + actual))),
        "loss": float(np.mean(nats)),
    }


def over_models(qualities: Sequence[Mapping[str, float]]) -> dict[str, float | int]:
    """Return how good several models are: their number, the mean of each key, the extremes of test_accuracy.

    qualities: at least one model, the same keys for each, test_accuracy among them.
    """
    mean = {name: float(np.mean([quality[name] for quality in qualities])) for name in qualities[0]}
    test = [quality["test_accuracy"] for quality in qualities]
    return {"models": len(qualities), **mean, "test_accuracy_min": min(test), "test_accuracy_max": max(test)}
