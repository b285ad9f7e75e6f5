"""Imitators: new networks that learn the log posteriors which another model gives to records it was not trained on.

Source: Galichin et al. 2024, arXiv 2405.07562 (GLiRA). No imitator sees an audited record, so each is a model OUT that
answers as the imitated one does elsewhere. What remains of a member's margin is what that one learned from the member.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import log_softmax

from mia import seeds
from mia.arrays import Floats, Integers
from mia.errors import InputError, NotApplicable
from mia.models import checkpoints, query, training
from mia.models.checkpoints import Stored
from mia.models.lessons import Lesson
from mia.models.short_answers import CHUNK
from mia.params_audit import Recipe
from mia.store import parquet

FEWEST = 20  # records that an imitator learns from
LEAST = -50.0  # nats: a posterior of 0 would be all of the distance
_MEASURED = 250  # of the records that an imitator learns from; it is held to no others


class Task(NamedTuple):
    """One imitator. number: its model's place among the answers. source, asked: the records that it is asked about."""

    lesson: Lesson
    number: int
    source: str
    asked: Integers


class Imitated(NamedTuple):
    """A model and its imitators' records. learned: rows of the attacker's. source, asked: as of Task."""

    model_id: int
    learned: Integers
    source: str
    asked: Integers

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"shadow {self.model_id}" if self.model_id else "the target"


def tasks_of(seed: int, imitated: list[Imitated], models: int) -> list[Task]:
    """So many imitators of each model, each with randomness of its own.

    Raises NotApplicable where a model has fewer than FEWEST records to be learned from.
    """
    tasks = []
    for number, model in enumerate(imitated):
        if len(model.learned) < FEWEST:
            raise NotApplicable(
                f"imitators of {model.name}: expected at least {FEWEST} known non-members to learn from, got "
                f"{len(model.learned)}"
            )
        for k in range(models):
            lesson = Lesson(
                model.model_id,
                members=model.learned,
                nonmembers=model.learned[:_MEASURED],
                initial_seed=seeds.integer(seed, "imitator weights", model.model_id, k),
                order_seed=seeds.integer(seed, "imitator order", model.model_id, k),
                augmentation_seed=seeds.integer(seed, "imitator augmentation", model.model_id, k),
                name=f"imitator {k + 1} of {model.name}",
            )
            tasks.append(Task(lesson, number, model.source, model.asked))
    return tasks


def learn(
    population: NDArray[np.uint8],
    population_labels: Integers,
    images: NDArray[np.uint8],
    labels: Integers,
    answers: NDArray[np.float32],
    recipe: Recipe,
    margin: Callable[[NDArray[np.float32], NDArray[np.int64]], Floats],
    snapshot_folder: Path | None,
    task: Task,
) -> tuple[Floats, Path | None]:
    """Train one imitator and ask it: its margins of the records asked about, nats, (records,), and its snapshot.

    images: the attacker's, (samples, height, width, channels). answers: (models, samples, classes), the log posteriors
    that each imitated model gives to them, nats. margin: of logits (records, classes) and labels (records,).
    Raises NotApplicable where the training diverges, else as `training.train`.
    """
    try:
        (trained,) = training.train(
            images, answers[task.number], answers.shape[2], recipe, snapshot_folder, [task.lesson]
        )
    except training.Diverged as error:
        raise NotApplicable(str(error).partition("; ")[0]) from None
    model = checkpoints.build(Stored(Path(), trained.description, trained.weights))
    held, classes = (population, population_labels) if task.source == "population" else (images, labels)
    chunks = [task.asked[start : start + CHUNK] for start in range(0, len(task.asked), CHUNK)]
    return np.concatenate([margin(query.logits(model, held[rows]), classes[rows]) for rows in chunks]), trained.snapshot


def log_posteriors(path: Path, answers: pa.Table, count: int) -> NDArray[np.float32]:
    """A model's log posteriors of the attacker's records themselves, nats, (records, classes), LEAST or more.

    answers: the model's rows of SIGNALS or SHORT, from path. count: of records.
    Raises NotApplicable where they are short or hold no posteriors, InputError where a record has not one answer.
    """
    if "margin" in answers.column_names:
        raise NotApplicable(f"needs logits of all the attacker's records, and {path} is kept short")
    if answers.column("holds")[0].as_py() != "posteriors":
        raise NotApplicable("the answers hold no posteriors")
    asked = pc.and_(pc.equal(answers.column("source"), "attacker"), pc.equal(answers.column("view"), 0))
    answers = answers.filter(asked)
    order = np.argsort(answers.column("sample_id").to_numpy(), kind="stable")
    if not np.array_equal(answers.column("sample_id").to_numpy()[order], np.arange(count)):
        raise InputError(
            f"{path}: expected one answer about each of the attacker's {count} records, got {len(order)} answers; "
            "`dvc repro` queries all models anew"
        )
    values: Floats = log_softmax(parquet.matrix(path, answers, "logits")[order].astype(np.float64), axis=1)
    return np.maximum(values, LEAST).astype(np.float32)
