"""Lessons: what each model is trained on, and which models are trained in the same steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mia import seeds
from mia.params_audit import Recipe


@dataclass(frozen=True)
class Lesson:
    """What one model is trained on and its randomness. members, nonmembers: rows of the images, int64.

    name: what messages call the model; empty where its model_id says it.
    """

    model_id: int
    members: NDArray[np.int64]
    nonmembers: NDArray[np.int64]
    initial_seed: int
    order_seed: int
    augmentation_seed: int
    name: str = ""


def lesson_of(seed: int, membership: pd.DataFrame) -> Lesson:
    """The lesson of the one model in a membership table; its randomness depends on its model_id and the seed alone."""
    (model_id,) = membership["model_id"].unique().tolist()
    sample_id, is_member = membership["sample_id"].to_numpy(np.int64), membership["is_member"].to_numpy(bool)
    return Lesson(
        model_id,
        members=sample_id[is_member],
        nonmembers=sample_id[~is_member],
        initial_seed=seeds.integer(seed, "initial weights", model_id),
        order_seed=seeds.integer(seed, "training order", model_id),
        augmentation_seed=seeds.integer(seed, "augmentation", model_id),
    )


def together(lessons: Sequence[Lesson], recipe: Recipe, at_most: int, *, compares: bool) -> list[list[Lesson]]:
    """Lessons in groups that `training.train` takes.

    A group keeps the lessons' order, holds at most `at_most` of them, and all of them have as many steps an epoch.
    compares: the models compare the records of a batch (`building.compares_records`).
    """
    groups: list[list[Lesson]] = []
    for lesson in lessons:
        steps = steps_an_epoch(lesson, recipe, compares)
        if groups and len(groups[-1]) < at_most and steps_an_epoch(groups[-1][0], recipe, compares) == steps:
            groups[-1].append(lesson)
        else:
            groups.append([lesson])
    return groups


def steps_an_epoch(lesson: Lesson, recipe: Recipe, compares: bool) -> int:
    """Batches an epoch; the last may be smaller, but no image is alone where batch normalisation compares images."""
    full, rest = divmod(len(lesson.members), recipe.batch_size)
    return full + (rest > int(compares and full > 0))


def name_of(lessons: Sequence[Lesson]) -> str:
    """What the models are called in messages: target, shadow 3, shadows 1 to 4, or a name of its own."""
    if len(lessons) > 1:
        return f"shadows {lessons[0].model_id} to {lessons[-1].model_id}"
    if lessons[0].name:
        return lessons[0].name
    return f"shadow {lessons[0].model_id}" if lessons[0].model_id else "target"
