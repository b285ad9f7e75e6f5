"""A GPU that nobody uses is said, and memory is what a container leaves of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mia.compute import machine


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that NVIDIA's driver makes, which is here, and no GPU that torch sees."""
    path = tmp_path / "nvidia0"
    path.touch()
    monkeypatch.setattr(machine, "NVIDIA", path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch, "__version__", "2.15.0")
    monkeypatch.delenv("MIA_DEVICE", raising=False)
    return path


def test_a_gpu_that_a_variable_keeps_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_DEVICE", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    assert machine.unused_gpu() == ("warning: MIA_DEVICE=cpu: NVIDIA H200 is not used; unset MIA_DEVICE to train on it")


def test_a_torch_without_cuda_beside_a_gpu(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    assert machine.unused_gpu() == (
        f"warning: {driver}: a GPU is not used, since torch 2.15.0 is built without CUDA; install a build with it"
    )


def test_a_torch_that_cannot_open_the_gpu(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    assert machine.unused_gpu() == (
        f"warning: {driver}: a GPU is not used, since torch 2.15.0 cannot open it; `nvidia-smi` says whether its "
        "driver is too old for CUDA 13.2"
    )


def test_nothing_is_said_where_there_is_none_or_it_is_used(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.unlink()
    assert machine.unused_gpu() is None
    driver.touch()
    monkeypatch.setattr(machine.devices, "chosen", lambda: torch.device("cuda"))  # type: ignore[attr-defined]
    assert machine.unused_gpu() is None


def test_memory_is_what_the_container_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: SimpleNamespace(available=64_000))  # type: ignore[attr-defined]
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert machine.free_memory() == 64_000
    (tmp_path / "memory.current").write_text("7000\n")
    (tmp_path / "memory.stat").write_text("anon 5000\ninactive_file 1500\n")
    for limit, free in (("max", 64_000), ("8000", 2_500), ("80000", 64_000), ("5000", 0)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert machine.free_memory() == free
