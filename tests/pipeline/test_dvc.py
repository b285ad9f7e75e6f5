"""The real `dvc` on the tiny experiment: what runs after each kind of change, and what does not."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import pipeline
from mia import paths
from repository import Repository, clone, create, ran

pytestmark = pytest.mark.long

OF_BLOCKS = {"train_shadows", "query_shadows"}
AFTER_SHADOWS = {
    *("build_features", "select_attack", "fit_attack", "fit_quantile", "fit_stacked", "score", "evaluate", "report")
}  # but for train_imitators, which sees the first shadow alone
FIGURES = {
    "metrics/attacks.json",
    "plots/classes.csv",
    "plots/comparisons.csv",
    "plots/confusion.csv",
    "plots/leaderboard.csv",
    "plots/learning.csv",
    "plots/roc.csv",
    "plots/scores.csv",
    "ROC (log-log)",
    "ROC (revisions overlaid)",
}
NOTHING: set[str] = set()


def of_blocks(*blocks: int) -> set[str]:
    return {f"{stage}@{block}" for stage in OF_BLOCKS for block in blocks}


EVERY = {*pipeline.stages()} - OF_BLOCKS | of_blocks(0, 1)


@dataclass(frozen=True)
class Finished:
    """A repository in which the first experiment has run and is committed, and what that run left."""

    repository: Repository
    ran: set[str]
    outputs: dict[str, str]
    lock: bytes


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("dvc")
    repository = create(folder)
    repository.dvc("remote", "add", "--default", "shared", str(folder / "remote"))
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "code")
    said = repository.dvc("repro")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "first run")
    return Finished(repository, ran(said), repository.outputs(), repository.lock())


@pytest.fixture
def repository(first: Finished) -> Repository:
    return first.repository


def test_the_first_run_runs_every_stage(first: Finished) -> None:
    assert first.ran == EVERY


def test_git_takes_metrics_plots_and_lock_and_no_other_output(first: Finished) -> None:
    added = first.repository.git("diff", "--name-only", "HEAD~").split()
    assert {name for name in added if not name.startswith(("metrics/", "plots/"))} == {"dvc.lock"}
    assert {Path(name).suffix for name in added} == {".lock", ".json", ".csv"}
    assert first.repository.git("status", "--porcelain") == ""


def test_the_second_run_runs_nothing_and_is_quick(repository: Repository) -> None:
    began = time.perf_counter()
    repository.give()
    said = repository.dvc("repro")
    took = time.perf_counter() - began
    assert ran(said) == NOTHING
    assert "Data and pipelines are up to date." in said
    assert took < 30  # 2 s on an idle machine


def test_dag_shows_every_stage(repository: Repository) -> None:
    shown = repository.dvc("dag")
    assert {stage for stage in EVERY if not re.search(rf"\b{stage}\b", shown)} == NOTHING


def test_a_value_of_evaluate_is_measured_and_drawn_anew(repository: Repository) -> None:
    assert repository.repro(evaluate__histogram_bins=5) == {"evaluate", "report"}


def test_the_targets_recipe_trains_the_target_and_its_imitations_and_prepares_nothing(repository: Repository) -> None:
    repository.give(target__epochs=1)
    expected = EVERY - {"prepare", "train_imitators"} - AFTER_SHADOWS | {"build_features"}
    assert ran(repository.dvc("repro", "build_features")) == expected


def test_settings_of_a_classifier_that_is_not_the_attack_model_change_the_leaderboard_alone(
    repository: Repository,
) -> None:
    """fit_attack runs, since `best` may mean another family now, and makes the same model: no score changes."""
    changed = repository.repro(estimators__dummy={"strategy": "stratified"})
    assert changed == {"select_attack", "fit_attack", "report"}


def test_a_block_more_trains_that_block_alone_and_one_less_leaves_no_trace_of_it(
    first: Finished, repository: Repository
) -> None:
    assert repository.repro(shadow__blocks=[0, 1, 2]) == of_blocks(2) | AFTER_SHADOWS
    assert set(pd.read_parquet(repository.root / paths.SHADOW_FEATURES)["model_id"]) == set(range(1, 7))
    assert json.loads((repository.root / paths.SHADOW_METRICS).read_text())["models"] == 6

    assert repository.repro() == {"build_features"}  # it removes what DVC leaves of the block, and finds the old result
    models = repository.root / paths.shadow_models(2)
    assert models.is_dir()  # which DVC leaves too: no stage reads it
    shutil.rmtree(models)
    assert repository.outputs() == first.outputs
    (repository.root / "dvc.lock").write_bytes(first.lock)  # DVC never forgets a stage
    assert repository.repro() == NOTHING


def test_a_value_of_another_audit_changes_nothing(first: Finished, repository: Repository) -> None:
    repository.repro()
    other = repository.root / "audits/cifake/params.yaml"
    other.write_text(re.sub("epochs: .*", "epochs: 3", other.read_text().replace("split: published", "split: half")))
    assert repository.repro() == NOTHING
    assert repository.outputs() == first.outputs
    repository.git("checkout", "--quiet", "--", "audits")


def test_code_that_draws_figures_only_draws(first: Finished, repository: Repository) -> None:
    code = repository.root / "src/mia/report/figures/classes.py"
    before = code.read_text()
    code.write_text(before + "# a comment\n")
    assert repository.repro() == {"report"}
    assert repository.outputs() == first.outputs
    code.write_text(before)


def test_the_first_values_bring_the_first_bytes_back_without_a_run(first: Finished, repository: Repository) -> None:
    repository.repro(evaluate__histogram_bins=5)
    assert repository.outputs() != first.outputs
    assert repository.repro() == NOTHING
    assert repository.outputs() == first.outputs
    assert repository.lock() == first.lock
    assert repository.git("status", "--porcelain") == ""


def test_deleted_outputs_are_restored_not_made(first: Finished, repository: Repository) -> None:
    repository.repro()
    for name in first.outputs:
        (repository.root / name).unlink()
    said = repository.dvc("repro")
    assert ran(said) == NOTHING
    assert repository.outputs() == first.outputs
    assert repository.lock() == first.lock


def test_a_wrong_value_is_one_line_and_no_traceback(first: Finished, repository: Repository) -> None:
    repository.give()
    text = (repository.root / "params.yaml").read_text()
    (repository.root / "params.yaml").write_text(text.replace("histogram_bins: 8", "histogram_bins: many"))
    said = repository.dvc("repro", expected=None)
    assert ran(said) == {"evaluate"}
    assert "Traceback" not in said
    errors = [line for line in said.splitlines() if line.lower().startswith("error")]
    assert errors == [
        "error: params.yaml: evaluate.histogram_bins: expected an integer, got 'many'",
        "ERROR: failed to reproduce 'evaluate': failed to run: python src/stage.py evaluate, exited with 1",
    ]
    assert repository.repro() == NOTHING
    assert repository.outputs() == first.outputs


def test_a_clone_that_pulls_has_every_byte_and_runs_nothing(first: Finished, repository: Repository) -> None:
    repository.repro()
    repository.dvc("push")
    colleague = clone(repository, repository.root.parent / "colleague")
    colleague.dvc("pull")
    assert colleague.outputs() == first.outputs
    said = colleague.dvc("repro")
    assert ran(said) == NOTHING
    assert "Data and pipelines are up to date." in said
    assert colleague.outputs() == first.outputs
    assert colleague.git("status", "--porcelain") == ""


@pytest.fixture(scope="module")
def experiment(first: Finished) -> tuple[Repository, set[str]]:
    """The repository with another attack model in its workspace, by `dvc exp run -S`, and the stages that ran."""
    repository = first.repository
    repository.repro()
    said = repository.dvc("exp", "run", "--name", "quick", "--set-param", "attacks.learned.estimator=gaussian_nb")
    return repository, ran(said)


@pytest.fixture
def changed(experiment: tuple[Repository, set[str]]) -> Repository:
    return experiment[0]


def test_another_attack_model_trains_and_asks_nobody(experiment: tuple[Repository, set[str]]) -> None:
    assert experiment[1] == {"fit_attack", "score", "evaluate", "report"}


def test_an_experiment_changes_its_value_and_what_follows_from_it_in_git(changed: Repository) -> None:
    assert changed.json("params", "diff") == {
        "params.yaml": {"attacks.learned.estimator": {"old": "extra_trees", "new": "gaussian_nb"}}
    }
    status = [line.split() for line in changed.git("status", "--porcelain").splitlines()]
    assert {state for state, _ in status} == {"M"}
    names = {name for _, name in status}
    assert {"dvc.lock", "params.yaml", "metrics/attacks.json", "metrics/summary.json", "plots/roc.csv"} <= names
    assert names <= {*FIGURES, "dvc.lock", "params.yaml", "metrics/summary.json", "metrics/verdict.json"}


def test_the_table_of_experiments_shows_its_value_and_its_metrics(changed: Repository) -> None:
    entries = changed.json("exp", "show")
    (quick,) = [
        one["data"]
        for entry in entries
        for group in entry["experiments"] or ()
        for one in group["revs"]
        if one["name"] == "quick"
    ]
    assert quick["params"]["params.yaml"]["data"]["attacks"]["learned"]["estimator"] == "gaussian_nb"
    names = ("data", "not_applicable", "selection", "shadows", "summary", "target", "verdict", "without_shadows")
    assert quick["metrics"].keys() == {f"metrics/{name}.json" for name in names}
    assert quick["metrics"] == entries[0]["data"]["metrics"]


def test_metrics_compare_only_what_the_experiment_changed(changed: Repository) -> None:
    compared = changed.json("metrics", "diff")
    # The verdict's limits hold for all attacks at once: one attack may move them.
    assert {"metrics/summary.json"} <= compared.keys() <= {"metrics/summary.json", "metrics/verdict.json"}
    assert {name.partition(".")[0] for name in compared["metrics/summary.json"]} == {"learned", "learned_per_class"}
    assert "learned.auc" in compared["metrics/summary.json"]
    assert "learned.auc" in changed.dvc("metrics", "show")


def test_every_figure_is_there_once_for_both_revisions_by_its_own_template(changed: Repository) -> None:
    figures = changed.json("plots", "diff")
    assert figures.get("errors", []) == []
    assert figures["data"].keys() == FIGURES
    for name, drawn in figures["data"].items():
        assert len(drawn) == 1, name
        assert set(drawn[0]["revisions"]) == {"HEAD", "workspace"}
        assert "<DVC_METRIC" not in json.dumps(drawn[0]["content"]), name


def test_the_seed_is_in_every_draw(first: Finished, repository: Repository) -> None:
    """Stages that draw name the seed; the others stand behind one that does."""
    repository.give(seed=1)
    changed = json.loads(repository.dvc("status", "--json").splitlines()[-1])
    draws = {"prepare", "split", "train_target", "build_features", "select_attack", "fit_attack", "fit_quantile"}
    draws |= {"fit_stacked", "train_imitators", "score", "evaluate"}
    draws |= {f"train_shadows@{block}" for block in (0, 1)}
    assert draws <= changed.keys()


# A file of each kind, and the stages that its edit runs; those that follow run too where an output changes. Nothing but
# what decides a model's bytes trains.
EDITS: dict[str, set[str]] = {
    "src/mia/models/networks/resnet18.py": {"split"},  # an architecture that is not in use
    "src/mia/models/other_networks.py": {"split", "fit_quantile"},  # likewise; the latter is a stage of seconds
    "src/mia/models/network_checks.py": set(),
    "src/mia/attacks/quantile.py": {"fit_quantile", "score"},  # it scores with the whole package
    "src/mia/catalogue.py": {"select_attack", "fit_attack", "fit_quantile", "fit_stacked", "score"},
    "audits/digits/attacks/own.py": {"score"},  # an attack of the user's
    "src/mia/models/training.py": {"train_target", "train_imitators", *(f"train_shadows@{block}" for block in (0, 1))},
    "src/mia/models/imitators.py": {"train_imitators"},
    "src/mia/models/query.py": {
        "query_target",
        "query_shadows@0",
        "query_shadows@1",
        "fit_quantile",
        "train_imitators",
    },
    "src/mia/attacks/lira.py": {"score"},
    "src/mia/attacks/schemas.py": {
        *("build_features", "select_attack", "fit_attack", "fit_quantile", "fit_stacked", "score", "evaluate", "report")
    },
    "src/mia/evaluation/permutation.py": {"fit_stacked", "evaluate", "report"},  # the first takes the verdict's FPR
    "src/mia/evaluation/metrics.py": {"build_features", "evaluate", "report"},
    "src/mia/evaluation/classifier.py": {"build_features", "evaluate", "report"},  # stages of seconds: whole packages
    "src/mia/models/views.py": {
        *("split", "query_target", "query_shadows@0", "query_shadows@1", "fit_quantile", "train_imitators")
    },
    "src/mia/report/figures/classes.py": {"report"},
    "src/mia/report/figures/tradeoff.py": {"report"},  # likewise
    "src/mia/report/templates/audit.html": {"report"},
    "src/mia/data/folder.py": {"prepare", "evaluate", "report"},  # likewise
    "src/mia/history/compare.py": set(),
    "src/mia/compute/workers.py": set(),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_runs_what_computes_with_the_file_and_nothing_else(repository: Repository, name: str) -> None:
    repository.repro()
    file = repository.root / name
    before = file.read_text() if file.exists() else None
    file.write_text((before or "") + "\n# a comment\n")
    try:
        changed = repository.json("status")
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_text(before)
    assert set(changed) == EDITS[name]


def test_an_architecture_that_is_not_in_use_trains_nothing(first: Finished, repository: Repository) -> None:
    """`split` runs, and writes what it wrote before."""
    repository.repro()
    networks = repository.root / "src/mia/models/networks"
    (networks / "own.py").write_text((networks / "shokri_mlp.py").read_text())
    (networks / "resnet18.py").write_text((networks / "resnet18.py").read_text() + "\n# a comment\n")
    try:
        assert repository.repro() == {"split"}
        assert repository.outputs() == first.outputs
    finally:
        repository.git("checkout", "--quiet", "--", "src")
        (networks / "own.py").unlink()
    assert repository.repro() == NOTHING
