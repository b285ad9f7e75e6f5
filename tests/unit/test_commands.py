"""The command line: what it offers, that it starts at once, and what it says of a wrong call."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import pipeline
from mia import commands, version


@pytest.mark.parametrize(
    "command", ["new", "answers", "show", "compare", "grid", "forecast", "publish", "verify", "version"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["--help"]) == 0
    assert f"  {command}" in capsys.readouterr().out
    assert commands.main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: mia {command}")


def test_a_wrong_call_is_said_and_has_an_exit_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["compere"]) == 2
    assert "No such command 'compere'" in capsys.readouterr().err
    assert commands.main(["publish", "a", "b"]) == 2


def loaded_by(command: str, libraries: set[str]) -> set[str]:
    """Those of the libraries that a command imports, run in a process of its own."""
    program = (
        f"import sys; from mia import commands; commands.main(['{command}']); "
        f"print(*({libraries!r} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=pipeline.SRC, capture_output=True, text=True)
    assert done.returncode == 0, done
    return set(done.stderr.split())


def test_help_loads_nothing_that_takes_time() -> None:
    assert loaded_by("--help", {"torch", "matplotlib", "pandas", "sklearn", "dvc"}) == set()


def test_what_reads_an_audit_needs_no_torch_and_no_dvc() -> None:
    """The base installation has neither."""
    program = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "dvc"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from mia.report import show
from mia.report.audit import page
from mia.evaluation import differences, metrics, permutation, strongest
from mia import catalogue
from mia.attacks import scoring
for attack in catalogue.ATTACKS:
    attack.family in ("threshold", "per_class", "reference") and attack.load()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=pipeline.SRC, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_stage_runs_the_code_of_its_own_folder_and_not_the_installed_one(tmp_path: Path) -> None:
    """As in the copies that `dvc exp run --temp` makes; PYTHONPATH stands for the installed package."""
    for name in (
        "stage.py",
        "mia/__init__.py",
        "mia/errors.py",
        "mia/stage_seconds.py",
        "mia/compute/__init__.py",
        "mia/compute/forking.py",
        "stages/__init__.py",
        "mia/arrays.py",
    ):
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pipeline.SRC / name, tmp_path / "src" / name)
    (tmp_path / "src/stages/__init__.py").write_text("")
    (tmp_path / "src/stages/probe.py").write_text(
        "import mia, stages, sys\nprint(mia.__file__, stages.__file__, sys.argv)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(pipeline.SRC)}
    command = [sys.executable, "src/stage.py", "probe", "--block", "3"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    where = [Path(part).resolve().is_relative_to(tmp_path.resolve()) for part in done.stdout.split()[:2]]
    assert where == [True, True], done.stdout
    assert done.stdout.rstrip().endswith("'--block', '3']")


# -- mia version ------------------------------------------------------------------------------------------------------


def test_version_names_what_a_report_of_a_fault_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["version"]) == 0
    facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert list(facts) == ["mia", "commit", "Python", "system", "processor", *version.LIBRARIES]
    assert facts["numpy"] == metadata.version("numpy")
    assert re.fullmatch(r".+, [1-9]\d* cores", facts["processor"])


def test_version_imports_no_library_that_it_names() -> None:
    assert loaded_by("version", {"numpy", "sklearn", "pyarrow", "torch", "dvc", "pandas"}) == set()


def test_version_without_torch_and_git(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(version, "LIBRARIES", ("a-library-that-nobody-has",))
    assert commands.main(["version"]) == 0
    said = capsys.readouterr().out
    assert "git is not installed" in said
    assert said.endswith("a-library-that-nobody-has  not installed\n")


def test_the_commit_is_that_of_the_repository_that_tracks_the_file(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", *names, "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    file = tmp_path / "version.py"
    file.write_text("")
    git("init", "--quiet")
    assert version.commit(file).startswith("unknown: not run from a clone"), "an environment within a repository"
    git("add", "--all")
    git("commit", "--quiet", "--message", "start")
    assert version.commit(file) == git("rev-parse", "HEAD")[:12]
    file.write_text("changed")
    assert version.commit(file) == git("rev-parse", "HEAD")[:12] + "-dirty"
