"""dvc.yaml names exactly what each stage reads, computes with and writes; its parameters: test_params_read.py."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import pipeline
from mia.audits import fitted

STAGES = pipeline.stages()
INTERPOLATED_INPUTS = {
    "audits/${audit}/data/population",
    "audits/${audit}/data/generated",
    "audits/${audit}/answers/target",
    "audits/${audit}/answers/shadows",
    "audits/${audit}/code",
    "audits/${audit}/model",
    "audits/${audit}/attacks",
    "${report.mitigations}",
}  # the user's own folders


def declared(stage: str, *keys: str) -> set[str]:
    return {name for key in keys for name in pipeline.names(STAGES[stage].get(key, []))}


@pytest.mark.parametrize("stage", STAGES)
def test_code_dependencies_are_the_imports_followed(stage: str) -> None:
    code = {path for path in declared(stage, "deps") if path.startswith("src/")}
    assert code == pipeline.code_deps(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_data_dependencies_and_outputs_are_the_paths_the_stage_names(stage: str) -> None:
    data = {path for path in declared(stage, "deps", "outs", "metrics", "plots") if not path.startswith("src/")}
    assert data - INTERPOLATED_INPUTS == pipeline.used_paths(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_metrics_and_plots_stay_in_git_and_outs_in_the_cache(stage: str) -> None:
    for entry in [*STAGES[stage].get("metrics", []), *STAGES[stage].get("plots", [])]:
        assert isinstance(entry, dict)
        assert next(iter(entry.values()))["cache"] is False
    assert all(isinstance(entry, str) for entry in STAGES[stage].get("outs", []))


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_runs_the_stage_of_that_name(stage: str) -> None:
    block = f" --block {pipeline.OF_BLOCKS[stage]}" if stage in pipeline.OF_BLOCKS else ""
    assert STAGES[stage]["cmd"] == f"python src/stage.py {stage}{block}"


def test_every_stage_file_stands_in_dvc_yaml() -> None:
    files = {path.stem for path in (pipeline.SRC / "stages").glob("*.py")} - {"__init__"}
    assert files == set(STAGES)


def test_only_models_training_and_query_import_torch() -> None:
    light = {"prepare", "split", "build_features", "select_attack", "fit_attack", "fit_stacked", "score", "evaluate"}
    light |= {"report"}
    read = {f"src/mia/models/{name}" for name in fitted.OF_SHOKRI_MLP}  # `split` writes their digest, and runs none
    for stage in STAGES:
        files = [pipeline.ROOT / path for path in pipeline.code_deps(stage) - (read if stage == "split" else set())]
        text = "".join(file.read_text() for file in files if file.is_file())
        assert ("import torch" in text) == (stage not in light), stage


def test_stages_without_torch_do_not_load_it_on_the_way() -> None:
    """2 s and 500 MB a stage: skops had scikit-learn import it."""
    code = (
        "import sys; from stages import prepare, split, build_features, select_attack, fit_attack, fit_stacked, score, "
    )
    code += "evaluate, report; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(pipeline.SRC)}, check=True)
