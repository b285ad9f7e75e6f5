"""The quantile regression: what it predicts of a non-member's margin is right, and members stand out against it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from mia.attacks import image_features, quantile
from mia.errors import InputError
from mia.evaluation import roc

Floats = NDArray[np.float64]
CLASSES = 2


def world(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], Floats, Floats, Floats]:
    """Images of a contrast, their classes, a non-member's margins, and the mean and deviation these were drawn with.

    Images of high contrast have high margins, whose spread is large in class 1.
    """
    rng = np.random.default_rng(seed)
    contrast, labels = rng.random(count), rng.integers(0, CLASSES, count)
    stripes = np.sign(np.sin(np.arange(8)))[None, None, :, None] * np.ones((1, 8, 1, 1))
    pixels = 120 + 60 * contrast[:, None, None, None] * stripes + rng.normal(0, 10, (count, 8, 8, 1))
    mean = 6 * contrast - 2 * labels
    deviation = np.where(labels == 1, 1.5, 0.5)
    margins = mean + deviation * rng.normal(size=count)
    return pixels.clip(0, 255).astype(np.uint8), labels, margins, mean, deviation


@cache
def patches() -> image_features.Patches:
    return image_features.draw(world(1500, 0)[0], 16, np.random.default_rng(0))


def described(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features of images, in units of those that `fitted` was fitted on."""
    known = image_features.compute(patches(), world(1500, 0)[0], name="test")
    return image_features.standardised(image_features.compute(patches(), images, name="test"), known)


@cache
def fitted(shift: float = 0.0) -> quantile.Regressor:
    """shift: by how much of themselves the margins are moved, up or down."""
    images, labels, margins, _, _ = world(1500, 0)
    moved = margins * (1 + shift * np.random.default_rng(1).choice([-1, 1], len(margins)))
    return quantile.fit(described(images), labels, moved, n_classes=CLASSES, name="test")


def test_mean_and_deviation_of_an_unseen_record_are_predicted() -> None:
    images, labels, _, expected, spread = world(1000, 1)
    mean, deviation = fitted().predict(described(images), labels)
    assert mean.shape == deviation.shape == (1000,)
    assert np.sqrt(np.mean((mean - expected) ** 2)) < 0.5  # of means that differ by 2.0
    assert 0.8 < np.median(deviation[labels == 0] / spread[labels == 0]) < 1.3
    assert 0.8 < np.median(deviation[labels == 1] / spread[labels == 1]) < 1.3


def test_members_stand_out_against_their_difficulty() -> None:
    """Members' margins are a nat higher, which the images' contrast hides from the margin alone."""
    images, labels, margins, mean, deviation = world(2000, 2)
    member = np.random.default_rng(3).random(2000) < 0.5
    margins = margins + 1.0 * member
    predicted, spread = fitted().predict(described(images), labels)
    score, best = (margins - predicted) / spread, (margins - mean) / deviation
    plain, attack, most = (roc.auc(roc.curve(values, member)) for values in (margins, score, best))
    assert plain < 0.65
    assert attack > plain + 0.1
    assert attack > most - 0.03  # of what whoever knows mean and deviation would get


def test_scores_of_nonmembers_are_standard_normal_and_say_nothing() -> None:
    images, labels, margins, _, _ = world(2000, 4)
    predicted, spread = fitted().predict(described(images), labels)
    score = (margins - predicted) / spread
    assert abs(score.mean()) < 0.2
    assert 0.8 < score.std() < 1.2
    member = np.random.default_rng(3).random(2000) < 0.5
    assert abs(roc.auc(roc.curve(score, member)) - 0.5) < 0.05  # 3.9 standard errors


def test_last_bits_of_the_margins_move_what_is_predicted_by_last_bits() -> None:
    """A network that was trained on them moved by a quarter of a nat."""
    images, labels, *_ = world(500, 5)
    before, after = (fitted(shift).predict(described(images), labels) for shift in (0.0, 1e-6))
    for values, moved in zip(before, after, strict=True):
        np.testing.assert_allclose(moved, values, atol=1e-4)


def test_the_line_and_the_left_out_records_are_those_of_ridge_regression_done_record_by_record() -> None:
    """The slow twin: the same least squares solved anew without each record."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3)).astype(np.float32)
    values = features @ [1.0, -2.0, 0.5] + rng.normal(0, 0.3, 40)
    nothing = np.zeros((40, 3)), values, np.zeros(40)
    weights, missed = quantile._ridge(features, *nothing)
    errors = []
    for penalty in quantile.PENALTIES * 40:
        out = []
        for left in range(40):
            kept = np.arange(40) != left
            x = features[kept].astype(np.float64)
            line = np.linalg.solve(x.T @ x + penalty * np.eye(3), x.T @ values[kept])
            out.append(values[left] - features[left] @ line)
        errors.append(np.array(out))
    best = int(np.argmin([np.mean(out**2) for out in errors]))
    np.testing.assert_allclose(missed, errors[best], rtol=1e-5)
    x = features.astype(np.float64)
    line = np.linalg.solve(x.T @ x + quantile.PENALTIES[best] * 40 * np.eye(3), x.T @ values)
    np.testing.assert_allclose(weights, line, rtol=1e-6)


def test_chunks_of_records_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, margins, _, _ = world(300, 1)
    given = described(images), labels, margins
    whole = quantile.fit(*given, n_classes=CLASSES, name="test")
    monkeypatch.setattr(quantile, "CHUNK", 7)
    parts = quantile.fit(*given, n_classes=CLASSES, name="test")
    np.testing.assert_allclose(parts.slope, whole.slope, atol=1e-6)


def test_a_class_without_records_has_the_line_of_all() -> None:
    images, labels, margins, _, _ = world(300, 1)
    regressor = quantile.fit(described(images), labels, margins, n_classes=CLASSES + 1, name="test")
    mean, deviation = regressor.predict(described(images), np.full(300, CLASSES))
    assert np.corrcoef(mean, margins)[0, 1] > 0.5
    assert (deviation > 0).all()


def test_a_table_is_what_is_predicted_of_its_rows() -> None:
    images, labels, *_ = world(40, 2)
    rows = np.arange(3, 33)
    table = fitted().table(7, "attacker", rows, described(images), labels)
    mean, deviation = fitted().predict(described(images)[rows], labels[rows])
    assert table["sample_id"].tolist() == rows.tolist()
    np.testing.assert_allclose(table["mean"], mean, atol=1e-6)
    np.testing.assert_array_equal(table["deviation"], deviation)


def test_deviations_are_never_zero_where_every_margin_is_the_same() -> None:
    images, labels, *_ = world(100, 1)
    regressor = quantile.fit(described(images), labels, np.full(100, 3.0), n_classes=CLASSES, name="test")
    mean, deviation = regressor.predict(described(images), labels)
    np.testing.assert_allclose(mean, 3)
    assert (deviation > 0).all()


@pytest.mark.parametrize("count", [1, 19])
def test_too_few_known_nonmembers_are_refused_with_the_number(count: int) -> None:
    images, labels, margins, _, _ = world(count, 0)
    with pytest.raises(InputError, match=f"^test: expected at least 20 known non-members to fit, got {count}$"):
        quantile.fit(described(images), labels, margins, n_classes=CLASSES, name="test")


def test_twenty_known_nonmembers_are_enough() -> None:
    images, labels, margins, _, _ = world(20, 0)
    regressor = quantile.fit(described(images), labels, margins, n_classes=CLASSES, name="test")
    assert np.isfinite(regressor.predict(described(images), labels)).all()


@pytest.mark.parametrize("shape", [(4, 4, 1), (8, 8, 1), (32, 32, 3), (70, 64, 3)])
def test_features_are_finite_and_the_same_for_an_image_alone(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, *shape), dtype=np.uint8)
    images[0] = 7  # one colour
    drawn = image_features.draw(images, 5, np.random.default_rng(1))
    values = image_features.compute(drawn, images, name="test")
    assert values.shape == (30, (2 * 5 + shape[2] + 1) * image_features.POOL**2)
    assert np.isfinite(values).all()
    assert values[1:].std(axis=0).min() > 0
    np.testing.assert_allclose(image_features.compute(drawn, images[3:4], name="test")[0], values[3], atol=1e-5)
