"""A processor without products in bfloat16, which oneDNN held to AVX2 is, is found out by the clock."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pipeline

PROGRAM = """
from datetime import datetime
from mia.models import outlook
from mia.params_audit import Recipe

recipe = Recipe(
    architecture="shokri_cnn", epochs=1, batch_size=32, optimizer="adam", learning_rate=0.001, schedule="constant",
    momentum=0.9, weight_decay=0.0, label_smoothing=0.0, augmentation=[], precision="bfloat16",
)
work = outlook.Work("target", "cifake", recipe, (32, 32, 3), 10, 1, 50, 50, 1, 1, 1)
print(*outlook.lines(work, datetime.now()), sep="\\n")
"""
HELD = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "PYTHONPATH": str(pipeline.SRC)}


def test_a_processor_without_bfloat16_is_found_out() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], env={**os.environ, **HELD}, capture_output=True, text=True)
    assert re.fullmatch(
        r"warning: cifake: target\.precision: bfloat16 trains [\d.]+ times slower than float32 here "
        r"\(measured: [\d,]+ and [\d,]+ images/s\); set it to float32\n",
        done.stdout,
    ), done
