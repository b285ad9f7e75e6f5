"""What is wrong with a trained model that a user brings, found on a sample of its answers and named.

Errors are what makes every number of an audit wrong: answers that change from query to query or with the batch, another
scale of pixels, another order of classes. What may be the model's nature is a warning.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from mia.arrays import Bools, Floats, Integers
from mia.data.records import Records
from mia.errors import InputError
from mia.models import fitting
from mia.models.given_model import SCALES, Asked
from mia.params_audit import Model

SAMPLE = 512  # members, and as many non-members
FEW = 16  # rows whose answers are compared from query to query
NEAR = 2e-3  # how far two answers to one query may lie apart, of the largest answer: sums in another order do less
SURE = 4.0  # standard errors from which on a difference of accuracies is no chance
BETTER = 0.05  # by which accuracy must rise where another scale or order is said to be meant


def check(model: Asked, records: Records, is_member: Bools) -> None:
    """Look at a sample of the population, print the accuracy on members and non-members, and warn on stderr.

    Raises InputError for a model whose answers say nothing about the records.
    """
    rows = np.sort(np.concatenate([_spread(np.flatnonzero(is_member)), _spread(np.flatnonzero(~is_member))]))
    sample, member = records.take(rows), is_member[rows]
    _check_state(model, sample)
    raw = model.raw(sample.x)
    _check_outputs(model, raw)
    predicted = model.order[raw.argmax(axis=1)]
    right = predicted == sample.labels
    inside, outside = right[member], right[~member]
    print(
        f"{model.place}: right on {100 * inside.mean():.1f} % of {len(inside):,} members and on "
        f"{100 * outside.mean():.1f} % of {len(outside):,} non-members"
    )
    _check_order(model, predicted, sample.labels)
    _check_input(model, sample, right)
    if not _beats_guessing(right, sample.labels):
        fed = "model.columns" if records.is_table else "model.pixels, mean, deviation"
        _warn(
            model,
            f"is right on {100 * right.mean():.1f} % of records, no more than guessing gives: compare {fed} and "
            f"classes in {model.settings_file} with what it was trained on",
        )
    if _above(outside, inside) > SURE:
        _warn(
            model,
            f"is right on {100 * outside.mean():.1f} % of non-members and on {100 * inside.mean():.1f} % of members: "
            "are members and non-members swapped?",
        )


def _spread(rows: Integers) -> Integers:
    """At most SAMPLE rows, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(np.int64)]


def _check_state(model: Asked, sample: Records) -> None:
    """A model answers a query as before, whatever other queries came between, and whatever else is in the batch."""
    few = sample.take(np.arange(min(FEW, len(sample) // 2)))
    others = sample.take(np.arange(len(sample) - len(few), len(sample)))
    first = model.raw(few.x)
    model.raw(others.x)
    if (off := _apart(first, model.raw(few.x))) > NEAR:
        raise InputError(
            f"{model.place}: two queries of the same {len(few)} records differ by {off:.2g}: the model is in training "
            "mode, or draws or remembers something; switch that off (model.eval() in torch) and export it again"
        )
    if model.reading.batch not in (None, 1):  # no record can be queried alone
        return
    alone = np.concatenate([model.raw(few.take(np.array([row])).x) for row in range(min(4, len(few)))])
    if (off := _apart(first[: len(alone)], alone)) > NEAR:
        raise InputError(
            f"{model.place}: a query of one record has another answer than in a batch of {len(few)}, by {off:.2g}: "
            "an answer must not depend on other records, as batch normalisation in training mode does; export the "
            "model in evaluation mode"
        )


def _apart(first: Floats, second: Floats) -> float:
    return float(np.abs(first - second).max() / max(1.0, np.abs(first[np.isfinite(first)]).max(initial=0)))


def _check_outputs(model: Asked, raw: Floats) -> None:
    odd = ~np.isfinite(raw).all(axis=1)
    if odd.any():
        row = int(odd.argmax())
        raise InputError(f"{model.place}: expected finite answers, got {_numbers(raw[row])}; mend the model")
    if model.settings.outputs != "probabilities":
        return
    odd = (raw < 0).any(axis=1) | (np.abs(raw.sum(axis=1) - 1) > fitting.SUMS)
    if odd.any():
        row = int(odd.argmax())
        raise InputError(
            f"{model.place}: model.outputs: probabilities: expected numbers from 0 that add up to 1, got "
            f"{_numbers(raw[row])}; set model.outputs to logits in {model.settings_file} if that is what they are"
        )


def _check_input(model: Asked, sample: Records, right: Bools) -> None:
    """Raise InputError where the model is far more often right if pixels are scaled or laid out otherwise."""
    best, most = model.settings, right
    for settings in ways(model, sample):
        try:
            raw = dataclasses.replace(model, settings=settings).raw(sample.x)
        except InputError:  # it cannot be given images of that layout
            continue
        other = model.order[raw.argmax(axis=1)] == sample.labels
        if other.mean() > most.mean():
            best, most = settings, other
    if most.mean() > right.mean() + BETTER and _gains(most, right) > SURE and _beats_guessing(most, sample.labels):
        changed = [name for name in ("layout", "pixels") if getattr(best, name) != getattr(model.settings, name)]
        has, meant = (
            " and ".join(f"model.{name}: {getattr(settings, name)}" for name in changed)
            for settings in (model.settings, best)
        )
        raise InputError(
            f"{model.place}: right on {100 * right.mean():.1f} % of records with {has}, and on "
            f"{100 * most.mean():.1f} % with {meant}; set that in {model.settings_file}, or mean and deviation"
        )


def ways(model: Asked, sample: Records) -> list[Model]:
    """The settings with every other scale and layout of images that the model's file allows."""
    if sample.is_table:
        return []
    scales = [model.settings.pixels] if model.reading.dtype == "uint8" else list(SCALES)
    return [
        model.settings.model_copy(update={"pixels": pixels, "layout": layout})
        for layout, pixels in itertools.product(("channels_last", "channels_first"), scales)
        if (layout, pixels) != (model.settings.layout, model.settings.pixels)
    ]


def _check_order(model: Asked, predicted: Integers, labels: Integers) -> None:
    """Raise InputError where the model's classes, renamed, fit far better.

    The names are chosen on every second record, and tried on the others.
    """
    n_classes = len(model.classes)
    choose = np.arange(len(labels)) % 2 == 0
    counts = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(counts, (predicted[choose], labels[choose]), 1)
    _, renamed = linear_sum_assignment(-counts + 1e-6 * (1 - np.eye(n_classes)))  # of two alike, the names as they are
    as_they_are = predicted[~choose] == labels[~choose]
    otherwise = renamed[predicted[~choose]] == labels[~choose]
    far = otherwise.mean() > as_they_are.mean() + BETTER and _gains(otherwise, as_they_are) > SURE
    if far and _beats_guessing(otherwise, labels[~choose]):
        names = [model.classes[renamed[label]] for label in model.order]
        raise InputError(
            f"{model.place}: right on {100 * as_they_are.mean():.1f} % of records, and on "
            f"{100 * otherwise.mean():.1f} % with its classes in another order; set model.classes in "
            f"{model.settings_file} to [{', '.join(names[:20])}{', ...' if len(names) > 20 else ''}]"
        )


def _beats_guessing(right: Bools, labels: Integers) -> bool:
    """Whether the mean of the accuracies on each class is above one over the number of classes, and not by chance."""
    classes, counts = np.unique(labels, return_counts=True)
    each = np.array([right[labels == label].mean() for label in classes])
    chance = 1 / len(classes)
    error = np.sqrt(chance * (1 - chance) * (1 / counts).sum()) / len(classes)
    return bool(each.mean() > chance + 3 * error)


def _above(first: Bools, second: Bools) -> float:
    """By how many standard errors the first share lies above the second."""
    share = (first.sum() + second.sum()) / (len(first) + len(second))
    error = np.sqrt(share * (1 - share) * (1 / len(first) + 1 / len(second)))
    return float((first.mean() - second.mean()) / error) if error else 0.0


def _gains(first: Bools, second: Bools) -> float:
    """By how many standard errors the first is more often right than the second about the same records (McNemar)."""
    more, less = int((first & ~second).sum()), int((second & ~first).sum())
    return (more - less) / float(np.sqrt(more + less)) if more + less else 0.0


def _numbers(values: Any) -> str:
    return f"[{', '.join(f'{value:.3g}' for value in values[:6])}{', ...' if len(values) > 6 else ''}]"


def _warn(model: Asked, line: str) -> None:
    print(f"warning: {model.place}: {line}", file=sys.stderr)
