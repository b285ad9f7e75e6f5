"""How long a grid takes is said before it starts: training by timed steps, the rest by what it took last time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import pipeline
import tiny
from mia import stage_seconds
from mia.history import forecast
from mia.models import outlook
from mia.models.outlook import Forecast, Work

NOW = datetime(2026, 1, 31, 14, 30)
SIZE = forecast.Size((8, 8, 1), 10, members=449, nonmembers=449)
IMAGES = tiny.images()["data"]
SECONDS = {
    "prepare": {"": 4.0},
    "train_target": {"": 99.0},
    "query_shadows": {"0": 5.0, "1": 7.0},
    "report": {"": 10.0},
}


@pytest.fixture(autouse=True)
def a_minute_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each model takes a minute, and a megabyte."""
    monkeypatch.setattr(outlook, "expected", lambda work: Forecast(60.0 * work.n_models, 10**6 * work.n_models))


def values(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """params.yaml with changes, by dotted names."""
    files = ("params.yaml", "audits/digits/params.yaml")
    whole = dict(forecast.together({name: YAML(typ="safe").load(pipeline.ROOT / name) for name in files}))
    for name, value in (changes or {}).items():
        *above, last = name.split(".")
        section = whole
        for part in above:
            section = section[part]
        section[last] = value
    return whole


def lock() -> dict[str, dict[str, Any]]:
    """dvc.lock after an audit with params.yaml as it stands."""
    stages = YAML(typ="safe").load((pipeline.ROOT / "dvc.yaml").read_text())["stages"]
    locked = {}
    for name, stage in stages.items():
        names = []
        for entry in stage.get("do", stage).get("params", []):
            names += [entry] if isinstance(entry, str) else [f"audit.{own}" for own in next(iter(entry.values()))]
        locked[name + "@0" * ("do" in stage)] = {entry: forecast.value_at(values(), entry) for entry in names}
    return locked


def said(
    *queued: dict[str, Any],
    locked: forecast.Lock | None = None,
    seconds: Mapping[str, Mapping[str, float]] | None = None,
    size: forecast.Size | None = SIZE,
) -> str:
    return forecast.line("a grid", queued, size, lock() if locked is None else locked, seconds or {}, NOW)


def test_a_grid_trains_each_model_once_and_none_that_is_there() -> None:
    grid = [
        values({"attacker.knowledge": knowledge, "audit.target.epochs": epochs})
        for knowledge in ("generated", "disjoint", "population")
        for epochs in (10, 40)
    ]
    assert said(*grid, seconds=SECONDS) == (  # 26 min of training, six times 4 + 6 + 10 s
        "a grid, 1 target and 25 shadows to train: at most 28 min here, 26 MB, done at 14:58"
    )
    assert said(*grid, locked={}, seconds=SECONDS).startswith("a grid, 6 targets and 30 shadows to train: ")


def test_what_trains_nothing_says_so() -> None:
    assert said(values({"attacks.learned.estimator": "best"}), seconds=SECONDS) == (
        "a grid, nothing to train: at most 20 s here, done at 14:30"
    )


def test_blocks_that_are_there_are_not_trained_again() -> None:
    """Of three blocks two are new, and three are asked."""
    assert said(values({"shadow.blocks": [0, 1, 2]}), seconds=SECONDS) == (
        "a grid, 10 shadows to train: at most 11 min here, 10 MB, done at 14:40"
    )


def test_another_seed_trains_all_anew() -> None:
    assert said(values({"seed": 1})) == (
        "a grid, 1 target and 5 shadows to train: about 6 min here, 6 MB, done at 14:36; what is not training comes on "
        "top, and was not timed here yet"
    )


def test_another_data_set_is_not_counted_and_what_is_refused_neither() -> None:
    assert said(values({"audit.data": IMAGES}), values({"seed": -1}), seconds=SECONDS) == (
        "a grid, nothing to train: at most 20 s here, done at 14:30; 1 of another audit not counted"
    )


def test_shadows_in_the_population_have_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Work] = []

    def expected(work: Work) -> Forecast:
        trained.append(work)
        return Forecast(1, 1)

    monkeypatch.setattr(outlook, "expected", expected)
    said(values({"attacker.knowledge": "population", "audit.shadow.train_size": 7}))
    said(values({"audit.shadow.train_size": 7, "audit.shadow.heldout_size": 9}))
    assert [(work.members, work.asked) for work in trained] == [(449, 449), (7, 9)]


def test_imitators_take_what_they_took_however_many_blocks_there_are() -> None:
    seconds = {"query_shadows": {"0": 5.0, "1": 7.0}, "train_imitators": {"0": 100.0}}
    assert forecast.other_stages(1, seconds) == 106
    assert forecast.other_stages(10, seconds) == 160


def test_estimators_take_as_long_as_when_they_last_ran_here() -> None:
    """A block of five shadows takes what blocks took last, and the target what it took: 99 + 2 * 40 s of fits."""
    forest = {"audit.target": {"estimator": "random_forest", "settings": {}}, "shadow.blocks": [0, 1]}
    seconds = {**SECONDS, "train_shadows": {"0": 30.0, "1": 50.0}}
    assert said(values(forest), seconds=seconds, size=None) == (
        "a grid, 1 target and 10 shadows to train: at most 3 min here, done at 14:33"
    )
    del seconds["train_shadows"]
    assert said(values(forest), seconds=seconds, size=None) == (
        "a grid, 1 target and 10 shadows to train: at most 2 min here, done at 14:32; how long estimators take was not "
        "timed here yet"
    )


def test_an_audit_of_estimators_is_foretold_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write_params(tmp_path / "params.yaml", {"audit": "table"})
    monkeypatch.setattr(forecast.experiments, "dvc_exp_show", list)  # type: ignore[attr-defined]
    forecast.report()
    assert capsys.readouterr().out.startswith("this audit, 1 target and 4 shadows to train: about 1 s here, done ")


def test_seconds_of_stages_are_kept_where_dvc_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stage_seconds.keep("prepare", [], 4)
    assert stage_seconds.last() == {}
    assert not list(tmp_path.iterdir())
    (tmp_path / ".dvc").mkdir()
    stage_seconds.keep("prepare", [], 4)
    stage_seconds.keep("query_shadows", ["--block", "0"], 5.5)
    stage_seconds.keep("query_shadows", ["--block", "0"], 5)
    stage_seconds.keep("query_shadows", ["--block", "1"], 7)
    (stage_seconds.FOLDER / "report").write_text("torn")
    assert stage_seconds.last() == {"prepare": {"": 4.0}, "query_shadows": {"0": 5.0, "1": 7.0}}


def test_only_what_waits_is_planned() -> None:
    def group(state: str | None, seed: int) -> dict[str, Any]:
        data = {"params": {"params.yaml": {"data": {"seed": seed}}}}
        return {"revs": [{"name": None, "rev": "f" * 40, "data": data}], "executor": state and {"state": state}}

    groups = [group("queued", 1), group(None, 2), group("failed", 3)]
    commits: list[dict[str, Any]] = [{"experiments": None}, {"experiments": groups}]
    assert forecast.listed(commits) == [({"seed": 1}, "queued"), ({"seed": 2}, "success"), ({"seed": 3}, "failed")]


def test_before_a_first_audit_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.write_params(tmp_path / "params.yaml")
    monkeypatch.setattr(forecast.experiments, "dvc_exp_show", list)  # type: ignore[attr-defined]
    forecast.report()
    assert capsys.readouterr().out.startswith(
        "this audit: its time is not known before a first `dvc repro` (models/target"
    )
