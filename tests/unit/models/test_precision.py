"""Slow bfloat16 is said before the first epoch, with the speeds that were measured."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
import tiny
from mia.models import precision
from mia.params import Recipe

RECIPE = Recipe(
    architecture="shokri_cnn",
    epochs=1,
    batch_size=32,
    optimizer="adam",
    learning_rate=0.001,
    schedule="constant",
    momentum=0.9,
    weight_decay=0.0,
    label_smoothing=0.0,
    augmentation=[],
    precision="bfloat16",
)
SPEEDS = {"bfloat16": 100.0, "float32": 1090.4}
SAID = (
    "warning: audits/digits/params.yaml: target.precision: bfloat16 trains 10.9 times slower than float32 here "
    "(measured: 100 and 1,090 images/s); set it to float32"
)


def said(monkeypatch: pytest.MonkeyPatch, recipe: Recipe, **speeds: float) -> str | None:
    monkeypatch.setattr(precision, "images_a_second", lambda *arguments: {**SPEEDS, **speeds}[arguments[-1]])
    return precision.warning(recipe, (8, 8, 1), 10, "audits/digits/params.yaml: target.precision")


def test_where_it_is_slower_a_line_says_by_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, RECIPE) == SAID
    assert said(monkeypatch, RECIPE, bfloat16=880.0) is None
    assert said(monkeypatch, RECIPE.model_copy(update={"precision": "float32"})) is None


@pytest.mark.parametrize("architecture", ["shokri_cnn", "shokri_mlp"])
def test_speeds_are_measured(architecture: str) -> None:
    recipe = RECIPE.model_copy(update={"architecture": architecture})
    assert all(precision.images_a_second(recipe, (8, 8, 1), 10, name) > 0 for name in SPEEDS)


def test_a_processor_without_it_is_found_out(tmp_path: Path) -> None:
    """oneDNN held to AVX2, where it has no such products: as on a processor without AVX-512."""
    program = (
        "from mia.models import precision; from mia.params import Recipe; "
        f"print(precision.warning({RECIPE!r}, (32, 32, 3), 10, 'audits/digits/params.yaml: target.precision'))"
    )
    held = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "PYTHONPATH": str(pipeline.SRC)}
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, **held}, capture_output=True, text=True)
    assert re.fullmatch(
        re.escape(SAID).replace(r"10\.9", r"[\d.]+").replace("1,090", r"[\d,]+").replace("100", r"[\d,]+") + "\n",
        done.stdout,
    ), done


def test_both_stages_say_it_before_they_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIA_RAY_ADDRESS", raising=False)
    monkeypatch.setattr(precision, "images_a_second", lambda *arguments: SPEEDS[arguments[-1]])
    half = {"target.precision": "bfloat16", "target.epochs": 1, "shadow.blocks": [0]}
    tiny.run("prepare", "split", changes=half)
    for stage in ("train_target", "train_shadows"):
        capsys.readouterr()
        tiny.run(stage, changes=half)
        assert capsys.readouterr().err.startswith(SAID.replace("cifake", "digits"))
