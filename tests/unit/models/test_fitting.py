"""Models with `fit`: every family, what they answer, what is refused, and that nothing leaks through preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import people
from mia.data.records import Records
from mia.errors import InputError
from mia.models import families, fitting, recipes
from mia.models.lessons import Lesson
from mia.params_audit import FAMILIES

PLACE = "audits/people/params.yaml: target.settings"
BESIDE = ("lightgbm", "xgboost")  # packages of the extra `tables`


def records(count: int = 200, seed: int = 0) -> Records:
    frame = people.table(count, seed)
    table = frame.drop(columns="income").astype({"work": object, "retired": float})
    table["work"] = table["work"].where(table["work"].notna(), None)
    labels = (frame["income"] == "low").to_numpy().astype(np.int64)
    return Records(table, labels, ("high", "low"), None, np.arange(count).astype(str))


def lesson(members: Any, nonmembers: Any, seed: int = 1, model_id: int = 1) -> Lesson:
    return Lesson(model_id, np.asarray(members), np.asarray(nonmembers), seed, seed, seed)


def family(name: str, **settings: Any) -> Callable[[int], Any]:
    if name in BESIDE:
        pytest.importorskip(name)
    return lambda seed: families.OfFamily(name, settings, seed, PLACE)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_answers_with_finite_logits_and_the_same_for_one_seed(name: str) -> None:
    population = records()
    task = lesson(np.arange(100), np.arange(100, 200))
    first, again = (fitting.fit(family(name), {"population": population}, "population", task) for _ in range(2))
    answers = first.answers["population"]
    assert answers.shape == (200, 2)
    assert np.isfinite(answers).all()
    assert (answers == again.answers["population"]).all()
    assert first.learning["train_accuracy"].item() == (answers[:100].argmax(1) == population.labels[:100]).mean()
    assert first.learning["train_accuracy"].item() > 0.6


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_of_other_records_reaches_a_model(name: str) -> None:
    """Records that a model was not given are overwritten: its answers about the others stay to the bit."""
    population = records()
    other = people.table(100, seed=9).drop(columns="income")
    table = population.table.copy()
    table.loc[100:, ["n0", "n1", "n2"]] = 1e6 * other[["n0", "n1", "n2"]].to_numpy()
    table.loc[100:, "work"] = "elsewhere"
    changed = Records(table, population.labels, population.classes, None, population.names)
    task = lesson(np.arange(100), np.arange(100, 200))
    before, after = (
        fitting.fit(family(name), {"population": held}, "population", task).answers["population"]
        for held in (population, changed)
    )
    assert (before[:100] == after[:100]).all()


class Leaky:
    """A preprocessing that is fitted on everybody, as a script does that scales before it splits."""

    def __init__(self, everybody: pd.DataFrame) -> None:
        self.scaler = StandardScaler().fit(everybody[["n1", "n2"]])
        self.model = LogisticRegression()

    def fit(self, x: pd.DataFrame, y: Any) -> None:
        self.model.fit(self.scaler.transform(x[["n1", "n2"]]), y)

    def predict_proba(self, x: pd.DataFrame) -> Any:
        return self.model.predict_proba(self.scaler.transform(x[["n1", "n2"]]))


def test_the_test_above_sees_a_leak_that_is_planted() -> None:
    population = records()
    table = population.table.copy()
    table.loc[100:, "n1"] = 1e6
    changed = Records(table, population.labels, population.classes, None, population.names)
    task = lesson(np.arange(100), np.arange(100, 200))
    before, after = (
        fitting.fit(lambda _, held=held: Leaky(held.table), {"population": held}, "population", task)  # type: ignore[misc]
        for held in (population, changed)
    )
    assert (before.answers["population"][:100] != after.answers["population"][:100]).any()


def test_images_are_records_for_a_family_too() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), dtype=np.uint8)
    labels = (images.mean(axis=(1, 2, 3)) > 127).astype(np.int64)
    held = Records(images, labels, ("dark", "light"), None, np.arange(60).astype(str))
    task = lesson(np.arange(40), np.arange(40, 60))
    fitted = fitting.fit(family("logistic_regression"), {"population": held}, "population", task)
    assert fitted.answers["population"].shape == (60, 2)


def test_a_class_without_a_training_record_has_half_of_a_record_s_weight() -> None:
    population = records()
    members = np.flatnonzero(population.labels == 0)[:50]
    rare = np.r_[members, np.flatnonzero(population.labels == 1)[:20]]
    three = Records(population.table, population.labels, ("high", "low", "never"), None, population.names)
    task = lesson(rare, np.arange(100, 120))
    answers = fitting.fit(family("random_forest"), {"population": three}, "population", task).answers["population"]
    assert answers.shape == (200, 3)
    assert answers[:, 2] == pytest.approx(-np.log(2 * 70))


def test_probabilities_of_zero_are_half_of_a_record_s_weight() -> None:
    class Sure:
        def predict_proba(self, x: Any) -> Any:
            return np.array([[1.0, 0.0]] * len(x))

    answers = fitting.logits(Sure(), np.zeros((3, 1)), 2, members=50)
    assert answers[:, 1] == pytest.approx(np.log(1 / 100))
    assert answers[:, 0] == pytest.approx(0)


def test_decisions_of_two_classes_are_the_difference_of_two_logits() -> None:
    class Decides:
        def decision_function(self, x: Any) -> Any:
            return np.arange(len(x)) - 1.0

    assert fitting.logits(Decides(), np.zeros((3, 1)), 2, members=5).tolist() == [[0, -1], [0, 0], [0, 1]]


class Says:
    """A model that answers with what it was made with."""

    def __init__(self, answers: Any, classes: Any = None) -> None:
        self.answers = np.array(answers)
        if classes is not None:
            self.classes_ = np.array(classes)

    def predict_proba(self, _: Any) -> Any:
        return self.answers


WRONG = {
    "another shape": (
        Says([[0.5, 0.5, 0.0]] * 2),
        "Says.predict_proba: expected a row a record and a column a class, 2 x 2, got 2 x 3 of classes [0, 1, 2]",
    ),
    "unknown classes": (
        Says([[0.5, 0.5]] * 2, classes=[1, 2]),
        "Says.predict_proba: expected a row a record and a column a class, 2 x 2, got 2 x 2 of classes [1, 2]",
    ),
    "no number": (
        Says([[0.5, 0.5], [np.nan, 0.5]]),
        "Says.predict_proba: expected finite numbers, got [nan, 0.5] for record 1",
    ),
    "no probabilities": (
        Says([[0.5, 0.5], [2.0, -1.0]]),
        "Says.predict_proba: expected probabilities that add up to 1, got [2.0, -1.0] for record 1",
    ),
    "nothing to ask": (
        object(),
        "object: expected one of predict_proba, decision_function, logits, got a model with none of them",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_answers_that_are_wrong_are_refused(fault: str) -> None:
    model, message = WRONG[fault]
    with pytest.raises(InputError) as raised:
        fitting.logits(model, np.zeros((2, 1)), 2, members=5)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "random_forest",
            {"n_estimator": 5},
            f"{PLACE}.n_estimator: no setting of RandomForestClassifier; did you mean 'n_estimators'?, got 5",
        ),
        (
            "random_forest",
            {"n_estimators": -1},
            f"{PLACE}: RandomForestClassifier: The 'n_estimators' parameter of RandomForestClassifier must be an int ",
        ),
    ],
)
def test_settings_that_a_class_refuses_are_named(name: str, settings: dict[str, Any], message: str) -> None:
    population = records(40)
    with pytest.raises(InputError) as raised:
        fitting.fit(
            family(name, **settings), {"population": population}, "population", lesson(range(20), range(20, 40))
        )
    assert str(raised.value).startswith(message)


def test_the_target_s_file_is_kept_and_a_shadow_s_is_not() -> None:
    population = records(60)
    for model_id, suffixes in ((0, {"skops"}), (1, set())):
        task = lesson(range(30), range(30, 60), model_id=model_id)
        assert set(fitting.fit(family("extra_trees"), {"population": population}, "population", task).files) == suffixes


def test_what_cannot_be_stored_without_pickle_leaves_no_file() -> None:
    population = records(60)
    task = lesson(range(30), range(30, 60), model_id=0)
    fitted = fitting.fit(lambda _: Leaky(population.table), {"population": population}, "population", task)
    assert not fitted.files


def test_a_recipe_s_function_is_found_and_its_faults_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "recipe.py"
    with pytest.raises(InputError, match=r"recipe.py: no such file; write it: docs/your-own.md has an example"):
        recipes.function(tmp_path, "build")
    path.write_text("import nothing_of_that_name\n")
    with pytest.raises(InputError, match=r"recipe.py: ModuleNotFoundError: No module named 'nothing_of_that_name'"):
        recipes.function(tmp_path, "build")
    path.write_text("x = 1\n")
    with pytest.raises(InputError, match=r"recipe.py: expected a function build, got none"):
        recipes.function(tmp_path, "build")
    path.write_text(
        "from sklearn.dummy import DummyClassifier\ndef build(params, seed):\n    return DummyClassifier(**params)\n"
    )
    assert recipes.function(tmp_path, "build")({"strategy": "prior"}, 0).strategy == "prior"


def test_a_recipe_s_digest_changes_with_any_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "recipe.py").write_text("x = 1\n")
    before = recipes.digest(tmp_path)
    (tmp_path / "helper.py").write_text("")
    assert recipes.digest(tmp_path) != before
    (tmp_path / "helper.py").unlink()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/recipe.pyc").write_bytes(b"x")
    assert recipes.digest(tmp_path) == before


def test_a_pipeline_of_the_user_s_is_a_model() -> None:
    population = records(80)
    numbers = Records(population.table[["n1", "n2"]], population.labels, population.classes, None, population.names)
    fitted = fitting.fit(
        lambda seed: make_pipeline(StandardScaler(), LogisticRegression(random_state=seed)),
        {"population": numbers},
        "population",
        lesson(range(40), range(40, 80), model_id=0),
    )
    assert set(fitted.files) == {"skops"}
