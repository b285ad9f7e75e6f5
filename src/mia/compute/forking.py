"""How worker processes begin: forked from one process that has imported torch, so that no worker imports it again.

That process, Python's fork server, is started anew: it holds no thread but those of BLAS and of Arrow's allocator, and
both stand a fork. A fork of the stage itself would inherit locks of threads that it does not inherit. It ends when the
stage does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.context import BaseContext

# Libraries alone: the fork server would find another copy of this code than the stage's own (see src/stage.py).
PRELOADED = ["torch", "pandas", "pyarrow.parquet", "pydantic", "safetensors.torch", "tqdm"]


def context() -> BaseContext:
    """What starts workers. Where a system cannot fork, each begins anew."""
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    chosen = multiprocessing.get_context("forkserver" if forks else "spawn")
    chosen.set_forkserver_preload(PRELOADED)
    return chosen


def prepare() -> None:
    """Let the fork server import beside this process, which is about to import the same, where workers are likely."""
    elsewhere = os.environ.get("MIA_RAY_ADDRESS") or os.environ.get("MIA_DEVICE", "cpu") != "cpu"
    if elsewhere or os.environ.get("MIA_PROCESSES") == "1" or os.cpu_count() == 1:
        return
    if context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        # Ctrl-C is the stage's to answer: blocked, since it may come before the fork server ignores it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
