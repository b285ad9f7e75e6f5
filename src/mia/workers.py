"""Where work runs: in this process, in several on this machine, or on a Ray cluster.

No arithmetic stands here. What a task computes depends on neither the number of processes nor the machine: a task has
its own number of threads (MIA_THREADS, 1), and results come back in the order of tasks.

Environment: MIA_PROCESSES: tasks at once on this machine; all cores where unset. MIA_THREADS: threads a task; other
threads add up numbers in another order and so change last bits. MIA_RAY_ADDRESS: the cluster that does the work instead
(`auto`, or host:port). MIA_RAY_GPUS: GPUs a task takes there, such as 0.25; 0 where unset: tasks run on CPUs.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

import mia
from mia import models, progress
from mia.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
RETRIES = 5  # of a task whose worker or node was lost


def settle() -> None:
    """Settings of this process that change speed and no number. Before torch's first tensor."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        # glibc hands each large tensor's memory back, and the kernel clears it page by page when the next one comes: a
        # third of a training step (docs/LOG.md). M_MMAP_MAX: none outside the heap; M_TRIM_THRESHOLD: keep the heap.
        libc.mallopt(-4, 0)
        libc.mallopt(-1, 2**31 - 1)


def spread(
    function: Callable[..., R], shared: Sequence[Any], tasks: Sequence[T], *, name: str, unit: str
) -> Iterator[R]:
    """`function(*shared, task)` of every task, in their order, several tasks at once.

    function: of a module, since other processes import it. shared: handed over once; arrays are only read.
    Raises what a task raised, and InputError where a worker died or the cluster is not there.
    """
    if os.environ.get("MIA_RAY_ADDRESS") or models.device().type != "cpu" or min(processes(), len(tasks)) == 1:
        return each(function, shared, tasks, name=name, unit=unit, n_threads=threads())
    return _shown(_in_processes(function, shared, tasks), len(tasks), name, unit)


def each(
    function: Callable[..., R],
    shared: Sequence[Any],
    tasks: Sequence[T],
    *,
    name: str,
    unit: str,
    n_threads: int | None = None,
) -> Iterator[R]:
    """As `spread`, but on this machine one task after the other, with so many threads.

    None: with all cores, for what comes out the same with any number.
    """
    if address := os.environ.get("MIA_RAY_ADDRESS"):
        results = _on_ray(address, function, shared, tasks)
    else:
        results = (_run(function, shared, task, n_threads) for task in tasks)
    return _shown(results, len(tasks), name, unit)


def _shown(results: Iterator[R], count: int, name: str, unit: str) -> Iterator[R]:
    return iter(results if count == 1 else progress.bar(results, name, total=count, unit=unit))  # one shows its own


def processes() -> int:
    """Tasks at once on this machine.

    Raises InputError where MIA_PROCESSES is no number of processes.
    """
    return _count("MIA_PROCESSES", joblib.cpu_count())


def threads() -> int:
    """Threads a task.

    Raises InputError where MIA_THREADS is no number of threads.
    """
    return _count("MIA_THREADS", 1)


def _count(variable: str, default: int) -> int:
    value = os.environ.get(variable) or str(default)
    if not value.isdecimal() or int(value) < 1:
        raise InputError(f"{variable}: expected a whole number of at least 1, got {value!r}; unset it for {default}")
    return int(value)


def _in_processes(function: Callable[..., R], shared: Sequence[Any], tasks: Sequence[T]) -> Iterator[R]:
    count = min(processes(), len(tasks))
    with joblib.parallel_config("loky", n_jobs=count, inner_max_num_threads=threads()):
        pool = joblib.Parallel(return_as="generator", pre_dispatch="all", batch_size=1)
        try:
            yield from pool(joblib.delayed(_as_worker)(function, shared, task, threads()) for task in tasks)
        except TerminatedWorkerError:
            raise InputError(
                f"one of {count} processes was killed, most often for lack of memory; "
                f"set MIA_PROCESSES to fewer and `dvc repro` starts this stage again"
            ) from None


def _as_worker(function: Callable[..., R], shared: Sequence[Any], task: T, n_threads: int) -> R:
    """A task in a process that was started for it, which ends when the one that started it does."""
    if not any(thread.name == _WATCH for thread in threading.enumerate()):
        threading.Thread(target=_end_with, args=(os.getppid(),), name=_WATCH, daemon=True).start()
        progress.line = int(multiprocessing.current_process().name.rpartition("-")[2])
    return _run(function, shared, task, n_threads)


_WATCH = "ends with its parent"


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _run(function: Callable[..., R], shared: Sequence[Any], task: T, n_threads: int | None) -> R:
    settle()
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or before)
    try:
        return function(*shared, task)
    finally:
        torch.set_num_threads(before)


# -- a cluster -------------------------------------------------------------------------------------------------------


def _on_ray(address: str, function: Callable[..., R], shared: Sequence[Any], tasks: Sequence[T]) -> Iterator[R]:
    try:
        import ray
    except ImportError:
        raise InputError(
            "MIA_RAY_ADDRESS is set and Ray is not installed; `make cluster` installs it, or unset MIA_RAY_ADDRESS"
        ) from None
    gpus = _share("MIA_RAY_GPUS")
    package = str(Path(mia.__file__).parent)
    try:
        ray.init(address, runtime_env={"py_modules": [package]}, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"MIA_RAY_ADDRESS: no Ray cluster answers at {address!r} ({' '.join(str(error).split())[:200]}); "
            "`ray start --head` starts one, unsetting it works on this machine"
        ) from None
    try:
        given = [ray.put(one) for one in shared]
        remote = ray.remote(num_cpus=threads(), num_gpus=gpus, max_retries=RETRIES)(_as_ray_task)
        device = "cuda" if gpus else "cpu"
        waiting = [remote.remote(function, task, threads(), device, torch.__version__, *given) for task in tasks]
        for reference in waiting:
            try:
                yield ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError as error:
                raise InputError(
                    f"the Ray cluster at {address!r} lost a task {RETRIES + 1} times "
                    f"({type(error).__name__}); `dvc repro` starts this stage again"
                ) from None
    finally:
        ray.shutdown()


def _as_ray_task(function: Callable[..., R], task: T, n_threads: int, device: str, version: str, *shared: Any) -> R:
    if torch.__version__ != version:
        node = os.uname().nodename
        raise InputError(f"the Ray node {node} has torch {torch.__version__}, this one {version}; install the same")
    os.environ["MIA_DEVICE"] = device
    return _run(function, shared, task, n_threads)


def _share(variable: str) -> float:
    value = os.environ.get(variable) or "0"
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not (share == 0 or 0 < share <= 1):
        raise InputError(f"{variable}: expected 0, or a share of a GPU up to 1, got {value!r}")
    return share
