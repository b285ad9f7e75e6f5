"""Work in several processes: the same results in the same order, and no process outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray

import stage
import stages
import tiny
from mia import paths
from mia.compute import workers
from mia.errors import InputError

pytestmark = pytest.mark.long


def scaled(array: NDArray[np.float64], by: float) -> tuple[float, int, int]:
    """A task: a number, who computed it, and with how many threads."""
    if by < 0:
        raise InputError(f"by: expected a positive number, got {by}")
    if by == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05 / by)  # the first tasks take longest
    return float(array.sum() * by), os.getpid(), torch.get_num_threads()


def met(path: Path, number: int) -> int:
    """A task that ends when two of them have begun."""
    (path / str(number)).touch()
    waited_for(lambda: list(path.iterdir()), 2)
    return os.getpid()


def mapped_sum(array: NDArray[np.float64], by: int) -> tuple[float, bool]:
    """A number, and whether the array is a map of a file that has this name."""
    named = isinstance(array.base, np.memmap) and str(array.base.filename).endswith("x.npy")
    return float(array.sum() * by), named and not array.flags.writeable


def surroundings(name: str) -> tuple[int, str | None]:
    """Which process forked this one, and what it finds in its environment."""
    return os.getppid(), os.environ.get(name)


def kills(victim: int, seconds: int) -> None:
    """A task that kills another process, and goes on."""
    os.kill(victim, signal.SIGKILL)
    time.sleep(seconds)


def lengthy(path: Path, seconds: int) -> int:
    (path / str(os.getpid())).touch()
    time.sleep(seconds)
    return seconds


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_PROCESSES", "2")


def results(*tasks: float) -> list[tuple[float, int, int]]:
    return list(workers.spread(scaled, (np.ones(300_000),), tasks, name="test", unit="task"))


def test_results_come_in_the_order_of_tasks_from_processes_of_one_thread(two: None) -> None:
    found = results(1, 2, 3, 4, 5)
    assert [value for value, _, _ in found] == [300_000.0 * k for k in range(1, 6)]
    assert os.getpid() not in {pid for _, pid, _ in found}
    assert {threads for _, _, threads in found} == {1}


def test_a_map_of_a_file_is_mapped_by_each_process_and_not_copied(two: None, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(3, 4))
    whole = np.asarray(np.load(tmp_path / "x.npy", mmap_mode="r"))
    for array, mapped in ((whole, True), (whole[1:], False), (np.array(whole), False)):
        found = list(workers.spread(mapped_sum, (array,), [1, 2], name="test", unit="task"))
        assert found == [(array.sum() * by, mapped) for by in (1, 2)]


def test_two_tasks_run_at_once(two: None, tmp_path: Path) -> None:
    pids = list(workers.spread(met, (tmp_path,), [0, 1], name="test", unit="task"))
    assert len(set(pids)) == 2


def test_processes_are_forked_from_one_and_know_the_variables_of_this_moment(
    two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    forked_from = set()
    for value in ("first", "second"):
        monkeypatch.setenv("MIA_TEST", value)
        answers = list(workers.spread(surroundings, (), ["MIA_TEST"] * 3, name="test", unit="task"))
        forked_from |= {parent for parent, _ in answers}
        assert {found for _, found in answers} == {value}
    assert len(forked_from) == 1
    assert os.getpid() not in forked_from


def test_one_task_runs_here_with_one_thread_too(two: None) -> None:
    before = torch.get_num_threads()
    assert results(3) == [(900_000.0, os.getpid(), 1)]
    assert torch.get_num_threads() == before


def test_threads_a_task_are_the_users_to_set(two: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_THREADS", "2")
    assert {threads for _, _, threads in results(1, 2)} == {2}


def test_what_a_task_says_is_wrong_arrives_as_it_was_said(two: None) -> None:
    with pytest.raises(InputError, match=r"^by: expected a positive number, got -2$"):
        results(1, -2, 3)


@pytest.mark.fault("worker process killed")
def test_a_process_that_is_killed_is_one_clear_error(two: None) -> None:
    with pytest.raises(
        InputError,
        match=r"^one of 2 processes was killed, .* lack of memory; set MIA_PROCESSES to fewer, and `dvc repro`",
    ):
        results(1, 0, 3)
    assert [value for value, _, _ in results(1, 2)] == [300_000.0, 600_000.0]  # and the next run has new ones


@pytest.mark.fault("worker process killed")
@pytest.mark.parametrize("during", [False, True], ids=["between two runs", "amid one"])
def test_the_process_that_workers_are_forked_from_may_be_killed_too(two: None, during: bool) -> None:
    ((parent, _), *_) = workers.spread(surroundings, (), ["HOME"] * 2, name="test", unit="task")
    if during:
        with pytest.raises(InputError, match=r"^one of 2 processes was killed"):
            list(workers.spread(kills, (parent,), [300, 300], name="test", unit="task"))
    else:
        os.kill(parent, signal.SIGKILL)
        waited_for(lambda: [pid for pid in [parent] if not alive(pid)], 1)
    assert [value for value, _, _ in results(1, 2)] == [300_000.0, 600_000.0]


@pytest.mark.parametrize("variable", ["MIA_PROCESSES", "MIA_THREADS"])
@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_that_is_none_is_refused(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(
        InputError, match=rf"^{variable}: expected a whole number of at least 1, got '{value}'; unset it"
    ):
        results(1, 2)


@pytest.mark.fault("stage killed, its workers at work")
def test_no_process_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = "import test_workers as t; from mia.compute import workers; from pathlib import Path; import sys\n"
    code += "list(workers.spread(t.lengthy, (Path(sys.argv[1]),), [300, 300], name='x', unit='x'))"
    environment = {**os.environ, "MIA_PROCESSES": "2", "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=environment) as parent:
        children = waited_for(lambda: [int(path.name) for path in tmp_path.iterdir()], 2)
        assert parent.pid not in children
        every = {process.pid for process in psutil.Process(parent.pid).children(recursive=True)}
        assert set(children) < every  # and the one that they are forked from
        parent.kill()
    waited_for(lambda: [pid for pid in every if not alive(pid)], len(every))


STARTS = """
import psutil, sys
from mia.compute import forking
forking.prepare()
children = [" ".join(process.cmdline()) for process in psutil.Process().children()]
print(sum("forkserver" in command for command in children), "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MIA_PROCESSES": "2"}, 1),
        ({"MIA_PROCESSES": "1"}, 0),
        ({"MIA_PROCESSES": "2", "MIA_RAY_ADDRESS": "auto"}, 0),
        ({"MIA_PROCESSES": "2", "MIA_DEVICE": "cuda"}, 0),
    ],
)
def test_libraries_are_imported_beside_the_stage_where_its_work_will_be_spread(
    variables: dict[str, str], expected: int
) -> None:
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", STARTS], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(expected), "False"]


def test_stages_that_always_spread_their_work_are_those_that_prepare_for_it() -> None:
    code = {path.stem: path.read_text() for path in Path(stages.__file__).parent.glob("*.py")}
    spread = {name for name, text in code.items() if "workers.spread(" in text and "takes_seconds" not in text}
    assert set(stage.SPREADING) == spread


def test_work_of_seconds_is_done_here_with_the_same_threads(two: None) -> None:
    done = workers.spread(scaled, (np.ones(300_000),), [1, 2], name="test", unit="task", takes_seconds=True)
    assert list(done) == [(300_000.0, os.getpid(), 1), (600_000.0, os.getpid(), 1)]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def waited_for(found: Callable[[], list[Any]], count: int) -> list[Any]:
    for _ in range(600):
        if len(result := found()) == count:
            return result
        time.sleep(0.1)
    raise AssertionError(f"expected {count}, got {result}")


def test_shadows_are_the_same_bytes_in_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = {"shadow.blocks": [0], "shadow.per_block": 3}
    tiny.run("prepare", "split", "train_shadows", "query_shadows", changes=changes)
    before = tiny.digests("train_shadows") | tiny.digests("query_shadows")
    assert len(before) == 3 * 2 + 3
    monkeypatch.setenv("MIA_PROCESSES", "2")
    tiny.run("train_shadows", "query_shadows", changes=changes)
    assert tiny.digests("train_shadows") | tiny.digests("query_shadows") == before


def test_a_shadow_that_diverges_in_another_process_is_said_and_leaves_nothing(
    two: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.run("prepare", "split")
    with pytest.raises(
        InputError, match=r"^shadow 1: the training loss is (nan|inf) in epoch 1 of 6; lower learning_rate"
    ):
        tiny.run("train_shadows", changes={"target.learning_rate": 1e38, "target.optimizer": "sgd"})
    assert not paths.shadow_models(0).exists()
    assert not paths.ALL_SHADOW_MEMBERSHIP.exists()
