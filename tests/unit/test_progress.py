"""Progress: bars on a terminal; a log gets whole lines, with what is left, and nothing where nothing is long."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
import time

import pytest

import pipeline
from mia import progress

LINE = re.compile(r"target: (\d+) of 40 batch after 00:0\d(, about 00:0\d left)?\n")


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.2)
    for _ in progress.bar(range(40), "target", unit="batch"):
        time.sleep(0.025)
    said = capsys.readouterr().err
    assert LINE.sub("", said) == ""
    counts = [int(count) for count, _ in LINE.findall(said)]
    assert 1 <= len(counts) <= 5
    assert counts == sorted(set(counts))
    assert all(left for _, left in LINE.findall(said))


def test_what_is_short_says_nothing_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.bar(range(1000), "target", unit="batch")) == list(range(1000))
    with progress.bar(range(10), "target", unit="batch") as shown:
        shown.update(3)
        shown.set_postfix_str("loss 1")
    assert capsys.readouterr().err == ""


def test_what_an_earlier_run_did_counts_as_done_and_not_as_pace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.2)
    with progress.bar(range(1000), "target", unit="batch", done=990) as shown:
        time.sleep(0.25)
        shown.update(1)
    assert capsys.readouterr().err == "target: 991 of 1,000 batch after 00:00, about 00:02 left\n"


def test_a_terminal_has_a_bar_with_the_time_left() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 100))
    os.set_blocking(ours, False)
    code = "import time; from mia import progress\n"
    code += "for _ in progress.bar(range(20), 'target', unit='batch'): time.sleep(.05)"
    run = subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(pipeline.SRC)},
    )
    assert run.wait(30) == 0
    said = os.read(ours, 65536).decode()
    os.close(theirs)
    os.close(ours)
    assert re.search(r"target: +\d+%\|.*\| \d+/20 \[00:0\d<00:0\d, +[\d.]+batch/s\]", said)
