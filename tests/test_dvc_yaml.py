"""dvc.yaml says exactly what each stage reads, computes with, is told, and writes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import pipeline
from mia import params

STAGES = pipeline.stages()
# The user's own folders, read by prepare, and file, read by report.
INTERPOLATED_INPUTS = {"${data.folder.path}", "${data.folder.generated}", "${report.mitigations}"}


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
    block = " --block ${item}" if stage.endswith("_shadows") else ""
    assert STAGES[stage]["cmd"] == f"python src/stage.py {stage}{block}"


def test_every_stage_file_stands_in_dvc_yaml() -> None:
    files = {path.stem for path in (pipeline.SRC / "stages").glob("*.py")} - {"__init__"}
    assert files == set(STAGES)


@pytest.mark.parametrize("dataset", ["digits", "cifake", "cifar10", "folder"])
@pytest.mark.parametrize("stage", STAGES)
def test_parameters_are_the_ones_the_stage_reads(stage: str, dataset: str) -> None:
    """Attribute chains on `params` in the stage, with `.of(dataset)` as the active part, against `params:`."""
    given = {name.replace("${data.dataset}", dataset) for name in declared(stage, "params")}
    read = parameters_read(pipeline.SRC / "stages" / f"{stage}.py", dataset)
    assert {name for name in read if not any(covers(entry, name) for entry in given)} == set(), "read, not declared"
    assert {entry for entry in given if not any(covers(entry, name) or covers(name, entry) for name in read)} - (
        {"attacker.knowledge"} if stage == "prepare" else set()  # one value today; see test_params
    ) == set(), "declared, not read"


def covers(entry: str, name: str) -> bool:
    """`entry` is `name` or a section that holds it."""
    return name == entry or name.startswith(entry + ".")


def parameters_read(module: Path, dataset: str) -> set[str]:
    """Dotted names of the parameters a module reads, of its main and of the functions it hands `params` to.

    A local name bound to a part (`recipe = params.target.of(...)`) is followed. A name that is only a way to a longer
    one is left out.
    """
    tree = ast.parse(module.read_text())
    bound: dict[str, str] = {"params": ""}
    found: set[str] = set()

    def dotted(node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return bound.get(node.id)
        if isinstance(node, ast.Attribute):
            base = dotted(node.value)
            return None if base is None else f"{base}.{node.attr}".lstrip(".")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "of":
            base = dotted(node.func.value)
            return None if base is None else f"{base}.{dataset}"
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("dict", "getattr")
            and node.args
        ):
            return dotted(node.args[0])
        return None

    branch_only: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If):
            test = ast.unparse(node.test)
            named = [name for name in ("digits", "cifake", "cifar10", "folder") if f"== '{name}'" in test]
            if named and named[0] != dataset:
                branch_only |= {inner for statement in node.body for inner in ast.walk(statement)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and node not in branch_only:
            targets = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else [node.targets[0]]
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for target, value in zip(targets, values, strict=False):
                part = dotted(value)
                if part and isinstance(target, ast.Name):
                    bound[target.id] = part
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and node not in branch_only:
            name = dotted(node)
            if name and name.split(".")[0] in params.Params.model_fields:
                found.add(name.removesuffix(".of"))
    if dataset != "cifar10":  # the last branch of prepare.read has no `if` of its own
        found = {name for name in found if not name.startswith("data.cifar10")}
    found = {name for name in found if is_parameter(name)}
    return {name for name in found if not any(other.startswith(name + ".") for other in found)}


def is_parameter(name: str) -> bool:
    model: Any = params.Params
    for part in name.split("."):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return False
        if part not in model.model_fields:
            return False
        model = model.model_fields[part].annotation
    return True


def test_only_models_training_and_query_import_torch() -> None:
    light = {"prepare", "split", "build_features", "select_attack", "fit_attack", "fit_stacked", "score", "evaluate"}
    light |= {"report"}
    for stage in STAGES:
        files = [pipeline.ROOT / path for path in pipeline.code_deps(stage)]
        text = "".join(file.read_text() for file in files if file.is_file())
        assert ("import torch" in text) == (stage not in light), stage


def test_stages_without_torch_do_not_load_it_on_the_way() -> None:
    """2 s and 500 MB a stage: skops had scikit-learn import it."""
    code = (
        "import sys; from stages import prepare, split, build_features, select_attack, fit_attack, fit_stacked, score, "
    )
    code += "evaluate, report; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(pipeline.SRC)}, check=True)


def test_what_is_no_dependency_holds_no_arithmetic() -> None:
    others = {"mia", "pydantic", "ruamel", "tqdm", "joblib", "numpy", "platformdirs", "psutil", "ray", "torch"}
    allowed = set(sys.stdlib_module_names) | others
    for path in pipeline.NO_ARITHMETIC:
        for node in ast.walk(ast.parse((pipeline.ROOT / path).read_text())):
            if isinstance(node, ast.ImportFrom | ast.Import):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert {module.split(".")[0] for module in modules} <= allowed, path
