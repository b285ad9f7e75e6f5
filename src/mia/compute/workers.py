"""Where work runs: in this process, in several on this machine, or on a Ray cluster.

No arithmetic stands here. What a task computes depends neither on the number of processes nor on which machine of a
kind: it has its own number of threads (MIA_THREADS, 1), and results come back in the order of tasks.

Environment: MIA_PROCESSES: tasks at once on this machine; all cores where unset. MIA_THREADS: threads a task; other
threads add up numbers in another order and so change last bits. MIA_RAY_ADDRESS: the cluster that does the work instead
(`auto`, or host:port). MIA_RAY_GPUS: GPUs a task takes there, such as 0.25; 0 where unset: tasks run on CPUs.
"""

from __future__ import annotations

import ctypes
import logging
import math
import multiprocessing
import os
import re
import signal
import socket
import sys
import textwrap
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import joblib
import numpy as np
import torch
from numpy.typing import NDArray

import mia
from mia import paths, progress
from mia.compute import devices
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


def snapshot_folder() -> Path | None:
    """Where trainings keep their snapshots (mia.models.snapshots); None: nowhere.

    On a cluster a node's own folders are of no use: there only in $MIA_CACHE, which all nodes have to see.
    """
    if os.environ.get("MIA_RAY_ADDRESS") and not os.environ.get("MIA_CACHE"):
        return None
    return paths.shared("training")


def spread(
    function: Callable[..., R], shared: Sequence[Any], tasks: Sequence[T], *, name: str, unit: str
) -> Iterator[R]:
    """`function(*shared, task)` of every task, in their order, several tasks at once.

    function: of a module, since other processes import it. shared: handed over once; arrays are only read.
    Raises what a task raised, and InputError where a worker died or the cluster is not there.
    """
    if os.environ.get("MIA_RAY_ADDRESS") or devices.chosen().type != "cpu" or min(processes(), len(tasks)) == 1:
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
    context = multiprocessing.get_context("spawn")  # a fork would inherit locks of threads that it does not inherit
    before = set(multiprocessing.active_children())
    given = (function, [_handed_over(context, one) for one in shared], threads())
    pool = ProcessPoolExecutor(count, context, _begin, given)
    try:
        yield from pool.map(_as_worker, tasks)
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


class _Array(NamedTuple):
    """An array in memory that several processes see; no file is left of it, however they end."""

    memory: Any
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def view(self) -> NDArray[Any]:
        return np.frombuffer(self.memory, self.dtype, count=math.prod(self.shape)).reshape(self.shape)


def _handed_over(context: SpawnContext, value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    array = _Array(context.RawArray(ctypes.c_ubyte, max(1, value.nbytes)), value.dtype, value.shape)
    array.view()[...] = value
    return array


_given: tuple[Callable[..., Any], list[Any], int]  # what every task of this process takes; in workers only


def _begin(function: Callable[..., Any], shared: Sequence[Any], n_threads: int) -> None:
    """A process that was started for tasks: it ends when the one that started it does."""
    global _given
    _given = function, [one.view() if isinstance(one, _Array) else one for one in shared], n_threads
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    progress.line = int(multiprocessing.current_process().name.rpartition("-")[2])


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _as_worker(task: Any) -> Any:
    function, shared, n_threads = _given
    return _run(function, shared, task, n_threads)


def _run(function: Callable[..., R], shared: Sequence[Any], task: T, n_threads: int | None) -> R:
    settle()
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or before)
    try:
        return function(*shared, task)
    finally:
        torch.set_num_threads(before)


# -- a cluster -------------------------------------------------------------------------------------------------------
# What its nodes send each other is pickled: it comes from our own code on them, never from data, models or a remote.

# Ray reads them as it is imported. Of itself it tries for 13 minutes where nothing answers, and prints what nodes say.
_SETTINGS = {
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "RAY_py_gcs_connect_timeout_s": "5",
    "RAY_gcs_server_request_timeout_seconds": "20",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
}
_START = "`ray start --head` starts one, `ray start --address=HOST:PORT` adds this machine to it"
# Seconds. Ray itself ends this process, and says nothing, 10 after its node is gone and 60 after the head is.
_LOOK, _HEAD_MAY_BE_GONE, _NODES_MAY_BE_GONE = 5.0, 40.0, 300.0


def _on_ray(address: str, function: Callable[..., R], shared: Sequence[Any], tasks: Sequence[T]) -> Iterator[R]:
    needed = {"CPU": float(threads()), "GPU": _share("MIA_RAY_GPUS")}
    ray = _join(address, "cuda" if needed["GPU"] else "cpu")
    try:
        cluster = _Cluster(ray, address, needed, *_doors(ray))
        cluster.expect_node()
        given = [ray.put(one) for one in shared]  # to a node once, not once a task
        remote = ray.remote(num_cpus=needed["CPU"], num_gpus=needed["GPU"], max_retries=RETRIES)(_as_ray_task)
        waiting = deque(remote.remote(function, task, threads(), torch.__version__, *given) for task in tasks)
        while waiting:
            yield cluster.first_of(waiting)
            waiting.popleft()
    finally:
        ray.shutdown()  # which also ends what still runs there


def _join(address: str, device: str) -> Any:
    """Ray, connected to the cluster; it starts none. Workers get the code of `mia`, and these variables."""
    found = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address  # Ray's own rule
    if found != "auto":
        host, _, port = found.rpartition(":")
        if not host or "/" in host or not port.isdecimal():  # `local`, or none, would start a cluster of its own
            raise InputError(f"MIA_RAY_ADDRESS: expected auto or host:port, got {found!r}; {_START}")
        if fault := _fault((host, port)):
            raise InputError(f"MIA_RAY_ADDRESS: no Ray cluster answers at {found!r} ({fault}); {_START}")
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise InputError(
            "MIA_RAY_ADDRESS is set and Ray is not installed; `make cluster` installs it, or unset MIA_RAY_ADDRESS"
        ) from None
    variables = {"MIA_DEVICE": device} | {k: os.environ[k] for k in ("GOMP_SPINCOUNT",) if k in os.environ}
    given = {"py_modules": [str(Path(mia.__file__).parent)], "env_vars": variables}
    try:
        ray.init(found, runtime_env=given, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        said = str(error.__cause__ or error).strip()
        reason = textwrap.shorten(said.splitlines()[-1] if "Traceback" in said else said, 300)
        raise InputError(f"MIA_RAY_ADDRESS: cannot join a Ray cluster at {found!r} ({reason}); {_START}") from None
    return ray


_Door = tuple[str, str]  # host, port


def _doors(ray: Any) -> tuple[_Door, _Door]:
    """Where this machine's node listens, and where the head does."""
    context = ray.get_runtime_context()
    (own,) = (node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    host, _, port = context.gcs_address.rpartition(":")
    return (own["NodeManagerAddress"], str(own["NodeManagerPort"])), (host, port)


def _fault(door: _Door) -> OSError | OverflowError | None:
    """Why nothing can be reached there."""
    try:
        socket.create_connection((door[0].strip("[]"), int(door[1])), timeout=10).close()
    except (OSError, OverflowError) as error:
        return error
    return None


class _Cluster(NamedTuple):
    ray: Any
    address: str
    needed: dict[str, float]  # by a task
    own: _Door
    head: _Door

    def first_of(self, waiting: Sequence[Any]) -> Any:
        """What the first of these tasks returned.

        Raises what it raised, and InputError where the cluster lost it or can never run it.
        """
        errors, begin = self.ray.exceptions, time.monotonic()
        while not self.ray.wait([waiting[0]], timeout=0)[0]:
            self.expect_answer()
            if time.monotonic() - begin > _NODES_MAY_BE_GONE:
                self.expect_node()
            # Of them all, for this brings what is done to this machine: else it would go with the node that did it.
            self.ray.wait(list(waiting), num_returns=len(waiting), timeout=_LOOK)
        try:
            return self.ray.get(waiting[0])
        except errors.RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise error.cause from None
            if isinstance(error.cause, errors.RaySystemError) or "failed to import on the worker" in str(error.cause):
                place = re.search(r"ip=([^),]+)", str(error))
                raise InputError(
                    f"the Ray node {place[1] if place else '(unknown)'} cannot import the code "
                    f"({str(error).strip().splitlines()[-1]}); install requirements.txt where its `ray` runs"
                ) from None
            raise
        except errors.RayError as error:
            raise InputError(
                f"the Ray cluster at {self.address!r} gave a task up, at most {RETRIES + 1} times tried "
                f"({textwrap.shorten(str(error), 200)}); `dvc repro` starts this stage again"
            ) from None

    def expect_answer(self) -> None:
        """Raise InputError where this machine's node or, for longer than a restart takes, the head is gone."""
        if fault := _fault(self.own):
            raise InputError(f"this machine left the Ray cluster at {self.address!r} ({fault}); {_START}")
        begin = time.monotonic()
        while fault := _fault(self.head):
            if time.monotonic() - begin > _HEAD_MAY_BE_GONE:
                raise InputError(f"the head of the Ray cluster at {self.address!r} is gone ({fault}); {_START}")
            time.sleep(1)

    def expect_node(self) -> None:
        """Raise InputError where no node can run a task, for which Ray would wait."""
        resources = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(all(has.get(kind, 0) >= count for kind, count in self.needed.items()) for has in resources):
            raise InputError(
                f"the Ray cluster at {self.address!r} has no node of MIA_THREADS={self.needed['CPU']:g} CPUs and "
                f"MIA_RAY_GPUS={self.needed['GPU']:g} GPUs; lower them, or `ray start --address=HOST:PORT` on such a "
                "machine"
            )


def _as_ray_task(function: Callable[..., R], task: T, n_threads: int, version: str, *shared: Any) -> R:
    if torch.__version__ != version:
        node = os.uname().nodename
        raise InputError(f"the Ray node {node} has torch {torch.__version__}, this one {version}; install the same")
    return _run(function, shared, task, n_threads)


def _share(variable: str) -> float:
    value = os.environ.get(variable) or "0"
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not (share == 0 or 0.0001 <= share <= 1):  # Ray knows no smaller share
        raise InputError(f"{variable}: expected 0, or a share of a GPU up to 1, got {value!r}; unset it for 0")
    return share
