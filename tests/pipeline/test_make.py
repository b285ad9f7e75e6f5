"""What `make` says before anything is installed or hours are spent, and what stages say on an odd machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

WHO = ["-c", "user.name=a", "-c", "user.email=a@example.org"]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run our Makefile in a folder that no repository holds."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    alone["GIT_CEILING_DIRECTORIES"] = str(folder.parent)
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(pipeline.ROOT / name, folder)
    return subprocess.run(["make", *arguments], cwd=folder, env=alone, capture_output=True, text=True)


@pytest.mark.parametrize("target", ["audit", "test", "grid"])
def test_a_downloaded_copy_is_told_to_become_a_repository_before_anything_is_installed(
    tmp_path: Path, target: str
) -> None:
    done = make(tmp_path, target)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "error: DVC needs a git repository here (fatal: not a git repository (or any of the parent directories): .git)"
        ": clone this project with git, or in a downloaded copy run `git init && git add --all && git commit --message "
        "start`"
    )
    assert done.stdout == ""
    assert not (tmp_path / ".venv").exists()


def test_a_grid_in_a_shallow_clone_is_refused_before_it_runs(tmp_path: Path) -> None:
    """DVC runs it to its end there, and then has no experiment to show."""
    for command in (["init", "-q", "whole"], ["-C", "whole", *WHO, "commit", "-q", "--allow-empty", "-m", "first"],
                    ["-C", "whole", *WHO, "commit", "-q", "--allow-empty", "-m", "second"],
                    ["clone", "-q", "--depth", "1", f"file://{tmp_path}/whole", "shallow"]):  # fmt: skip
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    done = make(tmp_path / "shallow", "grid", "--assume-old=.venv/.ready")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "error: this clone is shallow, and DVC loses the experiments that it queues in one: `git fetch --unshallow`, "
        "then again"
    )
    assert done.stdout == ""
    whole = make(tmp_path / "whole", "unshallow")
    assert (whole.returncode, whole.stderr) == (0, "")


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null"])
def test_without_a_home_a_stage_has_a_place_for_matplotlibs_fonts_and_says_nothing(tmp_path: Path, home: str) -> None:
    told = {name: value for name, value in os.environ.items() if name not in ("MPLCONFIGDIR", "XDG_CONFIG_HOME")}
    told |= {"HOME": home, "PYTHONPATH": str(pipeline.SRC), "XDG_CACHE_HOME": ""}
    command = [
        sys.executable,
        "-c",
        "import stage; stage.settle(); import matplotlib; print(matplotlib.get_configdir())",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, text=True)
    assert (done.stderr, done.stdout) == ("", f"{tmp_path}/.dvc/tmp/matplotlib\n")


def test_a_stage_imports_without_a_search_for_garbage_and_runs_with_it() -> None:
    states = "import gc, stages; stages.run(lambda _: print(gc.isenabled(), gc.get_freeze_count() > 10_000))"
    code = f"import gc, runpy, stage, sys; sys.argv = ['stage.py', 'x']\n\
runpy.run_module = lambda *_, **__: (print(gc.isenabled()), exec({states!r}, dict()))\nstage.main()"
    environment = {**os.environ, "PYTHONPATH": str(pipeline.SRC)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=pipeline.ROOT, env=environment, capture_output=True, text=True
    )
    assert (run.stderr, run.stdout) == ("", "False\nTrue True\n")
