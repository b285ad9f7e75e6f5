"""Where work runs: in this process, in several on this machine, or on a Ray cluster.

No arithmetic stands here. What a task computes depends neither on the number of processes nor on which machine of a
kind: it has its own number of threads (MIA_THREADS, 1), and results come back in the order of tasks.

Environment: MIA_PROCESSES: tasks at once on this machine; all cores where unset. MIA_THREADS: threads a task; other
threads add up numbers in another order and so change last bits. MIA_RAY_ADDRESS: the cluster that does the work instead
(`auto`, or host:port). MIA_RAY_GPUS: GPUs a task takes there, such as 0.25; 0 where unset: tasks run on CPUs.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from mia import paths, progress
from mia.compute import devices, forking, ray_cluster, tasks
from mia.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


def snapshot_folder() -> Path | None:
    """Where trainings keep their snapshots (mia.models.snapshots); None: nowhere.

    On a cluster a node's own folders are of no use: there only in $MIA_CACHE, which all nodes have to see.
    """
    if os.environ.get("MIA_RAY_ADDRESS") and not os.environ.get("MIA_CACHE"):
        return None
    return paths.shared("training")


def spread(
    function: Callable[..., R],
    shared: Sequence[Any],
    work: Sequence[T],
    *,
    name: str,
    unit: str,
    takes_seconds: bool = False,
    folder: Path | None = None,
) -> Iterator[R]:
    """`function(*shared, task)` of every task, in their order, several tasks at once.

    function: of a module, since other processes import it. shared: handed over once; arrays are only read.
    takes_seconds: all of it, on one core: then it is done here, since to start processes takes seconds too.
    folder: of the user's files that tasks read, below the current one: machines of a cluster get a copy of it.
    Raises what a task raised, and InputError where a worker died or the cluster is not there.
    """
    alone = takes_seconds or devices.chosen().type != "cpu" or min(tasks.processes(), len(work)) == 1
    if os.environ.get("MIA_RAY_ADDRESS") or alone:
        return each(function, shared, work, name=name, unit=unit, n_threads=tasks.threads(), folder=folder)
    return _shown(_in_processes(function, shared, work), len(work), name, unit)


def each(
    function: Callable[..., R],
    shared: Sequence[Any],
    work: Sequence[T],
    *,
    name: str,
    unit: str,
    n_threads: int | None = None,
    folder: Path | None = None,
) -> Iterator[R]:
    """As `spread`, but on this machine one task after the other.

    n_threads: of a task; None: all cores, for work whose results do not depend on their number.
    """
    if address := os.environ.get("MIA_RAY_ADDRESS"):
        results = ray_cluster.run(address, function, shared, work, folder)
    else:
        results = (tasks.run(function, shared, task, n_threads) for task in work)
    return _shown(results, len(work), name, unit)


def _shown(results: Iterator[R], count: int, name: str, unit: str) -> Iterator[R]:
    return iter(results if count == 1 else progress.bar(results, name, total=count, unit=unit))  # one shows its own


class _NotBegun(InputError):  # noqa: N818
    """The process that workers are forked from was just killed; Python starts another the next time."""


def _in_processes(function: Callable[..., R], shared: Sequence[Any], work: Sequence[T]) -> Iterator[R]:
    for _ in range(20):  # what was killed may take a moment to be gone, and is used until then
        try:
            yield from _in_pool(function, shared, work)
            return
        except _NotBegun:
            time.sleep(0.1)
    yield from _in_pool(function, shared, work)


def _in_pool(function: Callable[..., R], shared: Sequence[Any], work: Sequence[T]) -> Iterator[R]:
    count = min(tasks.processes(), len(work))
    context = forking.context()
    before = set(multiprocessing.active_children())
    arguments = (function, [_handed_over(context, value) for value in shared], tasks.threads(), dict(os.environ))
    pool = ProcessPoolExecutor(count, context, _begin, arguments)
    try:
        yield from _begun(pool, work)
        pool.shutdown()
    except BrokenProcessPool:
        raise InputError(
            f"one of {count} processes was killed, most often for lack of memory; "
            "set MIA_PROCESSES to fewer, and `dvc repro` starts this stage again"
        ) from None
    finally:
        for child in set(multiprocessing.active_children()) - before:  # where one failed, the others are at work
            child.kill()
        pool.shutdown(cancel_futures=True)


def _begun(pool: ProcessPoolExecutor, work: Sequence[Any]) -> Iterator[Any]:
    """The results to come of all tasks, whose processes are started here."""
    try:
        return pool.map(_as_worker, work)
    except (EOFError, ConnectionError):
        raise _NotBegun(
            "no process can be started: what they are forked from was killed; `dvc repro` tries again"
        ) from None


class _Array(NamedTuple):
    """An array in memory that several processes see; no file is left of it, however they end."""

    memory: Any
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def view(self) -> NDArray[Any]:
        return np.frombuffer(self.memory, self.dtype, count=math.prod(self.shape)).reshape(self.shape)


class _Map(NamedTuple):
    """An array that is a map of a file, which each process maps too."""

    path: str
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def view(self) -> NDArray[Any]:
        return np.asarray(np.memmap(self.path, self.dtype, "r", self.offset, self.shape))


def _mapped(value: NDArray[Any]) -> _Map | None:
    """The file that an array is all of a map of; None where it is none, or the file has no name."""
    whole = value.base
    if not (isinstance(whole, np.memmap) and isinstance(whole.base, mmap.mmap) and whole.filename):
        return None
    if not whole.flags.c_contiguous or (whole.shape, whole.dtype) != (value.shape, value.dtype):
        return None
    return _Map(str(whole.filename), whole.offset, value.dtype, value.shape)


def _handed_over(context: BaseContext, value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if (mapped := _mapped(value)) is not None:
        return mapped
    array = _Array(context.RawArray(ctypes.c_ubyte, max(1, value.nbytes)), value.dtype, value.shape)
    array.view()[...] = value
    return array


_work: tuple[Callable[..., Any], list[Any], int]  # what every task of this process takes; in workers only


def _begin(function: Callable[..., Any], shared: Sequence[Any], n_threads: int, environment: Mapping[str, str]) -> None:
    """A process that was started for tasks: it ends when the one that started it does."""
    global _work
    os.environ.update(environment)  # the fork server has that of the moment when it was started
    _work = function, [value.view() if isinstance(value, _Array | _Map) else value for value in shared], n_threads
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    progress.line = int(multiprocessing.current_process().name.rpartition("-")[2])


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _as_worker(task: Any) -> Any:
    function, shared, n_threads = _work
    return tasks.run(function, shared, task, n_threads)
