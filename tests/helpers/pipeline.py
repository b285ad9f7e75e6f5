"""dvc.yaml as the tests see it, and what the code really uses, read from its syntax tree."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ruamel.yaml import YAML

from mia import paths
from mia.catalogue import NAMES

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"

OF_BLOCKS = {"train_shadows": "${item}", "query_shadows": "${item}", "train_imitators": "${shadow.blocks[0]}"}
NETWORKS, ATTACKS = "src/mia/models/networks", "src/mia/attacks"

# Stages of seconds depend on whole packages; those that train, ask or fit depend on what they compute with alone.
QUICK = {"prepare", "score", "evaluate", "report"}

# The digests of what reads given answers, fits estimators or makes networks that are none of ours stand in
# data/network.json, those of what asks a trained model in data/model.json, of what reads answers of shadows from
# elsewhere in data/given.json, where an audit does any: they train no network of ours. What tries a network before
# computes nothing that is kept.
MODELS = "src/mia/models/"  # never as a whole: a new way to train would prepare all data again
BY_DIGEST = {"train_target", "train_shadows", "train_imitators", "query_target", "query_shadows"}
GIVEN = frozenset(
    SRC / "mia" / name
    for name in (
        "audits/given.py",
        "audits/fitted.py",
        "audits/brought.py",
        "audits/elsewhere.py",
        "models/other_networks.py",
        "models/network_checks.py",
    )
)

# What `mia answers` lays out where there is no repository: copies in the package.
SHARED = {"params.yaml": "params.yaml", "mitigations.json": "audits/mitigations.json"}

# How a stage is started, what it says beforehand, and what dvc.yaml itself repeats: no arithmetic, so no dependency.
NO_ARITHMETIC = {
    "src/stages/__init__.py",
    "src/mia/__init__.py",
    "src/mia/arrays.py",
    "src/mia/errors.py",
    "src/mia/params.py",
    "src/mia/params_audit.py",
    "src/mia/params_faults.py",
    "src/mia/paths.py",
    "src/mia/progress.py",
    "src/mia/compute/machine.py",
    "src/mia/compute/ray_cluster.py",
    "src/mia/compute/tasks.py",
    "src/mia/compute/workers.py",
    "src/mia/models/outlook.py",
    "src/mia/models/timed_steps.py",
}


def stages() -> dict[str, dict[str, Any]]:
    """The stages of dvc.yaml; a foreach stage is its `do`, ${item} left as it stands."""
    declared = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in declared.items()}


def parameters(stage: str) -> set[str]:
    """The dotted names under `params:` of a stage, those of params.yaml and those of the audit's own file."""
    declared: set[str] = set()
    for entry in stages()[stage].get("params", []):
        declared |= {entry} if isinstance(entry, str) else {name for own in entry.values() for name in own}
    return declared


def names(entries: list[Any]) -> list[str]:
    """Paths of `outs`, `metrics` or `plots` entries, whether or not they carry settings."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def script(path: str) -> ModuleType:
    """A file of the repository that lies in no package, as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def own_imports(module: Path) -> set[Path]:
    """The project's files that a module imports itself."""
    files: set[Path] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        wanted: list[str] = []
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            wanted = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in wanted:
            for path in (SRC / (name.replace(".", "/") + ".py"), SRC / name.replace(".", "/") / "__init__.py"):
                if path.is_file():
                    files.add(path)
    return files


@cache
def imports(module: Path, skipped: frozenset[Path] = frozenset()) -> frozenset[Path]:
    """The project's files that a module imports, followed. skipped: files that are not followed, nor among them."""
    if module in (SRC / "mia/params.py", SRC / "mia/params_audit.py"):  # they check, and compute with nothing
        return frozenset()
    files = own_imports(module) - skipped
    return frozenset(files).union(*(imports(path, skipped) for path in files if path != module))


def code_deps(stage: str) -> set[str]:
    """The files a stage computes with: its own, the library files it imports, the templates these name, followed."""
    module = SRC / "stages" / f"{stage}.py"
    modules = {module, *imports(module, GIVEN if stage in BY_DIGEST else frozenset())}
    files = {path.relative_to(ROOT).as_posix() for path in {*modules, *templates(modules)}}
    if SRC / "mia/attacks/scoring.py" in modules:  # it takes functions by their names in the catalogue
        files = {name for name in files if not name.startswith(f"{ATTACKS}/")} | {ATTACKS}
    if "networks.declare(" in module.read_text():  # it reads every architecture's file, and computes with none
        files = {name for name in files if not name.startswith(f"{NETWORKS}/")} | {NETWORKS}
    files = {name for name in files - NO_ARITHMETIC if not is_empty(ROOT / name)}
    return whole_packages(files) if stage in QUICK else files


def whole_packages(files: set[str]) -> set[str]:
    """The files, but for packages of which there are two or more: these as their folder."""
    packages = {name: "/".join(name.split("/")[:3]) for name in files if name.count("/") > 2 and MODELS not in name}
    count = Counter(packages.values())
    return {packages[name] if count[packages.get(name, "")] > 1 else name for name in files}


def is_empty(module: Path) -> bool:
    """Whether a module holds a docstring and nothing else, as the `__init__.py` of most packages."""
    return module.name == "__init__.py" and len(ast.parse(module.read_text()).body) <= 1


def templates(files: Iterable[Path]) -> set[Path]:
    """The other files of src/mia that files name in quotation marks, templates above all, and those that these name."""
    named: set[Path] = set()
    for file in files:
        for name in re.findall(r"""["']([\w-]+\.(?:html|css|js|json))["']""", file.read_text()):
            named |= {
                path for path in (SRC / "mia/report/templates" / name, SRC / "mia/report" / name) if path.is_file()
            }
    return named | (templates(named - set(files)) if named - set(files) else set())


def used_paths(stage: str) -> set[str]:
    """The data paths a stage names, as dvc.yaml spells them."""
    text = (SRC / "stages" / f"{stage}.py").read_text()
    used = set()
    # What is shared lies outside the repository, in_copy names nothing, and of an audit dvc.yaml names params and data.
    for name in set(re.findall(r"\bpaths\.(\w+)", text)) - {"shared", "in_copy", "audit", "brought"}:
        value = getattr(paths, name)
        used.add((value(OF_BLOCKS[stage]) if callable(value) else value).as_posix())
    return used - {paths.PARAMS.as_posix()}


def with_code_deps(text: str) -> str:
    """dvc.yaml with the files that each stage computes with, sorted, before its other dependencies."""
    lines, stage, inside = [], "", False
    for line in text.splitlines():
        if match := re.fullmatch(r"  (\w+):", line):
            stage = match[1]
        if inside and re.match(r"\s*- src/", line):
            continue
        inside = line.strip() == "deps:" or (inside and line.lstrip().startswith(("- ", "#")))
        lines.append(line)
        if line.strip() == "deps:":
            indent = " " * (len(line) - len(line.lstrip()))
            lines += [f"{indent}- {name}" for name in sorted(code_deps(stage))]
    return "\n".join(lines) + "\n"


def with_attacks(text: str) -> str:
    """The template of overlaid ROC curves with every attack of the catalogue to pick."""
    spec = json.loads(text)
    spec["params"][0]["bind"]["options"] = list(NAMES)
    return json.dumps(spec, indent=2) + "\n"


if __name__ == "__main__":  # `make deps`
    for path, written in {"dvc.yaml": with_code_deps, ".dvc/plots/roc_overlay.json": with_attacks}.items():
        (ROOT / path).write_text(written((ROOT / path).read_text()))
    for name, source in SHARED.items():
        (SRC / "mia/audits/templates" / name).write_text((ROOT / source).read_text())
