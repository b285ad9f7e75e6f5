"""Tests run side by side already: their work stays in their process and on its thread, but where a test says otherwise."""

from __future__ import annotations

import os

os.environ.setdefault("MIA_PROCESSES", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and scikit-learn are imported
