"""The quantile regression: what it predicts of a non-member's margin is right, and members stand out against it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from mia.attacks import quantile
from mia.errors import InputError
from mia.evaluation import roc

pytestmark = pytest.mark.long

Floats = NDArray[np.float64]
CLASSES = 2
SETTINGS = quantile.Settings(
    architecture="shokri_mlp",
    n_classes=CLASSES,
    epochs=12,
    batch_size=64,
    learning_rate=0.003,
    initial_seed=1,
    order_seed=2,
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Such small networks gain nothing by more, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def world(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], Floats, Floats, Floats]:
    """Images of a brightness, their classes, a non-member's margins, and the mean and deviation these were drawn with.

    Bright images have high margins, whose spread is large in class 1.
    """
    rng = np.random.default_rng(seed)
    brightness, labels = rng.random(count), rng.integers(0, CLASSES, count)
    pixels = 40 + 160 * brightness[:, None, None, None] + rng.normal(0, 10, (count, 8, 8, 1))
    mean = 6 * brightness - 2 * labels
    deviation = np.where(labels == 1, 1.5, 0.5)
    margins = mean + deviation * rng.normal(size=count)
    return pixels.clip(0, 255).astype(np.uint8), labels, margins, mean, deviation


@cache
def fitted(architecture: str = "shokri_cnn", name: str = "test", **changes: Any) -> quantile.Regressor:
    images, labels, margins, _, _ = world(1500, 0)
    return quantile.fit(replace(SETTINGS, architecture=architecture, **changes), images, labels, margins, name=name)


@pytest.mark.parametrize("architecture", ["shokri_cnn", "shokri_mlp"])
def test_mean_and_deviation_of_an_unseen_record_are_predicted(architecture: str) -> None:
    images, labels, _, expected, spread = world(1000, 1)
    mean, deviation = fitted(architecture).predict(images, labels)
    assert mean.shape == deviation.shape == (1000,)
    assert np.sqrt(np.mean((mean - expected) ** 2)) < 0.35  # of means that differ by 2.0
    assert 0.8 < np.median(deviation[labels == 0] / spread[labels == 0]) < 1.3
    assert 0.8 < np.median(deviation[labels == 1] / spread[labels == 1]) < 1.3


def test_members_stand_out_against_their_difficulty() -> None:
    """Members' margins are a nat higher, which the images' brightness hides from the margin alone."""
    images, labels, margins, mean, deviation = world(2000, 2)
    member = np.random.default_rng(3).random(2000) < 0.5
    margins = margins + 1.0 * member
    predicted, spread = fitted().predict(images, labels)
    score, best = (margins - predicted) / spread, (margins - mean) / deviation
    plain, found, most = (roc.auc(roc.curve(one, member)) for one in (margins, score, best))
    assert plain < 0.65
    assert found > plain + 0.1
    assert found > most - 0.03  # of what whoever knows mean and deviation would get


def test_nothing_is_found_where_members_margins_are_as_others() -> None:
    images, labels, margins, _, _ = world(2000, 2)
    member = np.random.default_rng(3).random(2000) < 0.5
    predicted, spread = fitted().predict(images, labels)
    assert abs(roc.auc(roc.curve((margins - predicted) / spread, member)) - 0.5) < 0.05  # 3.9 standard errors


def test_scores_of_nonmembers_are_standard_normal() -> None:
    images, labels, margins, _, _ = world(2000, 4)
    predicted, spread = fitted().predict(images, labels)
    score = (margins - predicted) / spread
    assert abs(score.mean()) < 0.2
    assert 0.8 < score.std() < 1.2


def test_the_same_seeds_give_the_same_bytes_and_others_do_not() -> None:
    images, labels, *_ = world(100, 1)
    one, again, other, reordered = (
        b"".join(values.tobytes() for values in fitted(epochs=2, **seeds).predict(images, labels))
        for seeds in ({}, {"name": "again"}, {"initial_seed": 7}, {"order_seed": 7})
    )
    assert one == again
    assert len({one, other, reordered}) == 3


def test_a_task_is_a_fit_and_its_predictions_and_its_source_says_of_whom() -> None:
    images, labels, margins, _, _ = world(300, 1)
    others, other_labels, *_ = world(40, 2)
    rows, asked = np.arange(0, 300, 2), np.arange(3, 33)
    settings = replace(SETTINGS, epochs=2)
    regressor = quantile.fit(settings, images[rows], labels[rows], margins[rows], name="test")
    for source, (of, classes) in {"population": (others, other_labels), "attacker": (images, labels)}.items():
        task = quantile.Task(settings, 7, rows, margins[rows], source, asked, "test")
        table = quantile.learned(others, other_labels, images, labels, task)
        pd.testing.assert_frame_equal(table, regressor.table(7, source, asked, of, classes))
        assert (table["source"] == source).all()


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    fitted(epochs=1)
    assert torch.equal(before, torch.get_rng_state())


def test_the_epoch_that_predicts_held_back_records_best_is_kept() -> None:
    """Sixty records learned by heart for a hundred epochs: the last one is sure of what it should not be."""
    images, labels, margins, _, _ = world(60, 5)
    regressor = quantile.fit(
        replace(SETTINGS, architecture="shokri_cnn", epochs=100), images, labels, margins, name="test"
    )
    unseen, classes, said, _, _ = world(500, 6)
    predicted, spread = regressor.predict(unseen, classes)
    assert spread.min() > 0.1
    assert ((said - predicted) / spread).std() < 3


def test_deviations_are_never_zero_where_every_margin_is_the_same() -> None:
    images, labels, _, _, _ = world(100, 1)
    mean, deviation = quantile.fit(SETTINGS, images, labels, np.full(100, 3.0), name="test").predict(images, labels)
    np.testing.assert_allclose(mean, 3, atol=1e-3)
    assert (deviation > 0).all()


class Sure(torch.nn.Module):
    """A network that is sure of everything."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([3.0, -1e4]).repeat(len(images), CLASSES)


def test_a_regressor_that_is_sure_of_everything_still_divides_by_a_number() -> None:
    images, labels, _, _, _ = world(5, 1)
    mean, deviation = quantile.Regressor(Sure(), center=10.0, scale=2.0).predict(images, labels)
    np.testing.assert_allclose(mean, 16)
    np.testing.assert_allclose(deviation, 2 * quantile.LEAST)


@pytest.mark.parametrize("count", [0, 19])
def test_too_few_known_nonmembers_are_refused_with_the_number(count: int) -> None:
    images, labels, margins, _, _ = world(count, 0)
    with pytest.raises(InputError, match=f"^test: expected at least 20 known non-members to fit, got {count}$"):
        quantile.fit(SETTINGS, images, labels, margins, name="test")


def test_a_shadows_members_are_predicted_and_never_fitted_on() -> None:
    is_member = np.random.default_rng(0).random(101) < 0.4
    fitted_rows, unseen = quantile.split_records(is_member, np.random.default_rng(1))
    assert not is_member[fitted_rows].any()
    assert sorted([*fitted_rows, *unseen]) == list(range(101))
    assert abs(len(fitted_rows) - (~is_member[unseen]).sum()) <= 1
    assert (np.diff(fitted_rows) > 0).all()
    assert (np.diff(unseen) > 0).all()


def test_twenty_known_nonmembers_are_enough() -> None:
    images, labels, margins, _, _ = world(20, 0)
    mean, deviation = quantile.fit(SETTINGS, images, labels, margins, name="test").predict(images, labels)
    assert np.isfinite([mean, deviation]).all()


def test_a_learning_rate_that_blows_up_is_said() -> None:
    with pytest.raises(
        InputError, match=r"test: the regression diverged; lower attacks.quantile.learning_rate \(1e\+30"
    ):
        fitted(learning_rate=1e30, epochs=2)
