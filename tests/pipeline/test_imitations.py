"""The stage train_imitators on the tiny experiment: who is imitated, on which records, and the same bytes again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny
from mia import paths
from mia.data.membership import MEMBERSHIP
from mia.models import imitations, imitators
from mia.store import parquet
from stages import train_imitators

pytestmark = pytest.mark.long


@pytest.fixture
def copy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny experiment to change, which is also the current folder."""
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def test_the_target_and_the_first_shadow_are_imitated(copy: Path) -> None:
    found = imitations.read(paths.IMITATIONS)
    models = dict(list(found.groupby("model_id")))
    assert list(models) == [0, 1]
    assert models[0]["source"].unique().tolist() == ["population"]
    assert models[1]["source"].unique().tolist() == ["attacker"]
    for frame in models.values():
        first, second = (frame[frame["imitator"] == k] for k in (0, 1))
        assert first["sample_id"].tolist() == second["sample_id"].tolist() == sorted(first["sample_id"])
        assert len(frame) == len(first) + len(second)
        assert not np.allclose(first["margin"], second["margin"])
    assert len(models[0]) == 2 * 240
    membership = parquet.read(paths.shadow_membership(0), MEMBERSHIP).query("model_id == 1 and is_member")
    assert set(membership["sample_id"]) <= set(models[1]["sample_id"])


def test_the_imitators_learn_from_records_that_they_are_not_asked_about(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[imitators.Task] = []

    def noted(seed: int, imitated: list[imitators.Imitated], models: int) -> list[imitators.Task]:
        seen.extend(tasks := of(seed, imitated, models))
        return tasks

    of = imitators.tasks_of
    monkeypatch.setattr(imitators, "tasks_of", noted)
    tiny.run("train_imitators", changes={"attacks.glira.records": 150, "target.epochs": 1})
    target, shadow = seen[0], seen[2]
    assert len(target.lesson.members) == len(shadow.lesson.members) == 150
    membership = parquet.read(paths.shadow_membership(0), MEMBERSHIP).query("model_id == 1 and is_member")
    assert not set(shadow.lesson.members) & set(membership["sample_id"])
    assert not set(shadow.lesson.members) & set(shadow.asked)
    assert set(membership["sample_id"]) < set(shadow.asked)


def test_it_is_scored_on_the_target_and_its_threshold_chosen_on_the_shadow(copy: Path) -> None:
    scores = pd.read_parquet(paths.SCORES).query("attack == 'glira'")
    assert scores["model_id"].unique().tolist() == [1]
    assert scores["is_member"].sum() == 100
    assert np.isfinite(pd.read_parquet(paths.TARGET_SCORES)["glira_score"]).all()
    (measured,) = [one for one in json.loads(paths.ATTACK_METRICS.read_text()) if one["attack"] == "glira"]
    assert scores["score"].min() <= measured["threshold"]


def test_the_bytes_are_the_same_in_two_processes(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tiny.digests("train_imitators")
    assert len(before) == 1
    for processes in ("1", "2"):
        monkeypatch.setenv("MIA_PROCESSES", processes)
        tiny.run("train_imitators")
        assert tiny.digests("train_imitators") == before


def test_blocks_that_come_later_change_nothing(copy: Path) -> None:
    before = tiny.digests("train_imitators")
    for path in (paths.shadow_signals(1), paths.shadow_membership(1), paths.MARGINS):
        path.unlink()
    tiny.run("train_imitators")
    assert tiny.digests("train_imitators") == before


def test_where_it_is_not_asked_for_nothing_is_read_nor_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train_imitators, "train", lambda *_: pytest.fail("it trains"))
    tiny.run("train_imitators", changes={"attacks.run": ["loss"]})
    assert capsys.readouterr().err == "train_imitators: left out: not among attacks.run\n"
    assert [path.name for path in paths.IMITATIONS.iterdir()] == ["not_applicable.json"]


def test_short_answers_leave_it_out(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mia.models import short_answers

    monkeypatch.setattr(short_answers, "LIMIT", 0)
    tiny.run("query_shadows", "train_imitators", "score")
    reason = "needs logits of all the attacker's records, and data/signals/shadows/0.parquet is kept short"
    assert json.loads(paths.NOT_APPLICABLE.read_text())["glira"] == reason


def test_a_training_that_diverges_leaves_it_out(copy: Path) -> None:
    tiny.run("train_imitators", "score", changes={"target.learning_rate": 1e38, "target.optimizer": "sgd"})
    reason = json.loads(paths.NOT_APPLICABLE.read_text())["glira"]
    assert reason.startswith("imitator 1 of the target: the training loss is ")
    assert reason.endswith(" in epoch 1 of 6")
