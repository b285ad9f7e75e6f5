"""Every size in params.yaml, smallest and largest: the experiment runs, or says in one line what to set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import annotated_types
import pytest
from pydantic import BaseModel

import pipeline
import tiny
from mia import params, params_audit, paths
from mia.errors import InputError

pytestmark = pytest.mark.long

HUGE = 10**9
# Work, not a size of anything held: as much of it as one wants takes as long as it takes.
WORK = {"target.epochs", "shadow.per_block", "select.search_iterations"}
# The smallest value, or the largest that is no work; what it says where it cannot run, None: it runs.
CASES: list[tuple[str, Any, str | None]] = [
    ("data.population_size", 4, None),
    (
        "data.population_size",
        1797,
        "audits/digits/params.yaml: data.population_size: generated images are drawn from the digits",
    ),
    (
        "data.population_size",
        HUGE,
        "audits/digits/params.yaml: data.population_size: expected at most the 1797 real images",
    ),
    ("data.generated", 1, "shadow: a shadow takes train_size + heldout_size = 100 + 100 records"),
    ("target.batch_size", 1, None),
    ("target.batch_size", HUGE, None),
    ("target.epochs", 1, None),
    ("shadow.per_block", 1, None),
    ("shadow.together", 1, None),
    ("shadow.together", HUGE, None),
    ("shadow.train_size", 1, None),
    ("shadow.train_size", HUGE, "shadow: a shadow takes train_size + heldout_size = 1000000000 + 100 records"),
    ("shadow.heldout_size", 1, None),
    ("shadow.heldout_size", HUGE, "shadow: a shadow takes train_size + heldout_size = 100 + 1000000000"),
    (
        "features.max_records",
        2,
        "features.max_records: expected at least 8, two records of each of the 4 shadows, got 2",
    ),
    ("features.max_records", 8, None),
    ("features.max_records", 40, None),
    ("features.max_records", HUGE, None),
    ("attacks.played.models", 1, None),
    ("attacks.played.models", HUGE, None),
    ("attacks.played.records", 2, None),
    ("attacks.played.records", HUGE, None),
    ("attacks.quantile.patches", 1, None),
    ("attacks.quantile.patches", 500, None),
    ("attacks.glira.models", 2, None),
    ("attacks.glira.records", 20, None),
    ("attacks.glira.records", HUGE, None),
    ("select.records_per_model", 2, None),
    ("select.records_per_model", HUGE, None),
    ("select.search_iterations", 1, None),
    ("evaluate.bootstrap_replicates", 100, None),
    ("evaluate.histogram_bins", 2, None),
    ("evaluate.histogram_bins", 10_000, None),
    ("report.gallery", 0, None),
    ("report.gallery", HUGE, None),
]


@pytest.mark.parametrize(("name", "value", "said"), CASES, ids=[f"{name}={value}" for name, value, _ in CASES])
def test_a_size_runs_or_says_in_one_line_what_to_set(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any, said: str | None
) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    before = paths.AUDIT_PAGE.stat().st_mtime_ns
    stages = list(pipeline.stages())
    told = [stage for stage in stages if tells(stage, name)]
    wrong = None
    try:
        tiny.run(*stages[stages.index(told[0]) :], changes={name: value})
    except InputError as error:
        wrong = str(error)
    if said is None:
        assert wrong is None
        assert paths.AUDIT_PAGE.stat().st_mtime_ns > before
    else:
        assert wrong is not None
        assert wrong.startswith(said if said.startswith("audits/") else f"params.yaml: {said}")
        assert "\n" not in wrong


def tells(stage: str, name: str) -> bool:
    """Whether dvc.yaml hands a stage this parameter."""
    entries = pipeline.parameters(stage)
    return any(name == entry or name.startswith(f"{entry}.") for entry in entries)


def sizes(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, int, int | None]]:
    """Every whole number of the digits experiment: its dotted name, the least and the largest value, if any."""
    for name, field in model.model_fields.items():
        kinds = [kind for kind in get_args(field.annotation) if hasattr(kind, "model_fields")]
        chosen = {"data": params_audit.DigitsData, "target": params_audit.Recipe, "model": None}
        kind: Any = chosen.get(name, kinds[0] if kinds else field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from sizes(kind, "" if name == "audit" else f"{above}{name}.")
        elif kind is int:
            least = next(limit.ge for limit in field.metadata if isinstance(limit, annotated_types.Ge))
            most = [limit.le for limit in field.metadata if isinstance(limit, annotated_types.Le)]
            yield f"{above}{name}", int(str(least)), int(str(most[0])) if most else None


def test_every_size_stands_in_the_table_at_both_ends() -> None:
    tried = {(name, value) for name, value, _ in CASES}
    for name, least, most in sizes(params.Params):
        if name == "seed":
            continue
        assert (name, least) in tried
        if name not in WORK and most is None and name != "data.generated":
            assert (name, HUGE) in tried
    assert {name for name, _, _ in sizes(params.Params)} >= WORK


def test_classifiers_that_so_few_records_cannot_bear_are_left_out_and_named(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the attack that is asked for the audit goes on; with one of them it ends in a line."""
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    few: dict[str, Any] = {"select.records_per_model": 2}
    tiny.run("select_attack", "fit_attack", "report", changes=few)
    selection = json.loads(paths.SELECTION.read_text())
    few_for = {"lda", "qda", "k_neighbors"}
    assert set(selection["left_out"]) == few_for
    assert {one["estimator"] for one in selection["leaderboard"]} == set(params.Estimators.model_fields) - few_for
    assert selection["left_out"]["qda"].startswith("QuadraticDiscriminantAnalysis: The covariance matrix of class ")
    assert "select_attack: k_neighbors is left out: KNeighborsClassifier: Expected" in capsys.readouterr().err
    assert "k neighbors is left out, because it cannot be fitted on so few records" in paths.AUDIT_PAGE.read_text()
    few = {"features.max_records": 16, "attacks.learned.estimator": "qda"}
    tiny.run("build_features", changes=few)
    with pytest.raises(InputError, match="^params.yaml: estimators: QuadraticDiscriminantAnalysis: The covariance"):
        tiny.run("fit_attack", changes=few)
