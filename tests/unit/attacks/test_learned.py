"""Attack models: asked only about shadows they did not see, stored without pickles, the same bytes again."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import threadpoolctl
from ruamel.yaml import YAML

import pipeline
from mia.attacks import estimators, features, halving, learned
from mia.compute import forks
from mia.errors import InputError, NotApplicable
from mia.store import sealed_json

SETTINGS = YAML(typ="safe").load((pipeline.ROOT / "params.yaml").read_text())["estimators"]
SMALL = {"n_estimators": 5}
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Evidence = tuple[
    Floats,
    np.ndarray[tuple[int], np.dtype[np.int64]],
    np.ndarray[tuple[int], np.dtype[np.bool_]],
    np.ndarray[tuple[int], np.dtype[np.int64]],
]


def evidence(leak: float, count: int = 600, share: float = 5 / 6) -> Evidence:
    """Features, labels, membership, shadow; members' first feature lies `leak` standard deviations higher."""
    rng = np.random.default_rng(1)
    is_member = rng.random(count) < share
    values = rng.normal(size=(count, 4))
    values[is_member, 0] += leak
    return values, rng.integers(0, 3, count), is_member, np.arange(count) % 5 + 1


def fit(family: str, *, per_class: bool = False, leak: float = 2.0) -> tuple[learned.AttackModel, Evidence]:
    known = evidence(leak)
    settings = {**SETTINGS[family], **({"n_estimators": 5} if "n_estimators" in SETTINGS[family] else {})}
    return learned.fit(family, settings, ("a", "b", "c", "d"), *known[:3], per_class=per_class, seed=1), known


def compare(candidates: list[halving.Candidate], records: halving.Records) -> list[halving.Outcome]:
    return halving.compare(candidates, records, 1, halving=False, least=2, description="test")


def auc(scores: Floats, is_member: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    return float(
        (scores[is_member][:, None] > scores[~is_member]).mean()
        + (scores[is_member][:, None] == scores[~is_member]).mean() / 2
    )


@pytest.mark.parametrize("family", sorted(set(estimators.FAMILIES) - {"dummy"}))
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_every_family_finds_a_planted_leak_and_nothing_where_there_is_none(family: str) -> None:
    settings = {**SETTINGS[family], **({"n_estimators": 20} if "n_estimators" in SETTINGS[family] else {})}
    for leak, low, high in ((2.0, 0.75, 1.0), (0.0, 0.4, 0.6)):
        X, _, is_member, shadow = evidence(leak, 1200)
        [outcome] = compare([(family, settings)], halving.Records(X, is_member, shadow))
        assert low < outcome.mean < high


@pytest.mark.parametrize("family", estimators.FAMILIES)
@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_every_family_comes_back_from_disk_and_has_the_same_bytes_again(
    tmp_path: Path, family: str, per_class: bool
) -> None:
    contents = []
    for name in "ab":
        model, known = fit(family, per_class=per_class)
        (tmp_path / name).mkdir()
        learned.save(tmp_path / name, model)
        np.testing.assert_array_equal(learned.load(tmp_path / name).scores(*known[:2]), model.scores(*known[:2]))
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert len(contents[0]) == (4 if per_class else 2)


def test_no_shadow_is_on_both_sides_of_a_fold() -> None:
    shadow = np.repeat(np.arange(7), [3, 9, 4, 5, 6, 2, 8])
    folds = estimators.folds(shadow)
    assert len(folds) == 5
    for known, asked in folds:
        assert not set(shadow[known]) & set(shadow[asked])
    assert sorted(np.concatenate([asked for _, asked in folds])) == list(range(len(shadow)))


def test_out_of_fold_scores_do_not_know_what_a_shadow_alone_could_tell() -> None:
    """Features that name the record: in the sample perfect, on an unseen shadow worth nothing."""
    rng = np.random.default_rng(0)
    X, is_member, shadow = rng.normal(size=(400, 3)), rng.random(400) < 0.5, np.arange(400) % 4
    labels = np.zeros(400, np.int64)

    def model_of(*known: Any) -> learned.AttackModel:
        return learned.fit("extra_trees", {"n_estimators": 20}, ("a", "b", "c"), *known, per_class=False, seed=0)

    assert auc(model_of(X, labels, is_member).scores(X, labels), is_member) == 1
    scores = learned.out_of_fold({"learned": model_of}, X, labels, is_member, shadow)["learned"]
    assert not isinstance(scores, NotApplicable)
    assert abs(auc(scores, is_member) - 0.5) < 0.1


def test_out_of_fold_scores_are_those_of_models_fitted_one_by_one(tmp_path: Path) -> None:
    X, labels, is_member, shadow = evidence(2.0, 300)

    def model_of(per_class: bool, *known: Any) -> learned.AttackModel:
        return learned.fit("extra_trees", SMALL, ("a", "b", "c", "d"), *known, per_class=per_class, seed=0)

    models = {"all": partial(model_of, False), "per class": partial(model_of, True)}
    scores = learned.out_of_fold(models, X, labels, is_member, shadow, folder=tmp_path)
    for name, fit_model in models.items():
        of_model = scores[name]
        assert isinstance(of_model, np.ndarray)
        for known, asked in estimators.folds(shadow):
            alone = fit_model(X[known], labels[known], is_member[known]).scores(X[asked], labels[asked])
            np.testing.assert_array_equal(of_model[asked], alone)
        whole = fit_model(X, labels, is_member).scores(X, labels)
        np.testing.assert_array_equal(learned.load(tmp_path / name).scores(X, labels), whole)


def test_an_attack_that_one_fold_cannot_bear_is_not_applicable_and_the_others_are_there() -> None:
    X, labels, is_member, shadow = evidence(2.0, 300)
    is_member[(labels == 2) & (shadow != 1)] = True

    def model_of(per_class: bool, *known: Any) -> learned.AttackModel:
        return learned.fit("lda", {}, ("a", "b", "c", "d"), *known, per_class=per_class, seed=0)

    models = {"all": partial(model_of, False), "per class": partial(model_of, True)}
    scores = learned.out_of_fold(models, X, labels, is_member, shadow)
    assert isinstance(scores["per class"], NotApplicable)
    assert "of class 2 are not both members and non-members" in str(scores["per class"])
    assert not isinstance(scores["all"], NotApplicable)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing forks")
def test_a_fork_fits_on_one_thread_however_many_records_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two forks with two threads each on two cores wait for each other: 134 s where 18 s of work were to be done."""
    monkeypatch.setenv("MIA_PROCESSES", "2")

    def threads(_: int) -> set[int]:
        with estimators._threads(10 * estimators.MANY):
            return {library["num_threads"] for library in threadpoolctl.threadpool_info()}

    assert list(forks.results(threads, range(2))) == [{1}, {1}]


def test_members_and_nonmembers_weigh_the_same() -> None:
    """5 of 6 records are members; a model that knows nothing still says one half."""
    X, _, is_member, _ = evidence(0.0, 3000)
    model = estimators.fit(estimators.build("logistic_regression", {}, 0), X, is_member, 0)
    assert abs(estimators.probability(model, X).mean() - 0.5) < 0.05


def test_a_class_without_nonmembers_is_refused_by_name() -> None:
    X, labels, is_member, _ = evidence(1.0)
    is_member[labels == 2] = True
    with pytest.raises(NotApplicable, match="records of class 2 are not both members and non-members; raise shadow tr"):
        learned.fit("lda", {}, ("a",), X, labels, is_member, per_class=True, seed=0)


def test_a_class_no_shadow_had_is_refused_by_name() -> None:
    model, (X, labels, _, _) = fit("lda", per_class=True)
    with pytest.raises(NotApplicable, match=r"class 9 stands in the population but not among the shadows' records"):
        model.scores(X, np.where(labels == 0, 9, labels))


def test_a_search_tries_the_settings_of_params_first_and_no_more_than_there_are() -> None:
    tried = estimators.random_settings("decision_tree", {"max_depth": 4}, 6, 0)
    assert tried[0] == {"max_depth": 4}
    assert len(tried) == 7
    assert len(estimators.random_settings("dummy", {}, 6, 0)) == 1
    assert len(estimators.random_settings("k_neighbors", {}, 500, 0)) == 11


def test_more_neighbours_than_records_are_left_out_with_the_reason_and_an_error_for_who_asks_for_them() -> None:
    X, _, is_member, shadow = evidence(2.0, 100)
    too_many = ("k_neighbors", {"n_neighbors": 500})
    left_out, lda = compare([too_many, ("lda", {})], halving.Records(X, is_member, shadow))
    assert left_out.reason.startswith("KNeighborsClassifier: Expected n_neighbors <= n_samples_fit")
    assert not left_out.aucs
    assert lda.mean > 0.7
    with pytest.raises(InputError, match="estimators: KNeighborsClassifier: Expected n_neighbors <= n_samples_fit"):
        halving.Records(X, is_member, shadow).auc(too_many, 0, 0)


def test_a_setting_that_is_none_is_an_error_whichever_classifier_has_it() -> None:
    X, _, is_member, shadow = evidence(2.0, 100)
    with pytest.raises(InputError, match="estimators.qda.reg_parm: no setting of Quadratic.*did you mean 'reg_param'"):
        compare([("lda", {}), ("qda", {"reg_parm": 0.1})], halving.Records(X, is_member, shadow))


def test_the_leaderboard_has_the_best_first_and_equals_by_name() -> None:
    of_folds = {"qda": (0.5, 0.7), "lda": (0.7, 0.5), "mlp": (0.9, 0.9)}
    board = halving.leaderboard({family: halving.Outcome(aucs) for family, aucs in of_folds.items()})
    assert board["estimator"].tolist() == ["mlp", "lda", "qda"]
    assert board["fold_aucs"].tolist() == ["0.9000 0.9000", "0.7000 0.5000", "0.5000 0.7000"]
    assert board["auc_std"].tolist() == pytest.approx([0, 0.1, 0.1])


def test_a_subset_is_half_members_of_each_model_in_the_order_of_the_table() -> None:
    _, _, is_member, shadow = evidence(0.0)
    frame = pd.DataFrame({"model_id": shadow, "is_member": is_member, "row": np.arange(600)})
    part = features.subset(frame, 20, np.random.default_rng(0))
    assert part.groupby(["model_id", "is_member"]).size().tolist() == [10] * 10
    assert part["row"].is_monotonic_increasing
    rest = features.subset(frame[frame["is_member"] | (frame["row"] < 10)], 20, np.random.default_rng(0))
    assert rest["is_member"].sum() == 50 > (~rest["is_member"]).sum()


# -- stored attack models --------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    learned.save(tmp_path, fit("decision_tree")[0])
    return tmp_path


def forge(stored: Path, content: bytes) -> None:
    """Put `content` in the model's place and make the digest fit, as one who tampers would."""
    import hashlib

    (stored / "all.skops").write_bytes(content)
    described = sealed_json.unseal((stored / "attack.json").read_text())
    described["sha256"]["-1"] = hashlib.sha256(content).hexdigest()
    (stored / "attack.json").write_text(sealed_json.seal(described))


def test_a_damaged_attack_model_is_refused(stored: Path) -> None:
    content = bytearray((stored / "all.skops").read_bytes())
    content[100] ^= 1
    (stored / "all.skops").write_bytes(content)
    with pytest.raises(InputError, match="all.skops: expected sha256 .*: damaged; delete it, let `make verify`"):
        learned.load(stored)


def test_a_pickle_named_as_an_attack_model_is_refused_and_never_run(stored: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (stored / "run",)

    forge(stored, pickle.dumps(Trap()))
    with pytest.raises(InputError, match="all.skops: not an attack model"):
        learned.load(stored)
    assert not (stored / "run").exists()


class Foreign:
    """A type that nobody has reason to trust."""

    def __init__(self) -> None:
        self.value = 1


def test_a_type_that_is_not_trusted_is_refused_by_name(stored: Path) -> None:
    forge(stored, skops.io.dumps(Foreign()))
    with pytest.raises(InputError, match=r"holds types that are not trusted: .*Foreign"):
        learned.load(stored)


def test_a_model_cut_short_is_refused(stored: Path) -> None:
    forge(stored, (stored / "all.skops").read_bytes()[:500])
    with pytest.raises(InputError, match="not an attack model"):
        learned.load(stored)


def test_an_archive_without_a_schema_is_refused(stored: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("x", b"")
    forge(stored, out.getvalue())
    with pytest.raises(InputError, match="not an attack model"):
        learned.load(stored)


@pytest.mark.parametrize(
    "text", ["", "3", "{", "{}", '{"format": 2, "sha256": {}}', '{"format": 2, "sha256": {"x": "y"}}']
)
def test_a_description_that_is_none_is_refused(stored: Path, text: str) -> None:
    (stored / "attack.json").write_text(text)
    with pytest.raises(InputError, match="attack.json: (not an attack model|expected attack format)"):
        learned.load(stored)


def test_a_missing_attack_model_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="attack.json: no such file; `dvc pull .*` fetches it, `dvc repro` fits it"):
        learned.load(tmp_path)
