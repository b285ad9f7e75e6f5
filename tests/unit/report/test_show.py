"""What is said beside the table when this machine's numbers are not those that git holds."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mia import paths
from mia.report import show

WHO = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
MEASURED: list[dict[str, Any]] = [
    {"attack": attack, "auc": 0.5735, "tpr_at_fpr_0_1": 0.2, "tpr_at_fpr_0_01": 0.00891}
    for attack in ("loss", "learned", "rmia_offline", "stacked")
]


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A repository whose last commit holds these numbers, and a copy of them to change."""
    monkeypatch.chdir(tmp_path)
    paths.ATTACK_METRICS.parent.mkdir()
    paths.ATTACK_METRICS.write_text(json.dumps(MEASURED))
    for name in ("params.yaml", "dvc.yaml", "requirements.txt", "src/code.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("seed: 1\n")
    for command in (["init", "-q"], ["add", "--all"], [*WHO, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    return copy.deepcopy(MEASURED)


def test_the_same_numbers_and_their_rounding_are_not_worth_a_word(measured: list[dict[str, Any]]) -> None:
    assert show.moved(measured) is None
    measured[0]["auc"] += 0.001
    measured[1]["tpr_at_fpr_0_01"] += 0.0001
    del measured[2]["tpr_at_fpr_0_1"]
    assert show.moved([*measured, {"attack": "new", "auc": 0.9}]) is None


def test_numbers_that_another_processor_moved_are_named_in_one_line(measured: list[dict[str, Any]]) -> None:
    measured[1] |= {"auc": 0.5809, "tpr_at_fpr_0_01": 0.02}
    assert show.moved(measured) == (
        "note: 1 of 4 attacks differs from the numbers in git by more than rounding, because another processor rounds "
        "differently: learned AUC .574 there, .581 here; learned TPR at 1 % FPR .0089 there, .0200 here"
    )
    for entry in measured:
        entry["auc"] = 0.6
    note = show.moved(measured)
    assert note is not None
    assert note.startswith("note: 4 of 4 attacks differ from the numbers in git")
    assert note.endswith("rmia offline AUC .574 there, .600 here; and 1 more number")


@pytest.mark.parametrize("name", ["params.yaml", "src/code.py"])
def test_what_other_parameters_or_code_changed_is_no_news(measured: list[dict[str, Any]], name: str) -> None:
    measured[0]["auc"] = 0.9
    assert show.moved(measured) is not None
    Path(name).write_text("seed: 2\n")
    assert show.moved(measured) is None


def test_thresholds_of_an_auditor_are_called_that() -> None:
    assert show.thresholds(MEASURED) == "thresholds chosen on shadows"
    assert show.thresholds([{**MEASURED[0], "thresholds": "cross-fitted"}]) == (
        "thresholds cross-fitted on the audited records, which an auditor can do and an attacker cannot"
    )


def test_without_git_or_a_commit_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert show.moved(MEASURED) is None
    monkeypatch.setenv("PATH", "")
    assert show.moved(MEASURED) is None
