"""The stage that writes the report, on the files of an audit of answers: no image, no training, no shadows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image

import planted
from mia import params, paths
from mia.data import stored_records
from mia.params import Params
from mia.params_audit import Section
from stages import report

pytestmark = pytest.mark.long

HEADS_ALONE = (paths.LEARNING_CURVES, paths.LEADERBOARD)


class Answers(Section):
    """The section `data` of an audit of answers."""

    source: Literal["answers"]


@pytest.fixture
def answers(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The parameters of such an audit, made of the tiny one's files, in whose folder the test runs."""
    for folder in ("data", "metrics", "plots", "audits"):
        if (finished / folder).exists():
            shutil.copytree(finished / folder, tmp_path / folder)
    shutil.copy(finished / paths.PARAMS, tmp_path)
    monkeypatch.chdir(tmp_path)
    values = params.load(paths.PARAMS)
    Path(values.report.mitigations).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(finished / values.report.mitigations, values.report.mitigations)
    (paths.POPULATION / "images.npy").unlink()
    for path in HEADS_ALONE:
        path.write_text(path.read_text().partition("\n")[0] + "\n")
    changed(paths.VERDICT, kind="record")
    paths.SHADOW_METRICS.write_text('{"models": 0}')
    paths.SELECTION.write_text('{"best": null, "reason": "no shadow models"}')
    entries = json.loads(paths.ATTACK_METRICS.read_text())
    paths.ATTACK_METRICS.write_text(json.dumps([{**entry, "thresholds": "cross-fitted"} for entry in entries]))
    own = values.audit.model_copy(update={"data": Answers(source="answers"), "target": None, "shadow": None})
    return values.model_copy(update={"audit": own})


def changed(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_stage_writes_a_page_of_records_and_every_figure(
    answers: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not stored_records.has_images(paths.POPULATION)
    for path in report.FIGURES:
        path.unlink()
    report.main(answers)
    printed = capsys.readouterr().out
    assert "image" not in printed
    text = planted.text_of(paths.AUDIT_PAGE.read_text(encoding="utf-8"))
    assert "Target model trained elsewhere; its answers were given: " in text
    assert "image" not in text.rpartition("Glossary")[0]
    assert "holds the target’s answers, and no shadow model" in text
    sizes = {}
    for path in report.FIGURES:
        with Image.open(path) as picture:
            picture.verify()
            sizes[path] = picture.size
    assert sizes[paths.LEARNING_FIGURE] == sizes[paths.LEADERBOARD_FIGURE] == (1600, 100)
