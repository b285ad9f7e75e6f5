"""How a task is run, in whatever process: its settings and its number of threads."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from mia.errors import InputError

R = TypeVar("R")


def settle() -> None:
    """Settings of this process that change speed and no number. Before torch's first tensor."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        # glibc hands each large tensor's memory back, and the kernel clears it page by page when the next one comes: a
        # third of a training step (docs/log.md). M_MMAP_MAX: none outside the heap; M_TRIM_THRESHOLD: keep the heap.
        libc.mallopt(-4, 0)
        libc.mallopt(-1, 2**31 - 1)


def processes() -> int:
    """Tasks at once on this machine.

    Raises InputError where MIA_PROCESSES is no number of processes.
    """
    from joblib import cpu_count  # here: it takes .2 s to import, and few stages ask

    return _count("MIA_PROCESSES", cpu_count())


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


def run(function: Callable[..., R], shared: Sequence[Any], task: Any, n_threads: int | None) -> R:
    """`function(*shared, task)` with so many threads; None: with as many as this process has."""
    settle()
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or before)
    try:
        return function(*shared, task)
    finally:
        torch.set_num_threads(before)
