"""Where models run, and that the same work gives the same numbers there."""

from __future__ import annotations

import os

import torch

from mia.errors import InputError


def chosen() -> torch.device:
    """Where models run: $MIA_DEVICE, or the first GPU, or the CPU. Not a parameter: the experiment is the same.

    Raises InputError where $MIA_DEVICE names a device that does not exist.
    """
    name = os.environ.get("MIA_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"MIA_DEVICE: expected a torch device such as cpu or cuda:0, got {name!r}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"MIA_DEVICE: {name}: torch sees {torch.cuda.device_count()} GPUs; set it to cpu or unset it")
    return device


def deterministic() -> None:
    """Make torch refuse any operation whose result may differ between runs on the same machine."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms would import torch's compiler too
    # Filling every new tensor guards against reading memory nobody wrote, which our models do not do: 14 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
