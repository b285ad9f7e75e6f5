"""The stages on the tiny experiment: each parameter matters, the same parameters give the same bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

import pipeline
import tiny
from mia import params, paths, tables
from mia.errors import InputError

pytestmark = pytest.mark.xdist_group("tiny")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole tiny experiment has run."""
    return tiny.run_in(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def copy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it to change, which is also the current folder."""
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    yield tmp_path / "copy"
    assert not list((tmp_path / "copy").rglob(".*.[0-9]*")), "a temporary file was left"


# Every parameter that the digits experiment has, another value of it, and the first stage whose outputs it changes.
CHANGES: list[tuple[str, Any, str]] = [
    ("seed", 1, "split"),
    ("data.digits.population_size", 200, "prepare"),
    ("data.digits.generated", 600, "prepare"),
    ("data.digits.bandwidth", 2.0, "prepare"),
    ("target.digits.epochs", 3, "train_target"),
    ("target.digits.batch_size", 16, "train_target"),
    ("target.digits.optimizer", "sgd", "train_target"),
    ("target.digits.learning_rate", 0.002, "train_target"),
    ("target.digits.momentum", 0.5, "train_target"),
    ("target.digits.weight_decay", 0.01, "train_target"),
    ("shadow.blocks", [0], "build_features"),
    ("shadow.digits.per_block", 2, "train_shadows"),
    ("shadow.digits.train_size", 90, "train_shadows"),
    ("shadow.digits.heldout_size", 90, "train_shadows"),
    ("features.columns", ["signals", "label"], "build_features"),
    ("attack.estimator", "gaussian_nb", "fit_attack"),
    ("attack.per_class", True, "fit_attack"),
    ("select.records_per_model", 60, "select_attack"),
    ("select.search_iterations", 5, "select_attack"),
    ("estimators.dummy", {"strategy": "stratified"}, "select_attack"),
    ("estimators.logistic_regression", {"C": 1e-3}, "select_attack"),
    ("estimators.lda", {"solver": "lsqr", "shrinkage": 0.9}, "select_attack"),
    ("estimators.qda", {"reg_param": 0.5}, "select_attack"),
    ("estimators.gaussian_nb", {"var_smoothing": 0.5}, "select_attack"),
    ("estimators.k_neighbors", {"n_neighbors": 3}, "select_attack"),
    ("estimators.decision_tree", {"max_depth": 1}, "select_attack"),
    ("estimators.random_forest", {"n_estimators": 2}, "select_attack"),
    ("estimators.extra_trees", {"n_estimators": 2}, "fit_attack"),
    ("estimators.bagging", {"n_estimators": 2}, "select_attack"),
    ("estimators.ada_boost", {"n_estimators": 1}, "select_attack"),
    ("estimators.hist_gradient_boosting", {"max_iter": 3, "min_samples_leaf": 2}, "select_attack"),
    ("estimators.mlp", {"max_iter": 2}, "select_attack"),
    ("evaluate.fprs", [0.5], "evaluate"),
    ("evaluate.bootstrap_replicates", 150, "evaluate"),
    ("evaluate.histogram_bins", 9, "evaluate"),
]
# One value today (the type says so), or a choice of data set, which other tests make.
ONE_VALUE = {"data.dataset", "data.digits.split", "attacker.knowledge", "target.digits.architecture"}


@pytest.mark.parametrize(("name", "value", "stage"), CHANGES, ids=[name for name, _, _ in CHANGES])
def test_each_parameter_changes_what_the_stage_writes(copy: Path, name: str, value: Any, stage: str) -> None:
    before = tiny.digests(stage)
    tiny.run(stage, changes={name: value})
    assert tiny.digests(stage) != before
    declared = [entry.replace("${data.dataset}", "digits") for entry in pipeline.stages()[stage]["params"]]
    assert any(name == entry or name.startswith(entry + ".") for entry in declared)


def test_every_parameter_of_the_experiment_is_among_them() -> None:
    def leaves(model: type[BaseModel], above: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():
            kind: Any = field.annotation
            if name in ("cifake", "cifar10", "folder"):
                continue
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from leaves(kind, f"{above}{name}.")
            else:
                yield above + name

    assert {name for name, _, _ in CHANGES} | ONE_VALUE == set(leaves(params.Params))


@pytest.mark.parametrize("stage", pipeline.stages())
def test_the_same_parameters_give_the_same_bytes(copy: Path, stage: str) -> None:
    before = tiny.digests(stage)
    assert before
    tiny.run(stage)
    assert tiny.digests(stage) == before


def test_another_seed_gives_other_weights(copy: Path) -> None:
    before = tiny.digests("train_target"), tiny.digests("train_shadows")
    tiny.run("train_target", "train_shadows", changes={"seed": 2})
    after = tiny.digests("train_target"), tiny.digests("train_shadows")
    for old, new in zip(before, after, strict=True):
        weights = [name for name in old if name.endswith(".safetensors")]
        assert weights
        assert all(old[name] != new[name] for name in weights)


def test_no_two_models_are_alike(finished: Path) -> None:
    weights = [path.read_bytes() for path in sorted(finished.glob("models/**/*.safetensors"))]
    assert len(weights) == len(set(weights)) == 3


def test_a_shadow_is_the_same_model_in_whatever_block(copy: Path) -> None:
    alone = Path("models/shadows/1/2.safetensors").read_bytes()
    tiny.run("train_shadows", changes={"shadow.digits.per_block": 2, "shadow.blocks": [0]})
    assert Path("models/shadows/0/2.safetensors").read_bytes() == alone


def test_the_target_and_its_shadows_share_no_image(finished: Path) -> None:
    population = pd.read_parquet(finished / paths.POPULATION / "records.parquet")
    attacker = pd.read_parquet(finished / paths.ATTACKER / "records.parquet")
    assert not set(population["sha256"]) & set(attacker["sha256"])


def test_membership_is_half_and_keyed_by_model(finished: Path) -> None:
    target = pd.read_parquet(finished / paths.TARGET_MEMBERSHIP)
    assert target["is_member"].sum() == 120
    assert len(target) == 240
    assert not target.duplicated(["model_id", "source", "sample_id"]).any()
    assert not target["is_member"].is_monotonic_increasing
    assert not target["is_member"].is_monotonic_decreasing


def test_the_targets_membership_is_in_nothing_that_an_attack_reads(finished: Path) -> None:
    assert "is_member" not in pd.read_parquet(finished / paths.TARGET_FEATURES).columns
    assert "is_member" not in pd.read_parquet(finished / paths.TARGET_SIGNALS).columns


def test_scores_do_not_change_when_the_targets_membership_is_turned_round(copy: Path) -> None:
    before = pd.read_parquet(paths.SCORES)
    membership = tables.read(paths.TARGET_MEMBERSHIP, tables.MEMBERSHIP)
    membership["is_member"] = ~membership["is_member"]
    tables.write(paths.TARGET_MEMBERSHIP, membership, tables.MEMBERSHIP)
    tiny.run("score")
    pd.testing.assert_series_equal(pd.read_parquet(paths.SCORES)["score"], before["score"])


def test_shadows_scores_of_the_learned_attack_are_not_fitted_ones(finished: Path) -> None:
    """Scores in the sample would be near 0 and 1, and every threshold chosen on them wrong."""
    scores = pd.read_parquet(finished / paths.SCORES)
    shadows = scores[(scores["attack"] == "learned") & (scores["model_id"] > 0)]
    members, others = (shadows.loc[shadows["is_member"] == side, "score"] for side in (True, False))
    assert abs(members.mean() - others.mean()) < 0.25


def test_a_block_taken_out_is_removed_and_forgotten(copy: Path) -> None:
    tiny.run("build_features", changes={"shadow.blocks": [1]})
    assert [path.name for path in paths.ALL_SHADOW_SIGNALS.iterdir()] == ["1.parquet"]
    assert set(pd.read_parquet(paths.SHADOW_FEATURES)["model_id"]) == {2}


def test_metrics_and_figures_agree(finished: Path) -> None:
    measured = {one["attack"]: one for one in json.loads((finished / paths.ATTACK_METRICS).read_text())}
    confusion = pd.read_csv(finished / paths.CONFUSION)
    for attack, one in measured.items():
        cells = confusion[confusion["attack"] == attack].set_index(["actual", "predicted"])["count"]
        assert cells["member", "member"] == one["tp"]
        assert one["accuracy"] == pytest.approx((one["tp"] + one["tn"]) / 240, abs=1e-4)
        assert one["always_member_accuracy"] == 0.5
        assert "tpr_at_fpr_0_001" not in one  # 120 non-members cannot resolve it
    histogram = pd.read_csv(finished / paths.SCORE_HISTOGRAM).groupby("attack")[["members", "nonmembers"]].sum()
    np.testing.assert_allclose(histogram, 1, atol=1e-4)


def test_best_takes_the_leaders_searched_settings(copy: Path) -> None:
    tiny.run("fit_attack", changes={"attack.estimator": "best"})
    described = json.loads((paths.ATTACK_MODEL / "attack.json").read_text())
    selection = json.loads(paths.SELECTION.read_text())
    assert described["family"] == selection["best"] == selection["leaderboard"][0]["estimator"]
    means = [one["auc_mean"] for one in selection["leaderboard"]]
    assert means == sorted(means, reverse=True)
    assert len(means) == 13
    assert described["settings"] == selection["settings"]


def test_one_shadow_is_too_few_for_a_learned_attack(copy: Path) -> None:
    tiny.run("build_features", changes={"shadow.blocks": [0]})
    with pytest.raises(InputError, match="expected at least 2 shadow models, .* got 1; append to shadow.blocks"):
        tiny.run("select_attack", changes={"shadow.blocks": [0]})


def test_a_setting_that_scikit_learn_does_not_have_is_named(copy: Path) -> None:
    with pytest.raises(
        InputError, match=r"estimators.extra_trees.n_estimater: no setting of ExtraTrees.*'n_estimators'"
    ):
        tiny.run("fit_attack", changes={"estimators.extra_trees": {"n_estimater": 5}})
    with pytest.raises(InputError, match="The 'n_estimators' parameter of ExtraTreesClassifier must be an int"):
        tiny.run("fit_attack", changes={"estimators.extra_trees": {"n_estimators": "many"}})


def test_a_learning_rate_that_blows_up_is_said(copy: Path) -> None:
    with pytest.raises(
        InputError, match=r"target: the training loss is (nan|inf) in epoch \d of 6; lower learning_rate"
    ):
        tiny.run("train_target", changes={"target.digits.learning_rate": 1e38, "target.digits.optimizer": "sgd"})


def test_a_population_larger_than_the_data_is_refused(copy: Path) -> None:
    with pytest.raises(
        InputError, match="data.digits.population_size: expected at most the 1797 real images, got 1798"
    ):
        tiny.run("prepare", changes={"data.digits.population_size": 1798})


def test_shadows_larger_than_the_attackers_data_are_refused(copy: Path) -> None:
    with pytest.raises(InputError, match="but the attacker holds 500 to train on"):
        tiny.run("train_shadows", changes={"shadow.digits.train_size": 450})
