"""Worlds with a known answer, through the real stages: planted leaks are found, and none is claimed without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import tiny
from mia import catalogue, paths
from mia.data import splits, stored_records
from mia.data.membership import MEMBERSHIP, membership_table
from mia.data.records import Records
from mia.models import networks
from mia.models.learning import LEARNING
from mia.models.logits import SIGNALS
from mia.store import metrics_files, parquet

pytestmark = pytest.mark.long

CLASSES, SHADOWS = 4, 6
SAMPLES = {"population": 1600, "attacker": 1800}
ONLINE = {attack.name for attack in catalogue.ATTACKS if "references_in" in attack.needs}
ONE_VIEW = set(catalogue.NAMES) - {"views_right"}
RUN = {"generated": ONE_VIEW - ONLINE, "population": ONE_VIEW - {"quantile", "glira"}}
CALIBRATED = set(catalogue.wanted("all", "reference")) - {"population"} | {
    "stacked"
}  # attacks that know how hard a record is
CHANGES: dict[str, Any] = {
    "shadow.blocks": list(range(1, SHADOWS + 1)),
    "target.architecture": "shokri_mlp",
    "features.columns": ["posteriors", "signals", "label"],
    "attacks.played.records": 400,
    "attacks.quantile.patches": 16,
    "attacks.glira.records": 400,
    "estimators.extra_trees": {"n_estimators": 10, "min_samples_leaf": 30},
    "evaluate.bootstrap_replicates": 200,
}
Bools = NDArray[np.bool_]


def world(leak: float, seed: int, knowledge: str, hard: float = 0.5, **changes: Any) -> dict[str, dict[str, Any]]:
    """Write what all models said into this folder, run the attacks, return what they measured.

    Logits are noise with the true class raised: by as much as the record is easy, the same for every model (standard
    deviation `hard`), and by `leak` more for members. A record's side is drawn for each model, as the stages draw it.
    """
    rng = np.random.default_rng(seed)
    sources = ("population",) if knowledge == "population" else ("population", "attacker")
    labels, easy = {}, {}
    for source in sources:
        labels[source] = rng.integers(0, CLASSES, SAMPLES[source])
        easy[source] = rng.normal(1, hard, SAMPLES[source])
        save_records(source, labels[source])
    if knowledge == "population":
        stored_records.save(paths.ATTACKER, image_set(labels["population"], 0))
    networks.declare(paths.NETWORK, "shokri_mlp")
    for model_id in range(SHADOWS + 1):
        asked = drawn_membership(model_id, knowledge, rng)
        own = str(asked["source"][0])
        said = []
        for source in sources:
            count = SAMPLES[source]
            logits = rng.normal(size=(count, CLASSES))
            member = np.zeros(count, bool)
            if source == own:
                member[asked.loc[asked["is_member"], "sample_id"]] = True
            logits[np.arange(count), labels[source]] += easy[source] + leak * member
            keys = {"model_id": model_id, "source": source, "sample_id": np.arange(count), "view": 0}
            of_source = pa.Table.from_pandas(
                pd.DataFrame({**keys, "label": labels[source], "holds": "posteriors"}), preserve_index=False
            )
            said.append(of_source.append_column("logits", parquet.list_column(logits.astype(np.float32))))
        learning = pd.DataFrame({"model_id": [model_id], "epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5})
        learning["test_accuracy"] = 0.5
        places = (
            (paths.shadow_signals(model_id), paths.shadow_membership(model_id), paths.shadow_learning(model_id))
            if model_id
            else (paths.TARGET_SIGNALS, paths.TARGET_MEMBERSHIP, paths.TARGET_LEARNING)
        )
        written = (pa.concat_tables(said), asked, learning)
        for path, table, schema in zip(
            places,
            written,
            (SIGNALS, MEMBERSHIP, LEARNING),
            strict=True,
        ):
            parquet.write(path, table, schema)
    stages = ("build_features", "fit_attack", "fit_quantile", "fit_stacked", "train_imitators", "score", "evaluate")
    with threadpool_limits(1):  # threads that wait for each other on a busy machine take longer than one
        tiny.run(*stages, changes={**CHANGES, "attacker.knowledge": knowledge, **changes})
    return {one["attack"]: one for one in json.loads(paths.ATTACK_METRICS.read_text())}


def drawn_membership(model_id: int, knowledge: str, rng: np.random.Generator) -> pd.DataFrame:
    """One model's rows of the membership table: the target's half, a shadow's half, or a shadow's 150 + 150 records."""
    if model_id == 0 or knowledge == "population":
        group = np.arange(SAMPLES["population"])
        member = (
            splits.draw_shadow_half(group, index=model_id - 1, rng_of=np.random.default_rng)
            if model_id
            else splits.draw_half(group, rng)
        )
        return membership_table(model_id, "population", np.flatnonzero(member), np.flatnonzero(~member))
    every = np.arange(SAMPLES["attacker"])
    drawn = splits.draw_shadow(
        every, every, every, index=model_id - 1, train_size=150, heldout_size=150, rng_of=np.random.default_rng
    )
    return membership_table(model_id, "attacker", *drawn)


def save_records(source: str, labels: NDArray[np.int64]) -> None:
    folder, first = (paths.POPULATION, 0) if source == "population" else (paths.ATTACKER, 10_000)
    stored_records.save(folder, image_set(labels, first))


def image_set(labels: NDArray[np.int64], first: int) -> Records:
    """Images of 4x4, no two alike, which show nothing."""
    numbers = (first + np.arange(len(labels), dtype=np.uint32)).astype(">u4")
    return Records(
        x=numbers.view(np.uint8).reshape(-1, 2, 2, 1).repeat(2, axis=1).repeat(2, axis=2),
        labels=labels,
        classes=tuple("abcd"),
        published_train=None,
        names=np.array([f"record {number}" for number in numbers]),
    )


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("knowledge", RUN)
def test_every_attack_finds_a_planted_leak(knowledge: str) -> None:
    measured = world(leak=2.0, seed=1, knowledge=knowledge)
    assert set(measured) == RUN[knowledge]
    assert set(json.loads(paths.NOT_APPLICABLE.read_text())) == set(catalogue.NAMES) - RUN[knowledge]
    for attack, one in measured.items():
        assert one["auc_low"] > 0.55, attack  # a score of the wrong sign would be below 0.5
        assert one["balanced_accuracy_low"] > 0.5, attack  # a threshold of the wrong side as well
        assert one["epsilon_lower"] > 0, attack
        assert one["verdict"] == "finds members", attack
        if attack != "correctness":
            assert one["tpr_at_fpr_0_01"] > 0.01, attack


@pytest.mark.parametrize("knowledge", RUN)
def test_no_attack_claims_a_leak_where_there_is_none(knowledge: str) -> None:
    """The interval of every attack holds 0.5 (95 %: widened to what 23 attacks and two worlds may show)."""
    measured = world(leak=0.0, seed=2, knowledge=knowledge)
    assert set(measured) == RUN[knowledge]
    for attack, one in measured.items():
        for name in ("auc", "balanced_accuracy"):
            half = (one[f"{name}_high"] - one[f"{name}_low"]) / 2
            assert abs(one[name] - 0.5) < 1.8 * half, (attack, name, one[name], half)  # 3.5 standard errors
        assert one["epsilon_lower"] < 0.1, attack


@pytest.mark.parametrize("knowledge", RUN)
def test_where_records_are_hard_or_easy_attacks_that_know_how_hard_beat_the_loss(knowledge: str) -> None:
    measured = world(leak=2.0, seed=3, knowledge=knowledge, hard=4.0)
    pairs = metrics_files.read_csv(paths.COMPARISONS, ["attack_a", "attack_b"])
    for attack in CALIBRATED & RUN[knowledge]:
        (pair,) = pairs[(pairs["attack_a"] == attack) & (pairs["attack_b"] == "loss")].to_dict("records")
        assert pair["auc_difference"] > 0.03, attack
        assert pair["auc_p"] < 0.01, attack
        assert measured[attack]["auc"] > measured["loss"]["auc"], attack
    alike = pairs[pairs["attack_a"].isin(["loss", "population"]) & pairs["attack_b"].isin(["loss", "population"])]
    assert alike["auc_difference"].tolist() == [0]  # attack P is the loss, ranked


def test_a_target_that_leaks_less_than_its_shadows_is_not_said_to_leak_as_they_do() -> None:
    """Thresholds come from the shadows, numbers from the target."""
    changes: dict[str, Any] = {"attacks.run": ["loss"]}
    leaking = world(leak=2.0, seed=5, knowledge="population", **changes)["loss"]
    rng = np.random.default_rng(0)
    membership = parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP)
    membership["is_member"] = rng.permutation(membership["is_member"].to_numpy())
    parquet.write(paths.TARGET_MEMBERSHIP, membership, MEMBERSHIP)
    tiny.run("evaluate", changes={**CHANGES, "attacker.knowledge": "population", **changes})
    measured = {one["attack"]: one for one in json.loads(paths.ATTACK_METRICS.read_text())}["loss"]
    assert measured["threshold"] == leaking["threshold"]
    assert measured["auc_low"] < 0.5 < measured["auc_high"]
