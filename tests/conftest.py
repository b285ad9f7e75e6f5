"""Tests run side by side already: each stays in its process and on its thread, but where it says otherwise."""

from __future__ import annotations

import os

os.environ.setdefault("MIA_PROCESSES", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and scikit-learn are imported
