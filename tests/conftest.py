"""Tests run side by side already: each stays in its process and on its thread, but where it says otherwise.

None sees the user's own cache: each process of pytest has one that goes when it ends.
"""

from __future__ import annotations

import os
import tempfile

_CACHE = tempfile.TemporaryDirectory(prefix="mia-tests-")
os.environ["MIA_CACHE"] = _CACHE.name
os.environ.setdefault("MIA_PROCESSES", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and scikit-learn are imported


def pytest_unconfigure() -> None:
    _CACHE.cleanup()
