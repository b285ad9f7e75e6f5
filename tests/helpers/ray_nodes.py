"""A real Ray cluster on this machine: a head and nodes, each a raylet with workers of its own."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pipeline

T = TypeVar("T")


def awaited(found: Callable[[], T], seconds: float = 60) -> T:
    """What is found, as soon as it is something."""
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return result


# -- processes, as the kernel tells of them ---------------------------------------------------------------------------


def session(leader: int) -> set[int]:
    """Every process of a session that is not dead: they stay in it, whoever becomes their parent."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
            if state not in "ZX" and int(of) == leader:
                found.add(int(path.parent.name))
    return found


def read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def works(pid: int) -> bool:
    """Whether it is a Ray worker with a task in hand; Ray writes that into its title."""
    return read(pid, "cmdline").startswith(b"ray::_as_ray_task")


def computed(pid: int) -> float:
    """Seconds of a processor that it has had."""
    fields = read(pid, "stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def trains(node: Node) -> int:
    """A worker of the node that is amid a training: a task in hand, all libraries loaded, and busy since then."""

    def begun() -> int:
        return next(
            (pid for pid in session(node.process.pid) if works(pid) and b"_safetensors_rust" in read(pid, "maps")), 0
        )

    pid = awaited(begun)
    before = computed(pid)
    awaited(lambda: not works(pid) or computed(pid) > before + 0.2)
    return pid


# -- a cluster --------------------------------------------------------------------------------------------------------


class Node:
    """A head or another node: `ray start --block` and its processes, in a session of their own."""

    def __init__(self, cluster: Cluster, *arguments: str, cpus: int, **variables: str) -> None:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", f"--num-cpus={cpus}", *arguments]
        log = Path(tempfile.mkstemp(dir=cluster.folder, suffix=".log")[1])
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [*command, "--object-store-memory=100000000", "--disable-usage-stats"],
                env={**cluster.environment, **variables},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            awaited(lambda: "Ray runtime started" in log.read_text() or self.process.poll() is not None)
            assert self.process.poll() is None, log.read_text()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """All at once, as when the power fails."""
        while found := session(self.process.pid):
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        given = ("RAY_", "MIA_", "PYTHON", "GOMP_")
        own = {name: value for name, value in os.environ.items() if not name.startswith(given)}
        # Strangers on this machine cannot join. The nodes do not find src by themselves: it must come with the tasks.
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.environment = {**own, **token, "RAY_USAGE_STATS_ENABLED": "0"}
        self.nodes: list[Node] = []
        with socket.socket() as some:
            some.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{some.getsockname()[1]}"

    def start(self, *, cpus: int = 1, **variables: str) -> Node:
        head = [f"--port={self.address.rpartition(':')[2]}", f"--temp-dir={self.folder}", "--include-dashboard=false"]
        head += ['--system-config={"health_check_period_ms": 500}']  # else it takes 10 s to see that a node is dead
        arguments = [f"--address={self.address}"] if self.nodes else ["--head", *head]
        self.nodes.append(Node(self, *arguments, cpus=cpus, **variables))
        return self.nodes[-1]

    def popen(self, stage: str, **variables: str) -> subprocess.Popen[str]:
        """The stage as dvc.yaml starts it, in this folder, on this cluster."""
        return subprocess.Popen(
            [sys.executable, str(pipeline.SRC / "stage.py"), stage, "--block", "0"],
            env={**self.environment, "MIA_RAY_ADDRESS": self.address, "PYTHONPATH": str(pipeline.SRC), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, stage: str, **variables: str) -> tuple[int, str, str]:
        """Its exit status, and what it printed."""
        with self.popen(stage, **variables) as started:
            return finished(started)


def finished(started: subprocess.Popen[str], seconds: float = 90) -> tuple[int, str, str]:
    try:
        out, err = started.communicate(timeout=seconds)
    finally:
        started.kill()
    return started.returncode, out, err
