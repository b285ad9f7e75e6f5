"""Work of seconds on all cores: forks of this process, which has imported and read everything already.

A fork costs about 0.02 s, a process that starts anew 1.5 to 3 s of imports (docs/log.md). Forks are for NumPy, SciPy
and scikit-learn, and have one thread each: two with two each wait for each other on two cores. They are for no torch,
whose threads a fork would miss, and no pyarrow. What a task computes depends neither on the number of forks nor on the
order in which they run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any, TypeVar

import threadpoolctl

from mia.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 4  # tasks a fork that are handed out before the first one's result is there


def results(function: Callable[[T], R], tasks: Iterable[T], count: int | None = None) -> Iterator[R]:
    """`function(task)` of every task, in their order, as many at once as this process has cores.

    function: any callable, with what it holds: forks have this process's memory. tasks: pickled, as results are, and
    taken a few ahead of the results. count: how many there are, where tasks is no sequence. One after the other in this
    process where that is one at a time, and off Linux, where system libraries bear no fork.
    Raises what a task raised, and InputError where a fork was killed.
    """
    at_once = min(_processes(), len(tasks) if isinstance(tasks, Sized) else count or 1)
    if at_once < 2 or sys.platform != "linux":
        yield from map(function, tasks)
        return
    global _function
    before, _function = set(multiprocessing.active_children()), function
    pool = ProcessPoolExecutor(at_once, multiprocessing.get_context("fork"), _begin, (os.getpid(),))
    try:
        under_way = deque[Future[R]]()
        for task in tasks:
            under_way.append(pool.submit(_in_fork, task))
            if len(under_way) == AHEAD * at_once:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool:
        raise InputError(
            f"one of {at_once} processes was killed, most often for lack of memory; set MIA_PROCESSES to fewer, and "
            "`dvc repro` starts this stage again"
        ) from None
    finally:
        for child in set(multiprocessing.active_children()) - before:  # where one failed, the others are at work
            child.kill()
        pool.shutdown(cancel_futures=True)


_function: Callable[[Any], Any]  # what the tasks of the forks under way are given to


def _in_fork(task: Any) -> Any:
    return _function(task)


def _begin(parent: int) -> None:
    """Ctrl-C reaches the parent too, which ends this process; it ends by itself where the parent is killed."""
    threadpoolctl.threadpool_limits(1)  # the other cores are the other forks'
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(AttributeError, OSError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def _processes() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    value = os.environ.get("MIA_PROCESSES") or str(cores)
    if not value.isdecimal() or int(value) < 1:
        raise InputError(f"MIA_PROCESSES: expected a whole number of at least 1, got {value!r}; unset it for {cores}")
    return int(value)
