"""`mia check` finds what is wrong with an audit, all at once, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

import people
import tiny
from mia.audits import check
from mia.errors import InputError

OWN = "from sklearn.naive_bayes import GaussianNB\ndef build(params, seed):\n    return GaussianNB()\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an audit of a table, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "audits/table/data/population"
    folder.mkdir(parents=True)
    people.table(120).drop(columns=["n0", "work"]).to_csv(folder / "people.csv", index=False)
    return tmp_path


def test_an_audit_without_fault_says_what_was_seen(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write_params(here / "params.yaml", {"audit": "table", "attacker.knowledge": "population"})
    before = sorted(here.rglob("*"))
    check.check("table")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "population: 120 records of 2 classes"
    assert said[1].startswith("recipe: tried on 120 records in ")
    assert said[2] == "audits/table: no fault found"
    assert sorted(here.rglob("*")) == before


def test_without_generated_records_it_is_checked_as_mia_new_tells_to_run_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """params.yaml asks for generated records until somebody sets it otherwise."""
    tiny.write_params(here / "params.yaml", {"audit": "table"})
    check.check("table")
    assert capsys.readouterr().out.splitlines()[2:] == [
        "audits/table: no fault found",
        (
            "It holds no generated records, which attacker.knowledge in params.yaml asks for, and was checked as for "
            "population: add `-S attacker.knowledge=population` to `dvc exp run`"
        ),
    ]
    people.table(120, seed=1).drop(columns=["n0", "work"]).to_csv(
        here / "audits/table/data/generated/a.csv", index=False
    )
    check.check("table")
    assert capsys.readouterr().out.splitlines()[1] == "attacker: 120 records"


def test_own_code_is_tried(here: Path) -> None:
    changes = {"audit": "table", "attacker.knowledge": "population", "target.estimator": "own"}
    tiny.write_params(here / "params.yaml", changes)
    with pytest.raises(InputError, match=r"code/recipe.py: no such file"):
        check.check("table")
    (here / "audits/table/code/recipe.py").write_text(OWN)
    check.check("table")


def test_faults_of_data_and_of_the_recipe_come_together(here: Path) -> None:
    tiny.write_params(here / "params.yaml", {"audit": "table", "attacker.knowledge": "population", "query.views": 2})
    values = here / "audits/table/params.yaml"
    values.write_text(values.read_text().replace("n_estimators: 10", "n_estimator: 10"))
    with pytest.raises(InputError) as raised:
        check.check("table")
    first, second = str(raised.value).splitlines()
    assert first.startswith("params.yaml: query.views: ")
    assert second.startswith("audits/table/params.yaml: target.settings.n_estimator: no setting of Random")


def test_another_audit_than_the_active_one_is_checked(here: Path) -> None:
    tiny.write_params(here / "params.yaml", {"audit": "table", "attacker.knowledge": "population"})
    with pytest.raises(InputError, match=r"audit: expected a folder of audits .*, got 'tabel'; did you mean 'table'"):
        check.check("tabel")
