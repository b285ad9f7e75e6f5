"""A git repository with the tiny experiment and the real `dvc`, apart from this machine's user."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import pipeline
import tiny

FIRST: dict[str, Any] = {
    "target.epochs": 2,
    "select.search_iterations": 1,
    "estimators.mlp.max_iter": 5,
}
# PYTHONDONTWRITEBYTECODE, where it is set, would compile all libraries again in every stage: twice the time.
FOREIGN = ("AWS_", "DVC_", "GIT_", "PYTEST_", "PYTHONDONTWRITEBYTECODE", "SSH_")


@dataclass(frozen=True)
class Repository:
    """A git repository with DVC in it, and an environment in which nothing of this machine's user is seen.

    variables: what this user's environment holds beside that, such as credentials.
    """

    root: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What its commands see."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)},
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.home / "site" / self.root.name),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "COLUMNS": "1000",
            "JOBLIB_MULTIPROCESSING": "0",  # to start workers takes longer than their tiny work
            **self.variables,
        }

    def run(self, *command: str, expected: int | None = 0) -> str:
        """Run a command; its stdout and stderr together. expected: the exit code, None: any but 0."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert (done.returncode != 0) if expected is None else (done.returncode == expected), done.stdout
        return done.stdout

    def dvc(self, *arguments: str, expected: int | None = 0) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, expected=expected)

    def json(self, *arguments: str) -> Any:
        """What a dvc command prints with --json; its remarks, which go to stderr, left out."""
        printed = self.dvc(*arguments, "--json").splitlines()
        return json.loads(next(line for line in printed if line.startswith(("{", "["))))

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def give(self, **changes: Any) -> None:
        """Write params.yaml: the first values and then `changes`, dots as double underscores."""
        named = {name.replace("__", "."): value for name, value in changes.items()}
        tiny.write_params(self.root / "params.yaml", FIRST | named)

    def repro(self, **changes: Any) -> set[str]:
        """`dvc repro` with the first values and these changes; the stages that ran."""
        self.give(**changes)
        return ran(self.dvc("repro"))

    def outputs(self) -> dict[str, str]:
        """The sha256 of all that the stages wrote, by path."""
        files = [path for name in ("data", "models", "metrics", "plots") for path in (self.root / name).rglob("*")]
        return {
            path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if path.is_file() and path.name != ".gitkeep"
        }

    def lock(self) -> bytes:
        return (self.root / "dvc.lock").read_bytes()


def ran(printed: str) -> set[str]:
    """The stages that a command of dvc ran, from what it printed."""
    return set(re.findall(r"^Running stage '(.+)':$", printed, re.MULTILINE))


def home(folder: Path) -> Path:
    """A user's home with what git must know."""
    folder.mkdir(parents=True)
    (folder / ".gitconfig").write_text("[user]\nname = a\nemail = a@a\n[init]\ndefaultBranch = main\n")
    return folder


def create(folder: Path, keep: Collection[str] | None = None) -> Repository:
    """The project as it stands, not run, not committed, in folder/repository; of its stages all, or those to keep."""
    repository = Repository(folder / "repository", home(folder / "home"))
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=pipeline.ROOT, stdout=subprocess.PIPE, check=True
    )
    for name in listed.stdout.decode().split("\0"):
        if name != "dvc.lock" and (pipeline.ROOT / name).is_file():
            (repository.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pipeline.ROOT / name, repository.root / name)
    for name in ("metrics", "plots"):  # what the project's own run left there
        shutil.rmtree(repository.root / name, ignore_errors=True)
    if keep is not None:
        yaml = YAML()
        declared = yaml.load(repository.root / "dvc.yaml")
        kept = {name: stage for name, stage in declared["stages"].items() if name in keep}
        yaml.dump({"stages": kept}, repository.root / "dvc.yaml")
    repository.give()
    repository.git("init", "--quiet")
    return repository


def clone(of: Repository, folder: Path, **variables: str) -> Repository:
    """A colleague's fresh clone in folder/clone, with a home of their own."""
    made = Repository(folder / "clone", home(folder / "home"), variables)
    of.git("clone", "--quiet", str(of.root), str(made.root))
    return made
