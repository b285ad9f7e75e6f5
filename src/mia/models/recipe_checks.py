"""What is tried of a user's `build` before hours are spent: on a few records, in seconds."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.arrays import Integers
from mia.data.records import Records
from mia.errors import InputError
from mia.models import fitting
from mia.models.fitting import Make

RECORDS = 200
CLOSE = 1e-4  # of two answers' logits: sums in another order


def check(make: Make, records: Records, place: str) -> None:
    """Fit two models of one seed on a few records, and query them in several ways.

    place: what made them, for messages. Raises InputError with a line a fault.
    """
    few = records.take(sample(records))
    n_classes, half = len(records.classes), (len(few) + 1) // 2
    first, again = make(1), make(1)
    if first is again:
        raise InputError(f"{place}: expected a new model at each call, got the same object twice")
    if _answers(first, few, n_classes) is not None:
        raise InputError(f"{place}: expected a model that is not fitted, got one that answers already")
    own = few.take(np.arange(half))
    x, y = copy.deepcopy(own.x), own.labels.copy()
    models = [fitted if (fitted := model.fit(x, y)) is not None else model for model in (first, again)]
    faults = []
    if own.digests.tolist() != Records(x, y, own.classes, None, own.names).digests.tolist() or (y != own.labels).any():
        faults.append("fit changed the records or labels that it was given; let it work on a copy")
    answers = [fitting.logits(model, few.x, n_classes, half) for model in models]
    if (worst := _difference(*answers)) > CLOSE:
        faults.append(f"two models of one seed differ by up to {worst:.2g} in a logit; draw from the seed alone")
    if (worst := _difference(fitting.logits(models[0], few.x, n_classes, half), answers[0])) > CLOSE:
        faults.append(f"a second query of the same records differs by up to {worst:.2g} in a logit; is dropout on?")
    alone = fitting.logits(models[0], few.take(np.array([0])).x, n_classes, half)
    if (worst := _difference(alone, answers[0][:1])) > CLOSE:
        faults.append(f"a record alone is answered otherwise than among others, by up to {worst:.2g} in a logit")
    if faults:
        raise InputError("\n".join(f"{place}: {fault}" for fault in faults))


def sample(records: Records) -> Integers:
    """Rows of up to RECORDS records, those of every class in turn."""
    order = np.arange(len(records))
    nth = np.zeros(len(records), np.int64)  # of its class
    for label in range(len(records.classes)):
        rows = records.labels == label
        nth[rows] = np.arange(rows.sum())
    return np.lexsort((order, nth))[:RECORDS]


def _answers(model: Any, few: Records, n_classes: int) -> NDArray[np.float32] | None:
    try:
        return fitting.logits(model, few.x, n_classes, len(few))
    except Exception:  # a model that is not fitted may raise anything
        return None


def _difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a - b).max())
