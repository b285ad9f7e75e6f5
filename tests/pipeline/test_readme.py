"""README says what the files say, and the check that guards it sees a stale table and a dead reference."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import pipeline
from mia import params
from mia.report import show

TEXT = (pipeline.ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def readme() -> ModuleType:
    return pipeline.script("docs/readme.py")


def test_every_table_is_what_its_file_says(readme: ModuleType) -> None:
    assert readme.TABLE.search(TEXT)
    assert readme.filled(TEXT) == TEXT


def test_nothing_is_pointed_at_that_does_not_exist(readme: ModuleType) -> None:
    assert readme.faults(TEXT) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("see [there](docs/nowhere.md)", "link to docs/nowhere.md: no such file"),
        ("`make coffee`", "make coffee: no such target"),
        ("$ make coffee", "make coffee: no such target"),
        ("dvc exp run -S target.digits.epoch=3", "-S target.digits.epoch: no such parameter"),
        ("`src/mia/magic.py`", "src/mia/magic.py: no such file"),
        (
            "the machine is busy (load 1.5): no number is fair",
            "'no number is fair': measure again on an idle machine, or leave it out",
        ),
    ],
)
def test_a_dead_reference_or_an_unfair_number_is_seen(readme: ModuleType, text: str, fault: str) -> None:
    assert readme.faults(text) == [fault]


def test_a_stale_table_is_seen(readme: ModuleType) -> None:
    for was, now in (("| loss |", "| lost |"), ("guessing would give 1 %.**", "guessing would give 2 %.**")):
        stale = TEXT.replace(was, now, 1)
        assert stale != TEXT
        assert readme.filled(stale) == TEXT


def test_a_stale_figure_is_seen(readme: ModuleType, tmp_path: Path) -> None:
    drawn = pipeline.ROOT / readme.FIRST_SCREEN / "overview.png"
    fresh = tmp_path / "fresh.png"
    readme.overview(drawn.parent, fresh)
    assert not readme.differs(drawn, fresh)
    measured = json.loads((drawn.parent / "attacks.json").read_text())
    for one in measured:
        if one["attack"] == "quantile":
            one["tpr_at_fpr_0_01"] += 0.01
    for name in ("verdict.json", "roc.csv"):
        shutil.copy(drawn.parent / name, tmp_path)
    (tmp_path / "attacks.json").write_text(json.dumps(measured))
    readme.overview(tmp_path, tmp_path / "other.png")
    assert readme.differs(drawn, tmp_path / "other.png")
    assert readme.differs(tmp_path / "nowhere.png", fresh)


def test_the_table_shows_what_always_answering_member_gets(tmp_path: Path) -> None:
    one = {
        "attack": "loss", "auc": 0.7, "auc_low": 0.65, "auc_high": 0.75, "balanced_accuracy": 0.6,
        "balanced_accuracy_low": 0.58, "balanced_accuracy_high": 0.62, "accuracy": 0.8, "f1": 0.9, "epsilon_lower": 1.5,
        "always_member_accuracy": 0.833, "always_member_f1": 0.909, "n_member": 50, "n_nonmember": 10,
    }  # fmt: skip
    rows = show.rows([one])
    assert rows[0] == ("loss", ".700 (.650–.750)", "–", "–", ".600 (.580–.620)", "0.800", "0.900", "1.50")
    assert rows[1][5:7] == ("0.833", "0.909")
    (tmp_path / "attacks.json").write_text(json.dumps([one]))
    command = [sys.executable, "-m", "mia.commands", "show", str(tmp_path / "attacks.json")]
    run = subprocess.run(command, cwd=pipeline.SRC, capture_output=True, text=True, check=True)
    assert "50 members, 10 non-members" in run.stdout
    missing = subprocess.run([*command[:-1], "nowhere.json"], cwd=pipeline.SRC, capture_output=True, text=True)
    assert missing.returncode == 1
    assert missing.stderr == "error: nowhere.json: no such file; `dvc repro` makes it\n"


def test_the_table_of_experiments_keeps_every_section_of_parameters() -> None:
    kept = re.search(r"^PARAMS := (.*)$", (pipeline.ROOT / "Makefile").read_text(), re.MULTILINE)
    assert kept is not None
    for section, value in params.load(pipeline.ROOT / "params.yaml").model_dump().items():
        name = f"{section}.any" if isinstance(value, dict) else section
        assert re.fullmatch(kept[1], name), name
