"""The attack of docs/attacks.md, as a user writes it: it stands beside ours everywhere, and trains nothing."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import answer_tables
import mia
import pipeline
import planted
import tiny
from mia import commands, paths
from mia.attacks import schemas
from mia.errors import InputError
from mia.store import parquet
from repository import create, ran

pytestmark = pytest.mark.long

PAGE = (pipeline.ROOT / "docs/attacks.md").read_text(encoding="utf-8")
((FILE, CODE),) = re.findall(r"<!-- runs as an attack: (\w+\.py) -->\n```python\n(.*?)```", PAGE, re.DOTALL)
NAME = Path(FILE).stem
AS_OURS = "from mia.attacks.reference import calibrated as score\n"
AFTER = ("score", "evaluate", "report")


@pytest.fixture
def copy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of own attacks in a copy of the finished tiny experiment, which is also the current folder."""
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return Path("audits/digits/attacks")


def attacks() -> dict[str, Any]:
    return {entry["attack"]: entry for entry in json.loads(paths.ATTACK_METRICS.read_text())}


def test_the_attack_of_the_documents_is_ten_lines() -> None:
    assert len(CODE.strip().splitlines()) <= 12
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 10


def test_it_stands_in_every_table_and_figure(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, seen = attacks(), tiny.digests("evaluate")
    (copy / FILE).write_text(CODE)
    tiny.run(*AFTER)
    assert set(attacks()) == {*before, NAME}
    for (
        ours,
        entry,
    ) in before.items():  # with the same numbers, but those that are adjusted to how many attacks there are
        assert attacks()[ours]["auc"] == entry["auc"]
        assert attacks()[ours]["auc_low"] == entry["auc_low"]
    for table in (paths.ROC_CURVES, paths.SCORE_HISTOGRAM, paths.CONFUSION, paths.CLASSES):
        assert NAME in set(pd.read_csv(table)["attack"]), table
    pairs = pd.read_csv(paths.COMPARISONS)
    assert (pairs[["attack_a", "attack_b"]] == NAME).any(axis=1).sum() == len(before)
    assert f"{NAME}_score" in schemas.exposure(list(attacks())).names
    assert f"{NAME}_rank" in parquet.read(paths.EXPOSURE, schemas.exposure(list(attacks())))
    assert NAME in json.dumps(json.loads(paths.SUMMARY.read_text()))
    assert "per record" in planted.text_of(paths.AUDIT_PAGE.read_text(encoding="utf-8"))
    capsys.readouterr()
    assert commands.main(["show"]) == 0
    assert "\nper record " in capsys.readouterr().out
    (copy / FILE).unlink()
    tiny.run(*AFTER)
    assert tiny.digests("evaluate") == seen, "without own attacks nothing is another byte"


def test_its_threshold_is_chosen_on_shadows_as_ours_is(copy: Path) -> None:
    """The same function under another name has our attack's numbers, thresholds and all."""
    (copy / "as_ours.py").write_text(AS_OURS)
    tiny.run(*AFTER[:2])
    own, ours = attacks()["as_ours"], attacks()["calibrated"]
    same = {key for key in ours if not key.endswith(("_low", "_high"))} - {"attack"}
    assert {"auc", "balanced_accuracy", "f1", "epsilon_lower", "tpr_at_fpr_0_1"} <= same
    assert {key: own[key] for key in same} == {key: ours[key] for key in same}
    rows = parquet.read(paths.SCORES, schemas.SCORES)
    own_rows, our_rows = (
        rows[rows["attack"] == name].drop(columns="attack").reset_index(drop=True) for name in ("as_ours", "calibrated")
    )
    pd.testing.assert_frame_equal(own_rows, our_rows)


def test_a_strong_attack_carries_the_verdict(copy: Path) -> None:
    """Who is a member is read from a file here, which an honest attack does not: so there is a perfect one."""
    (copy / "strong.py").write_text(
        "import numpy as np\nORDER = np.load('strong.npy')\n"
        "def score(evidence):\n    return ORDER if len(evidence.labels) == len(ORDER) else evidence.target[:, 0]\n"
    )
    membership = pd.read_parquet(paths.TARGET_MEMBERSHIP)
    np.save("strong.npy", membership["is_member"].to_numpy(float))
    tiny.run(*AFTER)
    verdict = json.loads(paths.VERDICT.read_text())
    assert verdict["auc_attack"] == "strong"
    assert verdict["auc"] == 1.0


def test_evidence_does_not_hold_who_is_a_member_of_the_target(copy: Path) -> None:
    """Whatever an attack reaches from its argument, nothing in it is the target's membership."""
    (copy / "curious.py").write_text(
        "import numpy as np\nSEEN = []\n"
        "def score(evidence):\n    SEEN.append(evidence)\n    return evidence.target[:, 0]\n"
    )
    tiny.run("score")
    evidence = sys.modules["own_attack_curious"].SEEN[0]
    is_member = pd.read_parquet(paths.TARGET_MEMBERSHIP)["is_member"].to_numpy()
    assert len(evidence) == len(is_member)
    for value in vars(evidence).values():
        for row in np.atleast_2d(np.asarray(value)):
            if row.shape == is_member.shape:
                assert (row.astype(bool) != is_member).any()
                assert (row.astype(bool) != ~is_member).any()


def test_an_attack_that_cannot_run_says_why_and_the_others_stay(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "other.py").write_text(
        "from mia.errors import NotApplicable\ndef score(evidence):\n    raise NotApplicable('needs 99 shadows')\n"
    )
    before = attacks()
    tiny.run(*AFTER)
    assert json.loads(paths.NOT_APPLICABLE.read_text())["other"] == "needs 99 shadows"
    assert "score: not applicable, needs 99 shadows: other" in capsys.readouterr().err
    assert list(attacks()) == list(before)


def test_a_fault_stops_the_stage_and_leaves_what_was_there(copy: Path) -> None:
    before = tiny.digests("score")
    (copy / "wrong.py").write_text("def score(evidence):\n    return evidence.target\n")
    with pytest.raises(InputError, match=r"audits/digits/attacks/wrong\.py: score: expected one score a record"):
        tiny.run("score")
    assert tiny.digests("score") == before


@pytest.mark.parametrize("shadows", [0, 6])
def test_answers_are_audited_with_own_attacks(shadows: int, tmp_path: Path) -> None:
    """In a notebook, with shadows and without: where none are, the documents' attack says that it needs them."""
    (folder := tmp_path / "mine").mkdir()
    (folder / FILE).write_text(CODE)
    (folder / "sure.py").write_text("def score(evidence):\n    return evidence.target[:, 0]\n")
    target, many = answer_tables.world(leak=2.5, shadows=shadows)
    found = mia.audit_answers(target, many if shadows else None, out=tmp_path / "out", attacks=folder)
    assert found["attacks"]["sure"]["auc"] == found["attacks"]["loss"]["auc"]
    if shadows:
        assert found["attacks"][NAME]["auc"] > found["attacks"]["loss"]["auc"] + 0.05
    else:
        refused = json.loads((tmp_path / "out/audit" / paths.NOT_APPLICABLE).read_text())
        assert refused[NAME] == "needs shadows"
    assert "sure" in planted.text_of(Path(found["page"]).read_text(encoding="utf-8"))


def test_a_folder_of_attacks_is_named_in_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = answer_tables.write(tmp_path / "target.csv", answer_tables.world(leak=2.5)[0])
    (tmp_path / "mine").mkdir()
    command = ["answers", str(target), "--out", str(tmp_path / "out"), "--attacks", str(tmp_path / "mine")]
    assert commands.main(command) == 1
    assert "mine: expected files NAME.py with a function score(evidence), got none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine/sure.py").write_text("def score(evidence):\n    return evidence.target[:, 0]\n")
    assert commands.main(command) == 0
    assert "\nsure " in capsys.readouterr().out


def test_an_attack_that_changes_runs_scoring_and_what_follows_and_trains_nothing(tmp_path: Path) -> None:
    """The real dvc: a new file, then another text of it."""
    repository = create(tmp_path)
    assert "score" in repository.repro()
    attack = repository.root / "audits/digits/attacks" / FILE
    for text in (CODE, CODE.replace("[:, 0]", "[:, 0] * 2")):
        attack.write_text(text)
        stages = ran(repository.dvc("repro"))
        assert {"score", "evaluate"} <= stages
        assert stages <= set(AFTER)
