"""The rooms of the house: an import never goes up, and importing does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

MIA = pipeline.SRC / "mia"
# From low to high; what stands on one floor may import each other's rooms, as long as no circle comes of it.
FLOORS: list[set[str]] = [
    {"__init__", "errors", "arrays", "catalogue"},
    {
        "dotted",
        "paths",
        "params",
        "params_audit",
        "params_faults",
        "progress",
        "seeds",
        "repository",
        "stage_seconds",
        "version",
    },
    {"store", "compute", "evaluation"},
    {"data"},
    {"models"},
    {"attacks"},
    {"report", "audits"},
    {"history"},
    {"commands"},
]
MODULES = sorted(path for path in MIA.rglob("*.py") if not pipeline.is_empty(path))


def room(module: Path) -> str:
    return module.relative_to(MIA).parts[0].removesuffix(".py")


def floor(module: Path) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(module) in rooms)


def imported(module: Path) -> set[Path]:
    """The modules that one imports itself, those for types alone too; packages that hold nothing are left out."""
    return {path for path in pipeline.own_imports(module) if not pipeline.is_empty(path)}


@pytest.mark.parametrize("module", MODULES, ids=[str(path.relative_to(MIA)) for path in MODULES])
def test_no_import_goes_up_and_none_reaches_a_stage(module: Path) -> None:
    for path in imported(module):
        assert path.is_relative_to(MIA), path
        assert floor(path) <= floor(module), path


def test_no_rooms_and_no_modules_form_a_circle() -> None:
    arrows = {module: imported(module) for module in MODULES}
    rooms: dict[str, set[str]] = {}
    for module, targets in arrows.items():
        rooms.setdefault(room(module), set()).update(room(target) for target in targets)
    for graph in (arrows, {name: targets - {name} for name, targets in rooms.items()}):
        left = {name: set(targets) for name, targets in graph.items()}
        while free := [name for name, targets in left.items() if not targets & left.keys()]:
            left = {name: targets for name, targets in left.items() if name not in free}
        assert not left


def test_importing_the_library_and_the_stages_does_nothing() -> None:
    """No thread, no hook, no environment variable, no planted module."""
    names = [".".join(path.relative_to(pipeline.SRC).with_suffix("").parts) for path in MODULES]
    names += [f"stages.{stage}" for stage in pipeline.stages()]
    program = f"""
import importlib, os, sys, threading
import matplotlib, torch, sklearn.ensemble, dvc.api, psutil, tqdm, joblib, pydantic, pyarrow.parquet, scipy.stats, typer
before = dict(os.environ), sys.excepthook, threading.active_count()
for name in {names!r}:
    if not name.endswith("__init__"):
        importlib.import_module(name)
assert (dict(os.environ), sys.excepthook, threading.active_count()) == before
assert None not in [module for name, module in sys.modules.items() if "torch" in name]
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=pipeline.SRC, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
