"""The user's own measured mitigations: checked when read, shown as a table, and none by default."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import pipeline
import reports
from mia import params
from mia.errors import InputError
from mia.report.audit import mitigations

OURS = pipeline.ROOT / "docs/results/reducing/reducing.json"
ROW: dict[str, Any] = {"change": "a", **dict.fromkeys(mitigations.RATES, 0.5)}
HEADING = "Trainings that were measured, and their cost"
FAULTS: dict[str, tuple[Any, list[str]]] = {
    "no object": ([], ["expected setting and rows, got []"]),
    "nothing in it": ({}, ["setting: expected a text, got None", "rows: expected a list of trainings, got None"]),
    "rows that are none": ({"setting": "", "rows": [3]}, ["rows: expected a list of trainings, got [3]"]),
    "a row without a name": (
        {"setting": "", "rows": [{**ROW, "change": 3}]},
        ["rows[0].change: expected a text, got 3"],
    ),
    "two faults at once": (
        {"setting": "", "rows": [ROW, {**ROW, "auc": 70, "tpr_low": True}]},
        [
            "rows[1].tpr_low: expected a number from 0 to 1, got True",
            "rows[1].auc: expected a number from 0 to 1, got 70",
        ],
    ),
    "two FPRs": ({"setting": "", "rows": [ROW, {**ROW, "fpr": 0.1}]}, ["rows: expected one fpr, got 0.1, 0.5"]),
}


@pytest.mark.parametrize("case", FAULTS)
def test_every_fault_is_named_with_its_place(case: str, tmp_path: Path) -> None:
    content, faults = FAULTS[case]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    expected = "\n".join(f"{path}: {fault}; {mitigations.EXAMPLE}" for fault in faults)
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        mitigations.read(path)


@pytest.mark.parametrize(
    ("content", "fault"), [(None, "No such file or directory"), ("{", "not JSON"), ('{"rows": NaN}', "not JSON")]
)
def test_a_file_that_is_missing_or_no_json_is_named(content: str | None, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=f"^{re.escape(f'{path}: {fault}')}"):
        mitigations.read(path)


def test_the_file_of_params_yaml_has_no_rows_and_the_report_then_no_table() -> None:
    default = params.load(pipeline.ROOT / "params.yaml").report.mitigations
    assert mitigations.read(pipeline.ROOT / default)["rows"] == []
    assert HEADING not in reports.page(reports.made(mitigations=0))
    assert HEADING in reports.page(reports.made(mitigations=1))


def test_our_own_results_are_such_a_file() -> None:
    table = mitigations.table(mitigations.read(OURS))
    assert table["fpr"] == "1"
    assert table["rows"][0] == {
        "change": "10 epochs, nothing else",
        "test": "54.9 %",
        "train": "97.7 %",
        "tpr": "33 % (30 to 37)",
        "auc": ".910 (.902–.917)",
    }
