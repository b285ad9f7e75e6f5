"""A Ray cluster that runs tasks: it is joined, never started, and watched, since Ray itself waits for what is gone.

What its nodes send each other is pickled: it comes from our own code on them, never from data, models or a remote.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import tempfile
import textwrap
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

import mia
from mia.compute import tasks
from mia.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
RETRIES = 5  # of a task whose worker or node was lost

# Ray reads them as it is imported. Of itself it tries for 13 minutes where nothing answers, prints what nodes say, and
# leaves out of the files that it hands over what a .gitignore among them names.
_SETTINGS = {
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "RAY_py_gcs_connect_timeout_s": "5",
    "RAY_gcs_server_request_timeout_seconds": "20",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
    "RAY_RUNTIME_ENV_IGNORE_GITIGNORE": "1",
}
_START = "`ray start --head` starts one, `ray start --address=HOST:PORT` adds this machine to it"
# Seconds. Ray itself ends this process, and says nothing, 10 after its node is gone and 60 after the head is.
_LOOK, _HEAD_MAY_BE_GONE, _NODES_MAY_BE_GONE = 5.0, 40.0, 300.0


def run(
    address: str, function: Callable[..., R], shared: Sequence[Any], work: Sequence[T], folder: Path | None = None
) -> Iterator[R]:
    """`function(*shared, task)` of every task, in their order.

    folder: files that tasks read, below the current folder: each node gets a copy, and tasks find it at the same place.
    Raises what a task raised, and InputError where the cluster is not there or lost a task.
    """
    needed = {"CPU": float(tasks.threads()), "GPU": _share("MIA_RAY_GPUS")}
    ray = _join(address, "cuda" if needed["GPU"] else "cpu", folder)
    try:
        cluster = _Cluster(ray, address, needed, *_doors(ray))
        cluster.expect_node()
        references = [ray.put(value) for value in shared]  # to a node once, not once a task
        remote = ray.remote(num_cpus=needed["CPU"], num_gpus=needed["GPU"], max_retries=RETRIES)(_as_ray_task)
        waiting = deque(remote.remote(function, task, tasks.threads(), torch.__version__, *references) for task in work)
        while waiting:
            yield cluster.first_of(waiting)
            waiting.popleft()
    finally:
        ray.shutdown()  # which also ends what still runs there


def _join(address: str, device: str, folder: Path | None) -> Any:
    """Ray, connected to the cluster; it starts none. Workers get the code of `mia`, the folder, and these variables."""
    place = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address  # Ray's own rule
    if place != "auto":
        host, _, port = place.rpartition(":")
        if not host or "/" in host or not port.isdecimal():  # `local`, or none, would start a cluster of its own
            raise InputError(f"MIA_RAY_ADDRESS: expected auto or host:port, got {place!r}; {_START}")
        if fault := _fault((host, port)):
            raise InputError(f"MIA_RAY_ADDRESS: no Ray cluster answers at {place!r} ({fault}); {_START}")
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise InputError(
            "MIA_RAY_ADDRESS is set and Ray is not installed; `make cluster` installs it, or unset MIA_RAY_ADDRESS"
        ) from None
    variables = {"MIA_DEVICE": device} | {k: os.environ[k] for k in ("GOMP_SPINCOUNT",) if k in os.environ}
    environment = {"py_modules": [str(Path(mia.__file__).parent)], "env_vars": variables}
    try:
        with tempfile.TemporaryDirectory(prefix="mia-ray-") as copy:  # which Ray hands over as it joins
            if folder is not None:
                _copied(folder, Path(copy, folder))
                environment["working_dir"] = copy
            ray.init(place, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        message = str(error.__cause__ or error).strip()
        reason = textwrap.shorten(message.splitlines()[-1] if "Traceback" in message else message, 300)
        raise InputError(f"MIA_RAY_ADDRESS: cannot join a Ray cluster at {place!r} ({reason}); {_START}") from None
    return ray


def _copied(folder: Path, copy: Path) -> None:
    """Of links, what they lead to: a node has no more than it is given."""
    assert not folder.is_absolute()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(folder, copy, ignore=ignored, ignore_dangling_symlinks=True)


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
    return tasks.run(function, shared, task, n_threads)


def _share(variable: str) -> float:
    value = os.environ.get(variable) or "0"
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not (share == 0 or 0.0001 <= share <= 1):  # Ray knows no smaller share
        raise InputError(f"{variable}: expected 0, or a share of a GPU up to 1, got {value!r}; unset it for 0")
    return share
