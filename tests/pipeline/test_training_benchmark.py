"""benchmarks/training.py cut short keeps the sides that are done, and leaves out bfloat16 that is imitated."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pipeline
from mia.models.timed_steps import StepCost


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program; a side takes 3 s, and bfloat16 is as fast as float32."""
    monkeypatch.setattr(sys, "path", [str(pipeline.ROOT), *sys.path])
    monkeypatch.setenv("MIA_DEVICE", "cpu")
    program = importlib.import_module("benchmarks.training")
    monkeypatch.setattr(program, "product_speed", lambda: 100.0)
    pretend(monkeypatch, program, {})
    return program


def pretend(monkeypatch: pytest.MonkeyPatch, program: ModuleType, speeds: Mapping[str, float], last: str = "") -> None:
    """Images a second by precision; Ctrl-C while the side `last` runs."""

    def measured(name: str) -> Any:
        if name == last:
            raise KeyboardInterrupt
        return program.Measured(2.0, 2.0, 1.0, 0.9, 0.8)

    monkeypatch.setattr(program, "measured", measured)
    cost = lambda recipe, *_, **__: StepCost(speeds.get(recipe.precision, 1000.0), 1)  # noqa: E731
    monkeypatch.setattr(program.timed_steps, "measured", cost)


def run(program: ModuleType, monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: str) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", ["training.py", "--out", str(out), *arguments])
    program.main()
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def test_a_run_that_is_cut_short_keeps_what_is_done(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "training.json"
    pretend(monkeypatch, benchmark, {}, last="ours")
    assert list(run(benchmark, monkeypatch, out)["sides"]) == ["original", "plain"]
    assert "| plain | " in capsys.readouterr().out
    pretend(monkeypatch, benchmark, {})
    content = run(benchmark, monkeypatch, out, "--sides", "ours", "ours_bfloat16")
    assert list(content["sides"]) == ["original", "plain", "ours", "ours_bfloat16"]
    assert content["sides"]["ours"]["times_faster"] == 1


def test_bfloat16_that_is_imitated_is_not_run(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, benchmark, {"bfloat16": 100, "float32": 1090.4}, last="ours_bfloat16")
    content = run(benchmark, monkeypatch, tmp_path / "training.json", "--sides", "ours_bfloat16", "ours")
    why = "bfloat16 trains 10.9 times slower than float32 here (100 and 1,090 images/s)"
    assert content["not_run"] == {"ours_bfloat16": why}
    assert list(content["sides"]) == ["ours"]
    assert f"ours_bfloat16 not run: {why}\n" in capsys.readouterr().out


def test_sides_of_other_settings_are_not_mixed(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "training.json"
    run(benchmark, monkeypatch, out)
    with pytest.raises(SystemExit, match="measured with other settings or on another machine; name another file"):
        run(benchmark, monkeypatch, out, "--sides", "ours", "--epochs", "2")
