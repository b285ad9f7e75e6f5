"""A user's `build` is tried on a few records: each way in which it can be wrong is one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mia.data.records import Records
from mia.errors import InputError
from mia.models import recipe_checks

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (300, 2, 2, 1), dtype=np.uint8)
RECORDS = Records(
    IMAGES, (IMAGES.mean(axis=(1, 2, 3)) > 127).astype(np.int64), ("dark", "light"), None, np.arange(300).astype(str)
)


class Model:
    """Logistic regression of pixels; subclasses go wrong."""

    def __init__(self, seed: int) -> None:
        self.inner = LogisticRegression()
        self.rng = np.random.default_rng(seed)

    def fit(self, x: Any, y: Any) -> None:
        self.inner.fit(x.reshape(len(x), -1) / 255, y)

    def logits(self, x: Any) -> Any:
        p = self.inner.predict_proba(x.reshape(len(x), -1) / 255)
        return np.log(p)


class Fitted(Model):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.fit(RECORDS.images, RECORDS.labels)


class Greedy(Model):
    def fit(self, x: Any, y: Any) -> None:
        super().fit(x, y)
        x //= 2


class Unseeded(Model):
    def __init__(self, _: int) -> None:
        super().__init__(0)
        self.shift = np.random.default_rng().normal()

    def logits(self, x: Any) -> Any:
        return super().logits(x) + np.array([0, self.shift])


class Dropout(Model):
    def logits(self, x: Any) -> Any:
        return super().logits(x) + self.rng.normal(size=(len(x), 2))


class Compares(Model):
    """As batch normalisation does in training mode."""

    def logits(self, x: Any) -> Any:
        return super().logits(x) * (1 + x.mean() / 255)


ONE = Model(0)
WRONG: dict[str, tuple[Any, str]] = {
    "the same object": (lambda _: ONE, "expected a new model at each call, got the same object twice"),
    "fitted": (Fitted, "expected a model that is not fitted, got one that answers already"),
    "changes its records": (Greedy, "fit changed the records or labels that it was given; let it work on a copy"),
    "no seed": (Unseeded, "two models of one seed differ by up to"),
    "dropout": (Dropout, "a second query of the same records differs by up to"),
    "batch": (Compares, "a record alone is answered otherwise than among others, by up to"),
}


def test_a_recipe_that_keeps_the_rules_passes() -> None:
    recipe_checks.check(Model, RECORDS, "recipe.py: build")


@pytest.mark.parametrize("fault", WRONG)
def test_a_recipe_that_breaks_one_is_named(fault: str) -> None:
    make, message = WRONG[fault]
    with pytest.raises(InputError) as raised:
        recipe_checks.check(make, RECORDS, "recipe.py: build")
    assert f"recipe.py: build: {message}" in str(raised.value)


def test_the_sample_has_every_class_in_turn() -> None:
    labels = np.r_[np.zeros(280, np.int64), np.ones(15, np.int64), np.full(5, 2)]
    records = Records(IMAGES, labels, ("a", "b", "c"), None, RECORDS.names)
    rows = recipe_checks.sample(records)
    assert len(rows) == recipe_checks.RECORDS
    assert np.bincount(labels[rows]).tolist() == [180, 15, 5]
    assert labels[rows[:3]].tolist() == [0, 1, 2]
