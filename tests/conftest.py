"""Tests run side by side already: each stays in its process and on its thread, but where it says otherwise.

None sees the user's own cache: each process of pytest has one that goes when it ends.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("busy", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("busy")
_CACHE = tempfile.TemporaryDirectory(prefix="mia-tests-")
os.environ["MIA_CACHE"] = _CACHE.name
os.environ.setdefault("MIA_PROCESSES", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and scikit-learn are imported


def pytest_unconfigure() -> None:
    _CACHE.cleanup()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole tiny experiment has run; tests that change it take a copy."""
    import tiny  # after the variables above are set

    return tiny.shared(tmp_path_factory.getbasetemp(), "tiny")


# -- the table of docs/reliability.md --------------------------------------------------------------------------------

_tried: Counter[str] = Counter()
_survived: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-out", type=Path, help="write how often each fault was tried and survived, as Markdown")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test marked `fault(name)` counts once in the row of that name, or as often as it records as `times`."""
    for item in items:
        if mark := item.get_closest_marker("fault"):
            item.user_properties.append(("fault", mark.args[0]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    properties = dict(report.user_properties)
    if "fault" in properties and (report.when == "call" or report.failed):
        times = int(str(properties.get("times", 1)))
        _tried[str(properties["fault"])] += times
        _survived[str(properties["fault"])] += times * report.passed


def pytest_sessionfinish(session: pytest.Session) -> None:
    out = session.config.getoption("--faults-out")
    if out is None or hasattr(session.config, "workerinput"):  # one of several processes; the first of them writes
        return
    rows = [f"| {fault} | {_tried[fault]} | {_survived[fault]} |" for fault in sorted(_tried)]
    out.write_text("\n".join(["| fault | tried | survived |", "| --- | ---: | ---: |", *rows]) + "\n")
