"""The stages on the tiny experiment: each parameter matters, the same parameters give the same bytes."""

from __future__ import annotations

import gc
import json
import shutil
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import BaseModel

import pipeline
import tiny
from mia import catalogue, params, params_audit, paths
from mia.data import digits
from mia.errors import InputError, NotApplicable
from stages import score

pytestmark = pytest.mark.long


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
    ("data.population_size", 200, "prepare"),
    ("data.generated", 600, "prepare"),
    ("data.bandwidth", 2.0, "prepare"),
    ("attacker.knowledge", "disjoint", "prepare"),
    ("target.architecture", "shokri_mlp", "split"),
    ("target.mean", [0.2], "train_target"),
    ("target.deviation", [0.2], "train_target"),
    ("target.epochs", 3, "train_target"),
    ("target.batch_size", 16, "train_target"),
    ("target.optimizer", "sgd", "train_target"),
    ("target.learning_rate", 0.002, "train_target"),
    ("target.schedule", "cosine", "train_target"),
    ("target.momentum", 0.5, "train_target"),
    ("target.weight_decay", 0.01, "train_target"),
    ("target.label_smoothing", 0.1, "train_target"),
    ("target.augmentation", ["flip"], "train_target"),
    ("target.precision", "bfloat16", "train_target"),
    ("shadow.blocks", [0], "build_features"),
    ("shadow.mean", [0.2], "train_shadows"),
    ("shadow.deviation", [0.2], "train_shadows"),
    ("shadow.per_block", 1, "train_shadows"),
    ("shadow.together", 2, "train_shadows"),
    ("shadow.train_size", 90, "train_shadows"),
    ("shadow.heldout_size", 90, "train_shadows"),
    ("query.views", 2, "query_target"),
    ("features.columns", ["sorted_posteriors", "label"], "build_features"),
    ("features.max_records", 200, "build_features"),
    ("attacks.run", ["loss", "learned"], "fit_attack"),
    ("attacks.played.models", 3, "fit_stacked"),
    ("attacks.played.records", 90, "fit_stacked"),
    ("attacks.learned.estimator", "gaussian_nb", "fit_attack"),
    ("attacks.lira.variance", "record", "score"),
    ("attacks.rmia.gamma", 4.0, "score"),
    ("attacks.rmia.a", 0.95, "score"),
    ("attacks.base.offline_scale", 0.3, "score"),
    ("attacks.quantile.patches", 8, "fit_quantile"),
    ("attacks.glira.models", 3, "train_imitators"),
    ("attacks.glira.records", 100, "train_imitators"),
    ("attacks.stacked.logistic_regression", {"C": 1e-3}, "fit_stacked"),
    ("attacks.stacked.hist_gradient_boosting", {"max_iter": 5, "min_samples_leaf": 2}, "fit_stacked"),
    ("select.records_per_model", 60, "select_attack"),
    ("select.search_iterations", 5, "select_attack"),
    ("select.halving", False, "select_attack"),
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
    ("report.gallery", 1, "report"),
    ("report.values", False, "report"),
    ("report.mitigations", "docs/results/reducing/reducing.json", "report"),
]
# One value today (the type says so), or a choice that other tests make.
ONE_VALUE = {"data.source", "data.split", "model", "target.initial"}


@pytest.mark.parametrize(("name", "value", "stage"), CHANGES, ids=[name for name, _, _ in CHANGES])
def test_each_parameter_changes_what_the_stage_writes(copy: Path, name: str, value: Any, stage: str) -> None:
    before = tiny.digests(stage)
    tiny.run(stage, changes={name: value})
    assert tiny.digests(stage) != before
    declared = pipeline.parameters(stage)
    assert any(name == entry or name.startswith(entry + ".") for entry in declared)


def test_every_parameter_of_the_experiment_is_among_them() -> None:
    def leaves(model: type[BaseModel], above: str = "") -> Iterator[str]:
        for name, field in model.model_fields.items():
            kinds = [kind for kind in get_args(field.annotation) if hasattr(kind, "model_fields")]
            chosen = {"data": params_audit.DigitsData, "target": params_audit.Recipe, "model": None}
            kind: Any = chosen.get(name, kinds[0] if kinds else field.annotation)
            if name == "name":
                continue
            if name == "audit":
                yield from leaves(kind)
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
    assert len(weights) == len(set(weights)) == 5


def test_a_shadow_is_the_same_model_in_whatever_block(copy: Path) -> None:
    before = Path("models/shadows/1/3.safetensors").read_bytes()
    tiny.run("train_shadows", changes={"shadow.per_block": 3, "shadow.blocks": [0]})
    assert Path("models/shadows/0/3.safetensors").read_bytes() == before


def test_a_shadow_trained_together_with_others_is_the_model_it_is_alone_but_for_rounding(copy: Path) -> None:
    alone = pd.read_parquet(paths.shadow_signals(0))
    tiny.run("train_shadows", "query_shadows", changes={"shadow.together": 2})
    together = pd.read_parquet(paths.shadow_signals(0))
    keys = ["model_id", "source", "sample_id", "view", "label"]
    pd.testing.assert_frame_equal(together[keys], alone[keys])
    np.testing.assert_allclose(np.stack(together["logits"].tolist()), np.stack(alone["logits"].tolist()), atol=0.01)


def test_how_many_train_together_moves_no_attacks_auc_out_of_its_interval(copy: Path) -> None:
    before = {one["attack"]: one for one in json.loads(paths.ATTACK_METRICS.read_text())}
    tiny.run(changes={"shadow.together": 2})
    after = {one["attack"]: one for one in json.loads(paths.ATTACK_METRICS.read_text())}
    assert after.keys() == before.keys()
    for attack, one in after.items():
        assert before[attack]["auc_low"] <= one["auc"] <= before[attack]["auc_high"], attack


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
    assert "is_member" not in pd.read_parquet(finished / paths.TARGET_SCORES).columns
    assert set(pd.read_parquet(finished / paths.SCORES)["model_id"]) == {1, 2, 3, 4}


def test_the_targets_membership_cannot_be_reached_from_what_an_attack_is_given(copy: Path) -> None:
    """Every object that can be reached: no array or column holds it, nor its opposite, and no file of it is open."""
    seen = score.read(tiny.write_params(paths.PARAMS))
    assert seen.evidence.outside.count.all()
    is_member = pd.read_parquet(paths.TARGET_MEMBERSHIP).sort_values("sample_id")["is_member"].to_numpy()
    known, left, arrays = set(), [vars(seen)], 0
    while left:
        thing = left.pop()
        if id(thing) in known or isinstance(thing, type | types.ModuleType | types.FunctionType):
            continue
        known.add(id(thing))
        left += gc.get_referents(thing)
        if isinstance(thing, pd.DataFrame):
            left += [thing[name].to_numpy() for name in thing]
        elif isinstance(thing, pa.Table):
            left += [column.to_numpy() for column in thing.columns if not pa.types.is_list(column.type)]
        elif isinstance(thing, np.ndarray) and thing.dtype.kind in "biuf" and thing.size % len(is_member) == 0:
            arrays += 1
            rows = thing.reshape(-1, len(is_member)).astype(np.float64)
            for row in rows > np.median(rows, axis=1, keepdims=True) - (thing.dtype.kind == "b") / 2:
                assert not np.array_equal(row, is_member)
                assert not np.array_equal(~row, is_member)
    assert arrays > 10


def test_scoring_opens_neither_images_nor_membership(copy: Path) -> None:
    before = pd.read_parquet(paths.SCORES), pd.read_parquet(paths.TARGET_SCORES)
    shutil.rmtree(paths.POPULATION)
    shutil.rmtree(paths.ATTACKER)
    shutil.rmtree(paths.TARGET_MEMBERSHIP.parent)
    tiny.run("score")
    pd.testing.assert_frame_equal(pd.read_parquet(paths.SCORES), before[0])
    pd.testing.assert_frame_equal(pd.read_parquet(paths.TARGET_SCORES), before[1])


@pytest.mark.parametrize("attack", catalogue.wanted("all", "learned"))
def test_shadows_scores_of_the_learned_attack_are_not_fitted_ones(finished: Path, attack: str) -> None:
    """Scores in the sample would be near 0 and 1, and every threshold chosen on them wrong."""
    scores = pd.read_parquet(finished / paths.SCORES)
    shadows = scores[(scores["attack"] == attack) & (scores["model_id"] > 0)]
    members, others = (shadows.loc[shadows["is_member"] == side, "score"] for side in (True, False))
    assert abs(members.mean() - others.mean()) < 0.25


def test_a_block_taken_out_is_removed_and_forgotten(copy: Path) -> None:
    tiny.run("build_features", changes={"shadow.blocks": [1]})
    assert [path.name for path in paths.ALL_SHADOW_SIGNALS.iterdir()] == ["1.parquet"]
    assert set(pd.read_parquet(paths.SHADOW_FEATURES)["model_id"]) == {3, 4}
    assert set(pd.read_parquet(paths.MARGINS)["model_id"]) == {3, 4}


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
    tiny.run("fit_attack", changes={"attacks.learned.estimator": "best"})
    selection = json.loads(paths.SELECTION.read_text())
    assert selection["best"] == selection["leaderboard"][0]["estimator"]
    means = [row["auc_mean"] for row in selection["leaderboard"] if not row["stopped_in_round"]]
    assert means == sorted(means, reverse=True)
    assert len(means) > 1
    for attack in ("learned", "learned_per_class"):
        described = json.loads((paths.ATTACK_MODEL / attack / "attack.json").read_text())
        assert (described["family"], described["settings"]) == (selection["best"], selection["settings"])


def test_one_shadow_is_too_few_for_a_learned_attack(copy: Path) -> None:
    alone = {"shadow.blocks": [0], "shadow.per_block": 1}
    tiny.run("train_shadows", "query_shadows", "build_features", changes=alone)
    with pytest.raises(InputError, match="expected at least 2 shadow models, .* got 1; append to shadow.blocks"):
        tiny.run("select_attack", changes=alone)


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
        tiny.run("train_target", changes={"target.learning_rate": 1e38, "target.optimizer": "sgd"})


def test_a_population_larger_than_the_data_is_refused(copy: Path) -> None:
    with pytest.raises(InputError, match="data.population_size: expected at most the 1797 real images, got 1798"):
        tiny.run("prepare", changes={"data.population_size": 1798})


def test_shadows_larger_than_the_attackers_data_are_refused(copy: Path) -> None:
    with pytest.raises(InputError, match="but the attacker holds 500 to train on"):
        tiny.run("train_shadows", changes={"shadow.train_size": 450})


# -- threat models ---------------------------------------------------------------------------------------------------

ONLINE = {attack.name for attack in catalogue.ATTACKS if "references_in" in attack.needs}
PREPARED = ("prepare", "split", "train_target", "train_shadows", "query_target", "query_shadows", "build_features")
FITTED = ("fit_attack", "fit_quantile", "fit_stacked", "train_imitators")


def test_an_attacker_without_the_population_runs_every_attack_but_the_online_ones(finished: Path) -> None:
    refused = json.loads((finished / paths.NOT_APPLICABLE).read_text())
    assert refused.pop("views_right") == "needs query.views of 2 or more, and predicted classes"
    needed = "needs attacker.knowledge=population"
    assert refused == dict.fromkeys(refused, needed)
    assert set(refused) == ONLINE
    run = set(catalogue.NAMES) - ONLINE - {"views_right"}
    assert set(pd.read_parquet(finished / paths.SCORES)["attack"]) == run
    assert not pd.read_parquet(finished / paths.MARGINS).query("source == 'population'")["is_member"].any()


@pytest.fixture(scope="module")
def members_known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which shadows were trained on halves of the population, six of them, and every attack was run."""
    changes = {"attacker.knowledge": "population", "shadow.per_block": 3, "select.search_iterations": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("worst case"))
        tiny.run(*PREPARED, *FITTED, "score", "evaluate", changes=changes)
        return Path.cwd()


def test_an_attacker_with_the_population_runs_every_attack_but_those_that_need_sure_nonmembers(
    members_known: Path,
) -> None:
    refused = json.loads((members_known / paths.NOT_APPLICABLE).read_text())
    assert refused.pop("views_right").startswith("needs query.views")
    assert refused == {
        "quantile": "needs 20 sure non-members: attacker.knowledge=generated or disjoint",
        "glira": "needs records that surely are non-members: attacker.knowledge=generated or disjoint",
    }
    left_out = {"quantile", "glira", "views_right"}
    assert set(pd.read_parquet(members_known / paths.SCORES)["attack"]) == set(catalogue.NAMES) - left_out
    assert [one["attack"] for one in json.loads((members_known / paths.ATTACK_METRICS).read_text())] == [
        attack for attack in catalogue.NAMES if attack not in left_out
    ]


def test_every_record_of_the_population_is_in_half_of_the_shadows_whether_or_not_the_target_saw_it(
    members_known: Path,
) -> None:
    margins = pd.read_parquet(members_known / paths.MARGINS)
    assert set(margins["source"]) == {"population"}
    assert set(margins.groupby("sample_id")["is_member"].sum()) == {3}
    assert set(margins.groupby("model_id")["is_member"].sum()) == {120}
    target = pd.read_parquet(members_known / paths.TARGET_MEMBERSHIP)["is_member"].to_numpy()
    for _, of_shadow in margins.groupby("model_id"):
        assert abs((of_shadow["is_member"].to_numpy() == target).mean() - 0.5) < 0.15  # 4.6 standard deviations


@pytest.mark.parametrize("attack", ["learned", "stacked"])
def test_an_attack_is_asked_about_shadows_that_it_was_not_fitted_on(members_known: Path, attack: str) -> None:
    """The score of every shadow's record is there, and stands at chance or above, never at the certainty of a fit."""
    scores = pd.read_parquet(members_known / paths.SCORES)
    shadows = scores[(scores["attack"] == attack) & (scores["model_id"] > 0)]
    assert set(shadows["model_id"]) == set(range(1, 7))
    members, others = (shadows.loc[shadows["is_member"] == side, "score"].to_numpy() for side in (True, False))
    assert 0.4 < (members[:, None] > others).mean() < 0.85


def test_an_attack_that_is_not_asked_for_is_not_fitted_and_needs_no_reason(copy: Path) -> None:
    changes = {"attacks.run": ["loss", "calibrated"]}
    tiny.run(*FITTED, "score", "evaluate", changes=changes)
    assert list(paths.ATTACK_MODEL.iterdir()) == []
    assert json.loads((paths.STACKED_MODEL / "not_applicable.json").read_text()) == {"reason": "not among attacks.run"}
    assert pd.read_parquet(paths.QUANTILES).empty
    assert json.loads((paths.IMITATIONS / "not_applicable.json").read_text()) == {"reason": "not among attacks.run"}
    assert set(pd.read_parquet(paths.SCORES)["attack"]) == {"loss", "calibrated"}
    assert json.loads(paths.NOT_APPLICABLE.read_text()) == {}


def test_to_run_none_but_attacks_that_cannot_run_is_an_error(copy: Path) -> None:
    with pytest.raises(InputError) as caught:
        tiny.run("score", changes={"attacks.run": ["lira_online", "rmia_online"]})
    assert str(caught.value) == (
        "params.yaml: attacks.run: no attack can run: lira_online needs attacker.knowledge=population; rmia_online "
        "needs attacker.knowledge=population; add others, or set it to all"
    )


@pytest.mark.parametrize(
    ("attack", "name", "said"),
    [
        ("learned", "attack/learned/all.skops", "expected sha256 .*: damaged; delete it"),
        ("learned", "attack/learned/out_of_fold.parquet", "not a whole Parquet file"),
        ("learned_per_class", "attack/learned_per_class/class_3.skops", "expected sha256 .*: damaged; delete it"),
        ("learned_per_class", "attack/learned_per_class/attack.json", "not an attack model"),
        ("stacked", "stacked/all.skops", "expected sha256 .*: damaged; delete it"),
        ("stacked", "stacked/attack.json", "not an attack model"),
        ("stacked", "stacked/out_of_fold.parquet", "not a whole Parquet file"),
    ],
)
@pytest.mark.parametrize("done", ["cut short", "gone"])
def test_a_fitted_attack_that_is_damaged_or_gone_is_an_error_and_never_not_applicable(
    copy: Path, attack: str, name: str, said: str, done: str
) -> None:
    path = Path("models") / name
    content = path.read_bytes()
    path.unlink()
    if done == "cut short":
        path.write_bytes(content[: len(content) // 2])
    said = said if done == "cut short" else "no such file; `dvc pull"
    with pytest.raises(InputError, match=f"^{path}: {said}") as caught:
        tiny.run("score", changes={"attacks.run": [attack, "loss"]})
    assert not isinstance(caught.value, NotApplicable)


def test_a_reason_that_cannot_be_read_is_an_error(copy: Path) -> None:
    (paths.STACKED_MODEL / "not_applicable.json").write_text("{")
    with pytest.raises(InputError, match=r"models/stacked/not_applicable.json: not JSON") as caught:
        tiny.run("score", changes={"attacks.run": ["stacked", "loss"]})
    assert not isinstance(caught.value, NotApplicable)


@pytest.mark.parametrize(
    ("attack", "changes", "said"),
    [
        (
            "stacked",
            {"attacks.played.models": 3},
            "models: stacked was fitted on other records of shadows; `dvc repro` fits it anew",
        ),
        (
            "learned",
            {"features.max_records": 300},
            "models: learned was fitted on other records of shadows; `dvc repro` fits it anew",
        ),
    ],
)
def test_a_fitted_attack_of_other_records_is_an_error(
    copy: Path, attack: str, changes: dict[str, Any], said: str
) -> None:
    tiny.run("build_features", changes=changes)
    with pytest.raises(InputError, match=said) as caught:
        tiny.run("score", changes={**changes, "attacks.run": [attack]})
    assert not isinstance(caught.value, NotApplicable)


def prepared(**changes: Any) -> dict[str, Any]:
    """metrics/data.json of `prepare` with these values of params.yaml, dots as double underscores."""
    tiny.run("prepare", changes={name.replace("__", "."): value for name, value in changes.items()})
    found: dict[str, Any] = json.loads(paths.DATA_METRICS.read_text())
    return found


def test_a_disjoint_attacker_holds_the_real_images_that_are_not_audited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = prepared(attacker__knowledge="disjoint")
    assert (found["population"], found["attacker"], found["dropped_attacker_twins"]) == (240, 1797 - 240, 0)
    population, attacker = (
        set(pd.read_parquet(folder / "records.parquet")["name"]) for folder in (paths.POPULATION, paths.ATTACKER)
    )
    assert len(population | attacker) == 1797


def test_an_attacker_with_the_population_holds_its_very_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared(attacker__knowledge="population")
    for name in ("images.npy", "records.parquet", "classes.json"):
        assert (paths.POPULATION / name).read_bytes() == (paths.ATTACKER / name).read_bytes()


def test_copies_of_audited_records_are_dropped_from_a_disjoint_attackers_data_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every digit stands in the data twice: the population's twins outside it would be members held as non-members."""
    monkeypatch.chdir(tmp_path)
    once = digits.load()
    monkeypatch.setattr(digits, "load", lambda: once.take(np.r_[0:400, 0:400]))
    found = prepared(attacker__knowledge="disjoint")
    inside, outside = (
        pd.read_parquet(folder / "records.parquet")["sha256"] for folder in (paths.POPULATION, paths.ATTACKER)
    )
    assert not set(inside) & set(outside)
    assert found["dropped_attacker_twins"] == 2 * inside.nunique() - 240 > 0
    assert found["attacker"] == 800 - 2 * inside.nunique() == len(outside)


def test_a_disjoint_attacker_without_an_image_outside_the_population_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        prepared(attacker__knowledge="disjoint", data__population_size=1797)
    assert str(caught.value) == (
        "params.yaml: attacker.knowledge: disjoint needs real images outside the population, but all 1797 are under "
        "audit; set audits/digits/params.yaml: data.split to half and data.population_size below that"
    )
    assert not paths.POPULATION.exists()
