"""Tests run side by side already: work stays in their process, but for the tests of processes."""

from __future__ import annotations

import os

os.environ.setdefault("MIA_PROCESSES", "1")
