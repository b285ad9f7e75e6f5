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
    assert json.loads(paths.VERDICT.read_text())["kind"] == "record"
    assert not stored_records.has_images(paths.POPULATION)
    assert sorted(file.name for file in paths.TARGET_MODEL.iterdir()) == ["0.answers.parquet", "0.skops"]
    text = planted.text_of(paths.AUDIT_PAGE.read_text(encoding="utf-8"))
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


def test_shadows_are_the_same_whatever_the_number_of_processes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = ("prepare", "split", "train_target", "train_shadows")
    changes = CHANGES | {"attacker.knowledge": "population"}
    outputs = []
    for processes in ("1", "2"):
        monkeypatch.setenv("MIA_PROCESSES", processes)
        tiny.run(*stages, changes=changes)
        outputs.append(tiny.digests("train_target") | tiny.digests("train_shadows"))
        shutil.rmtree("models")
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 5


def test_what_training_depends_on_stands_in_one_file(here: Path) -> None:
    """data/network.json changes with own code and with what is asked, and with nothing of the settings."""

    def declared(**changes: Any) -> str:
        tiny.run("prepare", "split", changes=CHANGES | {"attacker.knowledge": "population"} | changes)
        return paths.NETWORK.read_text()

    before = declared()
    assert declared(**{"target.settings": {"n_estimators": 5}}) == before
    assert declared(**{"data.population_size": 300}) != before
    code = here / "audits/table/code"
    code.mkdir(exist_ok=True)
    (code / "recipe.py").write_text(OWN)
    own = declared(**{"target.estimator": "own"})
    (code / "recipe.py").write_text(OWN + "# changed\n")
    assert declared(**{"target.estimator": "own"}) != own


def test_views_of_a_row_are_refused(here: Path) -> None:
    with pytest.raises(InputError) as raised:
        tiny.run("prepare", "split", changes=CHANGES | {"attacker.knowledge": "population", "query.views": 2})
    assert str(raised.value) == (
        "params.yaml: query.views: an estimator answers queries of the records themselves: expected 1, got 2; "
        "set it to 1"
    )
