"""What is wrong with a trained model is noticed on a sample, and named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import models
from mia.data.records import Records
from mia.errors import InputError
from mia.models import model_checks
from mia.models.given_model import Asked
from mia.models.model_files import Reading

RECORDS = models.images(count=600)
MEMBER = np.arange(600) % 4 < 2
FILE = "audits/mine/params.yaml"
RIGHT = "right on 100.0 % of 300 members and on 100.0 % of 300 non-members"
Answer = Callable[[Any], Any]


def grey(x: Any) -> Any:
    return x.mean(axis=(1, 2, 3))


def says(x: Any) -> Any:
    """What a sound model says of pixels from 0 to 1."""
    return models.softmax(models.logits(grey(x)))


def check(answer: Answer, records: Records = RECORDS, order: Any = (0, 1, 2), **changes: Any) -> None:
    batch = changes.pop("batch", None)
    settings = models.settings(**changes)
    reading = Reading(answer, batch=batch)
    model = Asked(Path("m.onnx"), FILE, reading, settings, records.classes, np.array(order))
    model_checks.check(model, records, MEMBER[: len(records)])


def refused(answer: Answer, records: Records = RECORDS, **changes: Any) -> str:
    with pytest.raises(InputError) as error:
        check(answer, records, **changes)
    return str(error.value)


def test_of_a_sound_model_the_accuracies_are_said_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    check(says)
    out, err = capsys.readouterr()
    assert out == f"m.onnx: {RIGHT}\n"
    assert err == ""


def test_another_scale_is_named() -> None:
    assert refused(says, pixels="bytes") == (
        "m.onnx: right on 33.3 % of records with model.pixels: bytes, and on 100.0 % with model.pixels: unit; set that "
        f"in {FILE}, or mean and deviation"
    )


def test_another_layout_is_named_where_the_file_does_not_say() -> None:
    """An estimator takes rows of numbers, whatever their order."""
    blue = dataclasses.replace(RECORDS, x=RECORDS.images * np.array([0, 0, 1], np.uint8))
    message = refused(lambda x: says(x[:, :, :, 2:] if x.shape[3] == 3 else 0 * x), blue, layout="channels_first")
    assert message == (
        "m.onnx: right on 33.3 % of records with model.layout: channels_first, and on 100.0 % with model.layout: "
        f"channels_last; set that in {FILE}, or mean and deviation"
    )


def test_a_model_that_only_guesses_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    check(lambda x: np.full((len(x), 3), 1 / 3))
    assert capsys.readouterr().err == (
        "warning: m.onnx: is right on 33.3 % of records, no more than guessing gives: compare model.pixels, mean, "
        f"deviation and classes in {FILE} with what it was trained on\n"
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_another_order_of_classes_is_named(order: tuple[int, ...]) -> None:
    """The model's own order is dog, fox, cat."""
    assert refused(lambda x: says(x)[:, [1, 2, 0]], order=order).endswith(
        f"% with its classes in another order; set model.classes in {FILE} to [dog, fox, cat]"
    )


def test_a_model_that_guesses_has_no_other_order() -> None:
    """Of predictions by chance, names chosen on half of the records fit the others no better."""
    model = Asked(Path("m.onnx"), FILE, Reading(says), models.settings(), RECORDS.classes, np.arange(3))
    model_checks._check_order(model, np.ones(600, np.int64), np.minimum(RECORDS.labels, 1) * 2)  # all of a rare class
    for seed in range(50):
        predicted = np.random.default_rng(seed).integers(0, 3, 600)
        model_checks._check_order(model, predicted, RECORDS.labels)


def test_swapped_members_and_non_members_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    known = {row.tobytes() for row in RECORDS.images[~MEMBER]}

    def remembers(x: Any) -> Any:
        """Right of those it knows; of half of the others."""
        pixels = np.rint(x * 255).astype(np.uint8)
        sure = np.array([row.tobytes() in known or row.sum() % 2 == 0 for row in pixels])
        return np.where(sure[:, None], says(x), np.roll(says(x), 1, axis=1))

    check(remembers)
    out, err = capsys.readouterr()
    assert out.endswith("and on 100.0 % of 300 non-members\n")
    inside = out.split("right on ")[1].split(" %")[0]
    assert err == (
        f"warning: m.onnx: is right on 100.0 % of non-members and on {inside} % of members: are members and "
        "non-members swapped?\n"
    )


def test_a_model_in_training_mode_is_named() -> None:
    rng = np.random.default_rng(0)
    message = refused(lambda x: models.softmax(models.logits(grey(x)) + rng.normal(0, 1, (len(x), 3))))
    assert message.startswith("m.onnx: two queries of the same 16 records differ by ")
    assert message.endswith(
        ": the model is in training mode, or draws or remembers something; switch that off (model.eval() in torch) and "
        "export it again"
    )


def test_a_model_that_remembers_its_last_batch_is_named() -> None:
    last = np.zeros(1)

    def remembers(x: Any) -> Any:
        answer = models.softmax(models.logits(grey(x)) + 30 * last * np.arange(3))
        last[:] = grey(x).mean()
        return answer

    assert refused(remembers).startswith("m.onnx: two queries of the same 16 records differ by ")


def test_a_model_whose_answer_depends_on_its_batch_is_named() -> None:
    message = refused(lambda x: models.softmax(models.logits(grey(x) - grey(x).mean() + 0.47)))
    assert message.startswith("m.onnx: a query of one record has another answer than in a batch of 16, by ")
    assert message.endswith(
        ": an answer must not depend on other records, as batch normalisation in training mode does; export the model "
        "in evaluation mode"
    )


def test_what_are_no_probabilities_is_named() -> None:
    message = refused(lambda x: np.tile([2.0, -1.0, 0.5], (len(x), 1)))
    assert message == (
        "m.onnx: model.outputs: probabilities: expected numbers from 0 that add up to 1, got [2, -1, 0.5]; set "
        f"model.outputs to logits in {FILE} if that is what they are"
    )
    message = refused(lambda x: np.tile([np.nan, 0.0, 1.0], (len(x), 1)), outputs="logits")
    assert message == "m.onnx: expected finite answers, got [nan, 0, 1]; mend the model"
