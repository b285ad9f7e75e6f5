"""Forks: tasks' results in their order, what a task raises, what is left where one is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import threadpoolctl

from mia.compute import forks
from mia.errors import InputError, NotApplicable

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere tasks run one after the other")


@pytest.fixture(autouse=True)
def _two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_PROCESSES", "2")


@pytest.mark.parametrize("processes", ["1", "2", "5"])
def test_results_come_in_the_order_of_tasks(monkeypatch: pytest.MonkeyPatch, processes: str) -> None:
    monkeypatch.setenv("MIA_PROCESSES", processes)
    held = {"add": 7}
    assert list(forks.results(lambda task: task + held["add"], range(30))) == list(range(7, 37))
    assert list(forks.results(lambda task: task, [])) == []


@ON_LINUX
def test_tasks_run_in_forks_and_are_taken_a_few_ahead() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(40):
            taken.append(number)
            yield number

    results = forks.results(lambda _: os.getpid(), tasks(), 40)
    first = next(results)
    assert len(taken) == 2 * forks.AHEAD
    assert os.getpid() not in {first, *results}
    assert multiprocessing.active_children() == []


@ON_LINUX
def test_a_fork_has_one_thread_for_linear_algebra_and_for_trees() -> None:
    """Two forks with two threads each on two cores wait for each other: minutes for seconds of work."""

    def threads(_: int) -> set[int]:
        return {library["num_threads"] for library in threadpoolctl.threadpool_info()}

    with threadpoolctl.threadpool_limits(2):
        assert list(forks.results(threads, range(2))) == [{1}, {1}]


def test_what_a_task_raises_is_raised_with_its_type_and_no_fork_is_left() -> None:
    def refuse(task: int) -> int:
        raise NotApplicable(f"not {task}")

    with pytest.raises(NotApplicable, match="not 0"):
        list(forks.results(refuse, range(4)))
    assert multiprocessing.active_children() == []


@ON_LINUX
def test_a_fork_that_is_killed_is_an_error_in_one_line() -> None:
    with pytest.raises(InputError, match="one of 2 processes was killed, most often for lack of memory"):
        list(forks.results(lambda _: os.kill(os.getpid(), signal.SIGKILL), range(4)))


@ON_LINUX
def test_forks_end_with_a_parent_that_is_killed() -> None:
    program = """
import os, time
from mia.compute import forks
def task(number):
    print(os.getpid(), flush=True)
    time.sleep(60)
list(forks.results(task, range(2)))
"""
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        parent.stdout.readline(), parent.stdout.readline()
        parent.kill()
        parent.stdout.read()  # to the end: nobody holds the pipe any more


@pytest.mark.parametrize("value", ["0", "two", "-1"])
def test_a_number_of_processes_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MIA_PROCESSES", value)
    with pytest.raises(InputError, match="MIA_PROCESSES: expected a whole number of at least 1"):
        list(forks.results(lambda task: task, range(2)))
