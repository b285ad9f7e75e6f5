"""What this machine has: free memory, and a GPU that nobody uses."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import torch

from mia.compute import devices

NVIDIA = Path("/dev/nvidia0")  # the driver makes it where there is a GPU
CGROUP = Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes of memory that new processes can take: the system's, or what a container's limit leaves of it."""
    free: int = psutil.virtual_memory().available
    try:
        limit, used = ((CGROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        cache = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())["inactive_file"]
    except (OSError, KeyError):
        return free
    return free if limit == "max" else max(0, min(free, int(limit) - int(used) + int(cache)))


def unused_gpu() -> str | None:
    """The warning where a GPU is here and models run on the CPU; None where they do not, or there is none."""
    if devices.chosen().type != "cpu":
        return None
    if torch.cuda.is_available():
        return (
            f"warning: MIA_DEVICE={os.environ['MIA_DEVICE']}: {torch.cuda.get_device_name()} is not used; "
            "unset MIA_DEVICE to train on it"
        )
    if not NVIDIA.exists():
        return None
    if torch.version.cuda is None:
        return (
            f"warning: {NVIDIA}: a GPU is not used, since torch {torch.__version__} is built without CUDA; install a "
            "build with it"
        )
    return (
        f"warning: {NVIDIA}: a GPU is not used, since torch {torch.__version__} cannot open it; `nvidia-smi` says "
        "whether its driver is too old for CUDA " + torch.version.cuda
    )
