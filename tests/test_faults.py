"""What kills, fills, flips, locks and lies: the next `dvc repro` ends with the bytes of an undisturbed run.

docs/RELIABILITY.md lists what a user sees of each.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import repository as repositories
import tiny
from repository import Repository

# One block, so that there are fewer stages, and models that train long enough to be killed.
VALUES = repositories.FIRST | {"shadow.blocks": [0], "shadow.digits.per_block": 4, "target.digits.epochs": 60}
KILLS_A_STAGE = 2
KILLS = 30
SEED = 20261124


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run that nobody disturbs writes: the sha256 by path."""
    folder = tmp_path_factory.mktemp("undisturbed")
    tiny.run_in(folder, VALUES)
    return Repository(folder, folder).outputs()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository in which nothing has run yet."""
    repository = repositories.create(tmp_path_factory.mktemp("faults"))
    tiny.write_params(repository.root / "params.yaml", VALUES)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "code")
    return repository


def remove(path: Path) -> None:
    """A file or folder, read-only objects included."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


class Run:
    """`dvc repro` under way, in a session of its own."""

    def __init__(self, repository: Repository, shell: str) -> None:
        environment = repository.environment | {"SHELL": shell, "MIA_SNAPSHOT_SECONDS": "0", "PYTHONUNBUFFERED": "1"}
        self.dvc = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"],
            cwd=repository.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []

    def stages(self) -> Iterator[str]:
        """Their names, each as it begins; to the end where nobody kills it."""
        assert self.dvc.stdout is not None
        for line in self.dvc.stdout:
            self.said.append(line)
            yield from repositories.ran(line)

    def wait_for_snapshot(self) -> None:
        """Of a training under way; not for ever, since a quick one may be over."""
        begin, folder = time.monotonic(), Path(os.environ["MIA_CACHE"], "training")
        while not list(folder.glob("[!.]*")) and time.monotonic() - begin < 10:
            time.sleep(0.01)

    def others(self) -> list[psutil.Process]:
        """Its other processes: shells, stages, their workers."""
        return psutil.Process(self.dvc.pid).children(recursive=True)

    def end(self) -> int:
        """Its exit code."""
        with self.dvc:
            return self.dvc.wait()

    def kill(self, victim: str) -> None:
        """SIGKILL, and wait until all are gone."""
        others = self.others()
        if victim == "all":
            os.killpg(self.dvc.pid, signal.SIGKILL)
        elif victim == "dvc" or not others:
            self.dvc.kill()
        else:
            others[-1].kill()
        list(self.stages())
        self.end()
        _, left = psutil.wait_procs(others, timeout=10)
        assert left == [], f"{victim} was killed, and these work on"


def test_whatever_is_killed_whenever_the_next_run_ends_with_the_same_bytes(
    started: Repository, undisturbed: dict[str, str]
) -> None:
    """Each stage at two moments, drawn: `dvc` alone, its stage alone, or both at once, under both shells it may use."""
    rng = random.Random(SEED)
    victims: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    said: list[str] = []
    while True:
        run = Run(started, rng.choice(["/bin/sh", "/bin/bash"]))
        for stage in run.stages():
            if killed[stage] < (2 * KILLS_A_STAGE if stage.startswith("train_") else KILLS_A_STAGE):
                victim = rng.choice(["all", "dvc", "stage"])
                if stage.startswith("train_") and killed[stage] >= KILLS_A_STAGE:
                    run.wait_for_snapshot()
                    time.sleep(rng.uniform(0, 0.3))
                else:
                    time.sleep(rng.uniform(0, 2.5))
                run.kill(victim)
                killed[stage] += 1
                victims[victim] += 1
                whole = {name: found for name, found in started.outputs().items() if "/." not in name}
                assert whole.items() <= undisturbed.items(), f"{victim} was killed in {stage}"
                break
        said += run.said
        if run.end() == 0:
            if victims.total() >= KILLS:
                break
            for name in ("data", "models", "metrics", "plots", ".dvc/cache", "dvc.lock"):  # it was too fast: once more
                remove(started.root / name)
            killed.clear()
    assert started.outputs() == undisturbed
    assert "Data and pipelines are up to date." in started.dvc("repro")
    resumed = sum("goes on in epoch" in line for line in said)
    print(f"{victims.total()} kills: {dict(victims)}; {resumed} trainings went on where they were; lost: nothing")
    assert resumed >= 1
    assert [path for path in started.root.rglob(".*.[0-9]*") if ".git" not in path.parts] == []
