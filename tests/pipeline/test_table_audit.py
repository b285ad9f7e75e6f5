"""An audit of a table runs whole: by a family, by the user's own code, for every attacker."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import people
import planted
import tiny
from mia import paths
from mia.audits import fitted
from mia.data import stored_records
from mia.errors import InputError

pytestmark = pytest.mark.long

OWN = """
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

def build(params, seed):
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=object)), remainder="passthrough")
    return make_pipeline(columns, ExtraTreesClassifier(random_state=seed, **params))
"""
CHANGES: dict[str, Any] = {"audit": "table", "select.search_iterations": 1}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an audit of a table, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "audits/table/data/population"
    folder.mkdir(parents=True)
    people.table(400).to_csv(folder / "people.csv", index=False)
    return tmp_path


def attacks() -> dict[str, Any]:
    return {entry["attack"]: entry for entry in json.loads(paths.ATTACK_METRICS.read_text())}


def test_a_family_is_audited_with_shadows_of_the_population(here: Path) -> None:
    tiny.run(changes=CHANGES | {"attacker.knowledge": "population"})
    measured = attacks()
    assert measured["loss"]["auc"] > 0.8, "a forest grown to the end knows its members"
    assert {"rmia_online", "stacked"} <= set(measured)
    assert json.loads(paths.NOT_APPLICABLE.read_text())["quantile"] == (
        "needs 20 sure non-members: attacker.knowledge=generated or disjoint"
    )
    assert json.loads(paths.VERDICT.read_text())["kind"] == "record"
    assert not stored_records.has_images(paths.POPULATION)
    assert sorted(file.name for file in paths.TARGET_MODEL.iterdir()) == ["0.answers.parquet", "0.skops"]
    text = planted.text_of(paths.AUDIT_PAGE.read_text(encoding="utf-8"))
    assert text.count("and 2 more columns") == 24  # cards of both ends hold six of eight
    assert "image" not in text.rpartition("Glossary")[0]  # the glossary says what a record is: an image, or a row


@pytest.mark.parametrize("knowledge", ["disjoint", "generated"])
def test_own_code_is_audited_by_the_other_attackers(here: Path, knowledge: str) -> None:
    (here / "audits/table/code").mkdir()
    (here / "audits/table/code/recipe.py").write_text(OWN)
    if knowledge == "generated":
        folder = here / "audits/table/data/generated"
        folder.mkdir()
        people.table(400, seed=1).to_parquet(folder / "people.parquet", index=False)
    changes = {
        "attacker.knowledge": knowledge,
        "target.estimator": "own",
        "target.settings": {"n_estimators": 10},
        "data.population_size": 200,
        "shadow.train_size": 80,
        "shadow.heldout_size": 80,
    }
    tiny.run(changes=CHANGES | changes)
    assert attacks()["loss"]["auc"] > 0.8
    assert "lira_offline" in attacks()
    assert attacks()["quantile"]["auc_low"] > 0.6


@pytest.mark.parametrize("target", [{}, {"estimator": "shokri_mlp", "settings": {"epochs": 5}}])
def test_shadows_are_the_same_whatever_the_number_of_processes(
    here: Path, monkeypatch: pytest.MonkeyPatch, target: dict[str, Any]
) -> None:
    stages = ("prepare", "split", "train_target", "train_shadows")
    changes = (
        CHANGES | {"attacker.knowledge": "population"} | {f"target.{name}": value for name, value in target.items()}
    )
    outputs = []
    for processes in ("1", "2"):
        monkeypatch.setenv("MIA_PROCESSES", processes)
        tiny.run(*stages, changes=changes)
        outputs.append(tiny.digests("train_target") | tiny.digests("train_shadows"))
        shutil.rmtree("models")
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 5


def test_what_training_depends_on_stands_in_one_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """data/network.json changes with own code, with the code of our estimator, and with what is asked.

    It changes with nothing of the settings, and not with the code of an estimator that is not used.
    """

    def declared(**changes: Any) -> str:
        tiny.run("prepare", "split", changes=CHANGES | {"attacker.knowledge": "population"} | changes)
        return paths.NETWORK.read_text()

    before = declared()
    assert declared(**{"target.settings": {"n_estimators": 5}}) == before
    assert declared(**{"data.population_size": 300}) != before
    assert declared() == before
    perceptron = declared(**{"target.estimator": "shokri_mlp", "target.settings": {}})
    monkeypatch.setattr(fitted, "OF_SHOKRI_MLP", fitted.OF_SHOKRI_MLP[:-1])  # as if a file of it were another
    assert declared(**{"target.estimator": "shokri_mlp", "target.settings": {}}) != perceptron
    assert declared() == before
    code = here / "audits/table/code"
    code.mkdir(exist_ok=True)
    (code / "recipe.py").write_text(OWN)
    own = declared(**{"target.estimator": "own"})
    (code / "recipe.py").write_text(OWN + "# changed\n")
    assert declared(**{"target.estimator": "own"}) != own


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "more than there are": (
        {"attacker.knowledge": "population", "data.population_size": 401},
        "audits/table/params.yaml: data.population_size: expected at most the 400 real records, got 401",
    ),
    "no split": (
        {"attacker.knowledge": "population", "data.split": "published"},
        (
            "audits/table/params.yaml: data.split: this data has no published training and test split; set it to half, "
            "or name the column that has it in data.published"
        ),
    ),
    "all under audit": (
        {"attacker.knowledge": "disjoint"},
        (
            "params.yaml: attacker.knowledge: disjoint needs real records outside the population, but all 400 are "
            "under audit; set audits/table/params.yaml: data.split to half and data.population_size below that"
        ),
    ),
    "more than are left": (
        {"attacker.knowledge": "disjoint", "data.population_size": 300, "data.attacker_size": 101},
        "audits/table/params.yaml: data.attacker_size: expected at most the 100 records there are, got 101",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused_of_a_table_calls_its_rows_records(here: Path, case: str) -> None:
    changes, message = WRONG[case]
    with pytest.raises(InputError) as raised:
        tiny.run("prepare", changes=CHANGES | changes)
    assert str(raised.value) == message


def test_views_of_a_row_are_refused(here: Path) -> None:
    with pytest.raises(InputError) as raised:
        tiny.run("prepare", "split", changes=CHANGES | {"attacker.knowledge": "population", "query.views": 2})
    assert str(raised.value) == (
        "params.yaml: query.views: an estimator answers queries of the records themselves: expected 1, got 2; "
        "set it to 1"
    )
