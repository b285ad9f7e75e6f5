"""A training on its way: what it needs to go on, kept outside the stage's outputs, so that a kill costs seconds.

A snapshot is named by a key of all that decides a training's bytes; another training never finds it. It holds tensors
only (safetensors), behind their own digest.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from mia.errors import InputError
from mia.models import checkpoints
from mia.store import atomic

SHARE = 0.01  # of a training's time at most, for writing them
KEPT = 30 * 24 * 3600.0  # seconds after which a snapshot that nobody came back for is removed


class Snapshots:
    """Of one training. folder: None: nothing is kept.

    Raises InputError where $MIA_SNAPSHOT_SECONDS is no number of seconds.
    """

    def __init__(self, folder: Path | None, key: str, name: str) -> None:
        self.path = folder and folder / f"{key}.safetensors"
        self.name = name
        self.seconds = _seconds()
        self.due = time.monotonic() + self.seconds

    def latest(self) -> dict[str, Tensor] | None:
        """What an earlier run of this very training left; None where it left nothing whole."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            content = self.path.read_bytes()
            if hashlib.sha256(content[32:]).digest() != content[:32]:
                raise ValueError("damaged")
            return safetensors.torch.load(content[32:])
        except (OSError, ValueError, SafetensorError) as error:
            self._say(f"cannot go on from {self.path} ({error}): trains from the start")
            return None

    def offer(self, state: Callable[[], Mapping[str, Tensor]]) -> None:
        """Keep this state if it is time to."""
        begin = time.monotonic()
        if self.path is None or begin < self.due:
            return
        try:
            content = safetensors.torch.save(checkpoints.apart(state()))
            with atomic.file(self.path) as temporary, temporary.open("wb") as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
        except OSError as error:  # the training itself may well end
            self._say(f"cannot be kept in {self.path.parent} ({error.strerror}): if it is cut short, it starts again")
            self.path = None
            return
        now = time.monotonic()
        self.due = now + max(self.seconds, (now - begin) / SHARE)

    def _say(self, what: str) -> None:
        print(f"{self.name}: {what}", file=sys.stderr)


def _seconds() -> float:
    """Between two snapshots at least: $MIA_SNAPSHOT_SECONDS, 20 where unset."""
    value = os.environ.get("MIA_SNAPSHOT_SECONDS") or "20"
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise InputError(f"MIA_SNAPSHOT_SECONDS: expected a number of seconds, got {value!r}; unset it for 20")
    return seconds


def clear(finished: Iterable[Path | None]) -> None:
    """Remove the snapshots of trainings whose models are stored now, and old ones."""
    for path in finished:
        if path is not None:
            path.unlink(missing_ok=True)
            for other in path.parent.glob("*"):
                with suppress(OSError):  # another run was faster
                    if time.time() - other.stat().st_mtime > KEPT:
                        other.unlink()
