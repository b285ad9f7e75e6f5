"""What kills, fills, flips, locks and lies: the next `dvc repro` ends with the bytes of an undisturbed run.

docs/reliability.md lists what a user sees of each.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import repository as repositories
import tiny
from mia import paths
from mia.errors import MEND
from repository import Repository

# One block, so that there are fewer stages, and models that train long enough to be killed.
VALUES = repositories.FIRST | {"shadow.blocks": [0], "shadow.per_block": 4, "target.epochs": 60}
KILLS_A_STAGE = 2
KILLS = 30
# What DVC writes in place, and what it says of it where it was cut short.
IN_PLACE = {".dvc/tmp/rwlock": "Unable to read RWLock-file", "dvc.lock": "'./dvc.lock' "}
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


@pytest.mark.fault("`kill -9` of `dvc`, its stage or both, at a random moment")
def test_whatever_is_killed_whenever_the_next_run_ends_with_the_same_bytes(
    started: Repository, undisturbed: dict[str, str], record_property: Callable[[str, object], None]
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
                if stage.startswith("train_") and killed[stage] < KILLS_A_STAGE:
                    run.wait_for_snapshot()
                    time.sleep(rng.uniform(0, 0.3))
                else:
                    time.sleep(rng.uniform(0, 1.6))
                run.kill(victim)
                said += run.said
                killed[stage] += 1
                victims[victim] += 1
                whole = {name: found for name, found in started.outputs().items() if "/." not in name}
                assert whole.items() <= undisturbed.items(), f"{victim} was killed in {stage}"
                break
        else:
            said += run.said
            if run.end():  # it was killed in the instant in which DVC wrote one of its own files
                spoiled = {name for name, message in IN_PLACE.items() if message in "".join(run.said)}
                assert spoiled, "".join(run.said)
                for name in spoiled:  # as docs/reliability.md says
                    remove(started.root / name)
                continue
            if victims.total() >= KILLS:
                break
            for name in ("data", "models", "metrics", "plots", ".dvc/cache", "dvc.lock"):  # it was too fast: once more
                remove(started.root / name)
            started.git("checkout", "--quiet", "--", "data")
            killed.clear()
    assert started.outputs() == undisturbed
    assert "Data and pipelines are up to date." in started.dvc("repro")
    resumed = sum("goes on in epoch" in line for line in said)
    record_property("times", victims.total())
    assert resumed >= 1
    assert [path for path in started.root.rglob(".*.[0-9]*") if ".git" not in path.parts] == []


@pytest.fixture(scope="module")
def finished(started: Repository) -> Repository:
    """The same, run to its end."""
    tiny.write_params(started.root / "params.yaml", VALUES)
    started.dvc("repro")
    return started


@pytest.mark.fault("`dvc` killed, its stage at work")
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_stage_whose_dvc_was_killed_ends(finished: Repository, shell: str) -> None:
    """It would train for minutes; some shells stay between the two, some do not."""
    tiny.write_params(finished.root / "params.yaml", VALUES | {"target.epochs": 100_000})
    try:
        run = Run(finished, shell)
        assert next(stage for stage in run.stages() if stage != "split") == "train_target"
        run.wait_for_snapshot()
        assert len(run.others()) >= 1
        run.kill("dvc")
        assert "error: `dvc` is gone, and this stage ends with it; `dvc repro` starts it again\n" in run.said
    finally:
        tiny.write_params(finished.root / "params.yaml", VALUES)
        shutil.rmtree(Path(os.environ["MIA_CACHE"], "training"))
        finished.dvc("repro")  # DVC removes what a stage wrote before it runs it


def an_object(repository: Repository, path: Path) -> Path:
    """Where DVC's cache keeps a file of the workspace."""
    name = hashlib.md5((repository.root / path).read_bytes()).hexdigest()
    return repository.root / ".dvc/cache/files/md5" / name[:2] / name[2:]


def flip(path: Path) -> None:
    """One bit, as a disk does it: neither the mode nor the time of writing changes."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.fault("a bit flipped in DVC's cache")
@pytest.mark.parametrize(
    ("damaged", "reader", "remade"),
    [
        (paths.TARGET_MODEL / "0.safetensors", "query_target", {"train_target"}),
        (paths.POPULATION / "images.npy", "query_target", {"prepare"}),
        (paths.SCORES, "evaluate", {"score"}),
    ],
    ids=str,
)
def test_a_flipped_bit_in_the_cache_is_served_by_dvc_and_refused_by_the_stage_that_reads_it(
    finished: Repository, undisturbed: dict[str, str], damaged: Path, reader: str, remade: set[str]
) -> None:
    flip(an_object(finished, damaged))
    (finished.root / damaged).unlink()
    finished.dvc("checkout", str(damaged))
    assert hashlib.sha256((finished.root / damaged).read_bytes()).hexdigest() != undisturbed[damaged.as_posix()]
    assert "up to date" in finished.dvc("repro")  # it does not look

    said = finished.dvc("repro", "--force", "--single-item", "--no-run-cache", reader, expected=None)
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert damaged.name in line
    assert MEND in line
    verify = [sys.executable, "-m", "mia.commands", "verify"]
    told = finished.run("env", "PYTHONPATH=src", *verify, expected=1)
    assert "1 damaged" in told
    assert told.count(": removed") == 2
    assert f"{damaged}: came from it: removed" in told
    assert repositories.ran(finished.dvc("repro")) == remade
    assert finished.outputs() == undisturbed
    assert "0 damaged" in finished.run("env", "PYTHONPATH=src", *verify)


@pytest.mark.fault("two `dvc repro` at once")
def test_of_two_runs_at_once_one_is_told_so_and_the_other_ends_well(
    finished: Repository, undisturbed: dict[str, str]
) -> None:
    for name in ("data/scores.parquet", "plots/leak.png", "metrics/summary.json"):
        (finished.root / name).unlink()
    remove(an_object(finished, paths.EXPOSURE))
    remove(finished.root / paths.EXPOSURE)
    run = Run(finished, "/bin/sh")
    assert next(run.stages()) == "evaluate"
    said = finished.dvc("repro", expected=None)
    assert "is busy, it is being blocked by" in said or "Unable to acquire lock" in said
    assert "Traceback" not in said
    list(run.stages())
    assert run.end() == 0
    assert finished.outputs() == undisturbed


@pytest.mark.fault("clock set wrong")
@pytest.mark.parametrize("year", [1990, 2090])
def test_a_clock_that_was_set_wrong_changes_nothing_and_hides_nothing(
    finished: Repository, undisturbed: dict[str, str], year: int
) -> None:
    then = (year - 1970) * 365 * 86400
    for name in undisturbed:
        os.utime(finished.root / name, (then, then))
    os.utime(finished.root / "dvc.lock", (then, then))
    assert "Data and pipelines are up to date." in finished.dvc("repro")

    membership = finished.root / paths.TARGET_MEMBERSHIP
    content = membership.read_bytes()
    membership.chmod(0o644)
    membership.write_bytes(content[:-1] + b"X")
    os.utime(membership, (then - 5, then - 5))
    assert "changed" in finished.dvc("status", "train_target")
    assert finished.dvc("repro", "split", expected=0)
    assert finished.outputs() == undisturbed


@pytest.mark.fault("dvc.lock cut short")
@pytest.mark.parametrize("mark", ["", "    - pa", "      md5: "], ids=["empty", "within a key", "within a digest"])
def test_a_lock_file_cut_short_costs_nothing(finished: Repository, undisturbed: dict[str, str], mark: str) -> None:
    """DVC writes dvc.lock in place. Without it, it finds what ran in its cache; half a digest is another digest."""
    lock = finished.root / "dvc.lock"
    before = lock.read_bytes()
    lock.write_bytes(before[: before.index(mark.encode()) + len(mark)])
    if mark.endswith(": "):
        with lock.open("a") as file:
            file.write("86a7")
    else:
        assert "dvc.lock' " in finished.dvc("repro", expected=None)
        lock.unlink()
    assert repositories.ran(finished.dvc("repro")) == set()
    assert finished.outputs() == undisturbed
    assert lock.read_bytes() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 30 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "none", disk]).returncode:
        (pytest.fail if os.environ.get("MIA_TESTS_MUST_NOT_SKIP") else pytest.skip)("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.fault("disk full while DVC stores")
def test_a_disk_too_full_for_the_cache_is_said_and_what_was_made_can_be_stored_later(
    finished: Repository, undisturbed: dict[str, str], small_disk: Path
) -> None:
    """DVC says so and ends well all the same: what the stage wrote lies in the workspace alone."""
    shutil.copytree(finished.root / ".dvc/cache", small_disk / "cache")
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free - 500_000))
    finished.dvc("cache", "dir", "--local", str(small_disk / "cache"))
    images = paths.ATTACKER / "images.npy"
    try:
        tiny.write_params(finished.root / "params.yaml", VALUES | {"data.generated": 50_000})
        said = finished.dvc("repro", "prepare")
        assert "ERROR: failed to transfer" in said
        assert "No space left on device" in said
        (small_disk / "ballast").unlink()
        finished.dvc("commit", "--force", "prepare")
        made = (finished.root / images).read_bytes()
        assert len(made) > 3_000_000
        remove(finished.root / paths.ATTACKER)
        finished.dvc("checkout", str(paths.ATTACKER))
        assert (finished.root / images).read_bytes() == made
        verify = finished.run("env", "PYTHONPATH=src", sys.executable, "-m", "mia.commands", "verify")
        assert f"{small_disk}/cache" in verify
        assert "0 damaged" in verify
    finally:
        finished.dvc("config", "--local", "--unset", "cache.dir")
        tiny.write_params(finished.root / "params.yaml", VALUES)
    assert repositories.ran(finished.dvc("repro")) == set()
    assert finished.outputs() == undisturbed


@pytest.mark.fault("read-only folder")
def test_a_read_only_folder_is_said_and_loses_nothing(finished: Repository, undisturbed: dict[str, str]) -> None:
    """Root may write anywhere, but for the capability that is taken away here."""
    folder = finished.root / "metrics"
    folder.chmod(0o555)
    try:
        as_user = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        command = [*as_user, sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "evaluate"]
        said = finished.run(*command, expected=None)
        assert "Permission denied" in said
        assert "Traceback" not in said
    finally:
        folder.chmod(0o755)
    finished.dvc("repro")
    assert finished.outputs() == undisturbed


@pytest.mark.fault("DVC's own lock cut short")
def test_dvcs_own_lock_cut_short_is_in_the_way_until_it_is_removed(
    finished: Repository, undisturbed: dict[str, str]
) -> None:
    """It too is written in place: a kill left it empty now and then."""
    own = finished.root / ".dvc/tmp/rwlock"
    own.write_text("")
    assert IN_PLACE[".dvc/tmp/rwlock"] in finished.dvc("repro", expected=None)
    own.unlink()
    assert repositories.ran(finished.dvc("repro")) == set()
    assert finished.outputs() == undisturbed
