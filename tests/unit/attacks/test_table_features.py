"""The quantile regression of a table: rows are described without their model, and members stand out against it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import people
from mia.attacks import image_features, quantile, table_features
from mia.evaluation import roc

Floats = NDArray[np.float64]


def world(count: int, seed: int) -> tuple[pd.DataFrame, NDArray[np.int64], Floats, Floats, Floats]:
    """Rows, their classes, a non-member's margins, and the mean and deviation these were drawn with.

    A row is hard in the middle of n1, and hard at sea; margins of class 1 spread widely.
    """
    rng = np.random.default_rng(seed)
    table = people.table(count, seed).drop(columns="income").astype({"retired": float})
    labels = rng.integers(0, 2, count)
    mean = 2.5 * np.abs(table["n1"].to_numpy()) - 3.0 * (table["work"] == "sea").to_numpy()
    deviation = np.where(labels == 1, 1.5, 0.5)
    return table, labels, mean + deviation * rng.normal(size=count), mean, deviation


@cache
def landmarks() -> table_features.Landmarks:
    return table_features.draw(world(1500, 0)[0], 64, np.random.default_rng(0))


def described(table: pd.DataFrame) -> NDArray[np.float32]:
    """Features of rows, in units of those that `fitted` was fitted on."""
    known = table_features.compute(landmarks(), world(1500, 0)[0])
    return image_features.standardised(table_features.compute(landmarks(), table), known)


@cache
def fitted() -> quantile.Regressor:
    table, labels, margins, _, _ = world(1500, 0)
    return quantile.fit(described(table), labels, margins, n_classes=2, name="test")


def test_members_stand_out_against_their_difficulty() -> None:
    """Members' margins are a nat higher, which hard and easy rows hide from the margin alone."""
    table, labels, margins, mean, deviation = world(2000, 2)
    member = np.random.default_rng(3).random(2000) < 0.5
    margins = margins + 1.0 * member
    predicted, spread = fitted().predict(described(table), labels)
    score, best = (margins - predicted) / spread, (margins - mean) / deviation
    plain, attack, most = (roc.auc(roc.curve(values, member)) for values in (margins, score, best))
    assert plain < 0.65
    assert attack > plain + 0.1
    assert attack > most - 0.08  # of what whoever knows mean and deviation would get


def test_likeness_to_rows_sees_what_columns_alone_do_not() -> None:
    """The margin is no line of the columns: without likeness what is left of it is more than twice as far off."""
    table, labels, margins, *_ = world(1500, 0)
    new, new_labels, _, new_mean, _ = world(1000, 1)
    width = table_features.compute(landmarks(), table).shape[1] - 64
    off = []
    for features in (slice(None), slice(0, width)):
        line = quantile.fit(described(table)[:, features], labels, margins, n_classes=2, name="test")
        predicted, _ = line.predict(described(new)[:, features], new_labels)
        off.append(float(np.sqrt(np.mean((predicted - new_mean) ** 2))))
    assert 2 * off[0] < off[1]


def test_scores_of_nonmembers_say_nothing() -> None:
    table, labels, margins, _, _ = world(2000, 4)
    predicted, spread = fitted().predict(described(table), labels)
    score = (margins - predicted) / spread
    assert abs(score.mean()) < 0.2
    assert 0.8 < score.std() < 1.2
    member = np.random.default_rng(3).random(2000) < 0.5
    assert abs(roc.auc(roc.curve(score, member)) - 0.5) < 0.05  # 3.9 standard errors


def test_only_the_attackers_rows_decide_how_a_row_is_described() -> None:
    table, *_ = world(300, 5)
    others = table.copy()
    others.loc[1:, ["n0", "n1"]] = 1e6
    others.loc[1:, "work"] = "a mine"
    np.testing.assert_allclose(
        table_features.compute(landmarks(), others)[0],
        table_features.compute(landmarks(), table.iloc[:1])[0],
        atol=1e-6,
    )


ODD = {
    "numbers alone": pd.DataFrame({"a": [1.0, 2.0, 3.0, np.nan]}),
    "texts alone": pd.DataFrame({"a": pd.Series(["x", "y", None, "x"], dtype=object)}),
    "nothing known": pd.DataFrame({"a": [np.nan] * 4, "b": pd.Series([None] * 4, dtype=object)}),
    "rows of one kind": pd.DataFrame({"a": [5.0] * 4}),
    "many categories": pd.DataFrame({"a": pd.Series([f"c{at}" for at in range(400)], dtype=object)}),
}


@pytest.mark.parametrize("case", ODD)
def test_features_are_finite_and_few(case: str) -> None:
    drawn = table_features.draw(ODD[case], 3, np.random.default_rng(0))
    values = table_features.compute(drawn, ODD[case])
    assert np.isfinite(values).all()
    assert len(values) == len(ODD[case])
    assert values.shape[1] <= table_features.CATEGORIES + 3 + 2
    strange = pd.DataFrame({name: ODD[case][name].iloc[:1] for name in ODD[case]})
    for name in strange:
        strange[name] = ["never seen"] if strange[name].dtype == object else [1e9]
    assert np.isfinite(table_features.compute(drawn, strange)).all()


def test_chunks_of_rows_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    table, *_ = world(100, 1)
    whole = table_features.compute(landmarks(), table)
    monkeypatch.setattr(table_features, "CHUNK", 7)
    np.testing.assert_allclose(table_features.compute(landmarks(), table), whole, atol=1e-6)
