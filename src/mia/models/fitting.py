"""Models that are fitted, not trained step by step: anything with `fit` and one of METHODS.

A model is queried about every record as soon as it is fitted, and its answers are kept. So no model is ever loaded for
queries. The target's file is for its owner; a model that cannot be stored without pickle leaves only its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp
from threadpoolctl import threadpool_limits

from mia.arrays import Floats, Integers
from mia.data.records import Records
from mia.errors import InputError
from mia.models import kept_models
from mia.models.learning import LEARNING
from mia.models.lessons import Lesson

METHODS = ("predict_proba", "decision_function", "logits")
TARGET = 0  # its model_id; of a shadow the answers alone are kept
LEAST = float(np.finfo(np.float32).tiny)
SUMS = 1e-3  # how far from 1 posteriors may add up
Make = Callable[[int], Any]  # of a seed: a model that is not fitted


@dataclass(frozen=True)
class Fitted:
    """A fitted model. answers: by source, its logits (samples, classes). files: content by suffix (kept_models)."""

    model_id: int
    answers: Mapping[str, NDArray[np.float32]]
    learning: pd.DataFrame
    files: Mapping[str, bytes]


def fit(make: Make, sources: Mapping[str, Records], trained_on: str, lesson: Lesson) -> Fitted:
    """A model fitted on its lesson's members, on one thread, and its answers about every record of every source.

    trained_on: the source whose rows the lesson names.
    Raises InputError where it does not answer as METHODS should.
    """
    records = sources[trained_on]
    n_classes = len(records.classes)
    with threadpool_limits(1):
        model = make(lesson.initial_seed)
        own = records.take(lesson.members)
        fitted = model.fit(own.x, own.labels)
        model = model if fitted is None else fitted
        answers = {name: logits(model, source.x, n_classes, len(own)) for name, source in sources.items()}
        files = kept_models.files(model) if lesson.model_id == TARGET else {}
    return Fitted(lesson.model_id, answers, _learning(lesson, answers[trained_on], records.labels), files)


def logits(model: Any, x: Any, n_classes: int, members: int) -> NDArray[np.float32]:
    """A model's answers as logits, (samples, classes). members: how many records it was fitted on.

    Of posteriors these are their logarithms. In place of a probability of 0 stands half of what one record among the
    members weighs, or half of the smallest probability that the model gives, whichever is less: trees count records,
    and models of one size then have one floor. Columns follow `classes_` where the model has it, else 0, 1, 2 ...
    Raises InputError where answers have another shape, are not finite, or do not add up to 1.
    """
    method = next((name for name in METHODS if callable(getattr(model, name, None))), None)
    if method is None:
        raise InputError(f"{_name(model)}: expected one of {', '.join(METHODS)}, got a model with none of them")
    values = np.asarray(getattr(model, method)(x), np.float64)
    place = f"{_name(model)}.{method}"
    if values.ndim == 1 and method == "decision_function":
        values = np.stack([np.zeros(len(values)), values], axis=1)
    classes = np.asarray(getattr(model, "classes_", np.arange(values.shape[-1])))
    if values.shape != (len(x), len(classes)) or not set(classes.tolist()) <= set(range(n_classes)):
        raise InputError(
            f"{place}: expected a row a record and a column a class, {len(x)} x {n_classes}, got "
            f"{' x '.join(map(str, values.shape))} of classes {classes.tolist()[:20]}"
        )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise InputError(f"{place}: expected finite numbers, got {values[row].tolist()[:10]} for record {row}")
    if method == "predict_proba":
        off = np.abs(values.sum(axis=1) - 1)
        if (values < 0).any() or (off > SUMS).any():
            row = int(np.flatnonzero((values < 0).any(axis=1) | (off > SUMS))[0])
            raise InputError(
                f"{place}: expected probabilities that add up to 1, got {values[row].tolist()[:10]} for record {row}"
            )
        floor = max(LEAST, min(1 / members, float(values[values > 0].min())) / 2)
        values = np.log(np.maximum(values, floor))
    every = np.full((len(values), n_classes), -np.log(2 * members))
    every[:, classes] = values - (logsumexp(values, axis=1, keepdims=True) if len(classes) < n_classes else 0)
    return every.astype(np.float32)


def _learning(lesson: Lesson, answers: NDArray[np.float32], labels: Integers) -> pd.DataFrame:
    """The one row of a model's learning curve (learning.LEARNING)."""

    def accuracy(rows: Integers) -> float:
        return float((answers[rows].argmax(axis=1) == labels[rows]).mean())

    log_p: Floats = log_softmax(answers[lesson.members].astype(np.float64), axis=1)
    loss = -log_p[np.arange(len(log_p)), labels[lesson.members]].mean()
    row = lesson.model_id, 1, loss, accuracy(lesson.members), accuracy(lesson.nonmembers)
    return pd.DataFrame([row], columns=LEARNING.names)


def _name(model: Any) -> str:
    return type(model).__name__
