"""Worlds with a known answer, through the real stages: planted leaks are found, and none is claimed without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import tiny
from mia import attacks, paths, splits, tables

CLASSES = 4
ATTACKS = {*attacks.THRESHOLD, attacks.LEARNED}


def world(leak: float, seed: int) -> dict[str, dict[str, Any]]:
    """Write the outputs of a target and four shadows into this folder, run the attacks, return what they measured.

    Logits are noise with the true class raised, members' by `leak` more. A record's side is drawn for each model.
    """
    rng = np.random.default_rng(seed)
    for model_id in range(5):
        count, source = (2000, "attacker") if model_id else (3000, "population")
        labels = rng.integers(0, CLASSES, count)
        member = splits.draw_half(np.arange(count), rng)
        logits = rng.normal(size=(count, CLASSES))
        logits[np.arange(count), labels] += 1.0 + leak * member
        asked = splits.table(model_id, source, np.flatnonzero(member), np.flatnonzero(~member))
        said = pa.Table.from_pandas(asked.drop(columns="is_member").assign(view=0, label=labels), preserve_index=False)
        said = said.append_column("logits", tables.list_column(logits.astype(np.float32)))
        learning = pd.DataFrame({"model_id": [model_id], "epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5})
        learning["test_accuracy"] = 0.5
        places = (
            (paths.shadow_signals(model_id), paths.shadow_membership(model_id), paths.shadow_learning(model_id))
            if model_id
            else (paths.TARGET_SIGNALS, paths.TARGET_MEMBERSHIP, paths.TARGET_LEARNING)
        )
        for path, table, schema in zip(
            places, (said, asked, learning), (tables.SIGNALS, tables.MEMBERSHIP, tables.LEARNING), strict=True
        ):
            tables.write(path, table, schema)
    changes = {
        "shadow.blocks": [1, 2, 3, 4],
        "features.columns": ["posteriors", "signals", "label"],
        "estimators.extra_trees": {"n_estimators": 30, "min_samples_leaf": 20},
        "evaluate.bootstrap_replicates": 300,
    }
    tiny.run("build_features", "select_attack", "fit_attack", "score", "evaluate", changes=changes)
    return {one["attack"]: one for one in json.loads(paths.ATTACK_METRICS.read_text())}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_attack_finds_a_planted_leak() -> None:
    measured = world(leak=1.5, seed=1)
    assert set(measured) == ATTACKS
    for attack, one in measured.items():
        assert one["auc_low"] > 0.55, attack  # a score of the wrong sign would be below 0.5
        assert one["balanced_accuracy_low"] > 0.5, attack  # a threshold of the wrong side as well
        assert one["epsilon_lower"] > 0, attack
        if attack != "correctness":
            assert one["tpr_at_fpr_0_01"] > 0.01, attack


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_attack_claims_a_leak_where_there_is_none(seed: int) -> None:
    """The interval of every attack holds AUC 0.5 (95 %: widened to what six attacks and three worlds may show)."""
    measured = world(leak=0.0, seed=seed)
    assert set(measured) == ATTACKS
    for attack, one in measured.items():
        half = (one["auc_high"] - one["auc_low"]) / 2
        assert abs(one["auc"] - 0.5) < 1.6 * half, (attack, one["auc"], half)  # 3.1 standard errors
        assert one["epsilon_lower"] == 0, attack
        assert one["balanced_accuracy_low"] < 0.5 < one["balanced_accuracy_high"], attack


def test_a_target_that_leaks_less_than_its_shadows_is_not_said_to_leak_as_they_do() -> None:
    """Thresholds come from the shadows, numbers from the target."""
    leaking = world(leak=1.5, seed=5)["loss"]
    rng = np.random.default_rng(0)
    scores = tables.read(paths.SCORES, tables.SCORES)
    target = scores["model_id"] == 0
    scores.loc[target, "is_member"] = rng.permutation(scores.loc[target, "is_member"].to_numpy())
    tables.write(paths.SCORES, scores, tables.SCORES)
    tiny.run("evaluate", changes={"evaluate.bootstrap_replicates": 300})
    measured = {one["attack"]: one for one in json.loads(paths.ATTACK_METRICS.read_text())}["loss"]
    assert measured["threshold"] == leaking["threshold"]
    assert measured["auc_low"] < 0.5 < measured["auc_high"]
