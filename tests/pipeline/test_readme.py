"""README and docs agree with the files, and the check that guards them sees a stale table and a dead reference."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import pipeline
from mia import catalogue, params
from mia.data import answers
from mia.errors import InputError
from mia.report import show

TEXT = (pipeline.ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def readme() -> ModuleType:
    return pipeline.script("docs/readme.py")


def test_every_table_is_what_its_file_says(readme: ModuleType) -> None:
    for page in readme.PAGES:
        text = (pipeline.ROOT / page).read_text(encoding="utf-8")
        assert readme.filled(text) == text, page


def test_every_document_is_checked(readme: ModuleType) -> None:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=pipeline.ROOT, capture_output=True, text=True, check=True)
    fragments = {path for path in listed.stdout.split() if path.startswith("docs/results/")}
    fragments = {path for path in fragments if not path.endswith("/README.md")}
    templates = {path for path in listed.stdout.split() if path.startswith(".github/")}
    assert set(listed.stdout.split()) - fragments - templates == set(readme.PAGES)


def test_nothing_is_pointed_at_that_does_not_exist(readme: ModuleType) -> None:
    for page in readme.PAGES:
        text = (pipeline.ROOT / page).read_text(encoding="utf-8")
        faults = readme.faults(text, (pipeline.ROOT / page).parent, history=page in readme.HISTORY)
        assert faults == [], page


def test_the_site_links_to_no_page_that_it_leaves_out(tmp_path: Path) -> None:
    report = tmp_path / "audit.html"
    report.touch()
    pages = tmp_path / "pages"
    pipeline.script("docs/site/build.py").stage(pages, report)
    dead = []
    for page in sorted(pages.rglob("*.md")):
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\((?![a-z]+:)([^()\s#]+)", text):
            if not (page.parent / target).exists():
                dead.append(f"{page.relative_to(pages)}: {target}")
    assert dead == []


def test_every_page_of_the_site_is_in_its_navigation(tmp_path: Path) -> None:
    (report := tmp_path / "audit.html").touch()
    pages = tmp_path / "pages"
    pipeline.script("docs/site/build.py").stage(pages, report)
    listed = (pipeline.ROOT / "docs/site/zensical.toml").read_text(encoding="utf-8")
    assert [name for page in pages.rglob("*.md") if (name := page.relative_to(pages).as_posix()) not in listed] == []


def test_the_first_command_stands_on_the_first_screen_of_a_short_readme() -> None:
    lines = TEXT.splitlines()
    assert len(lines) <= 150
    assert next(number for number, line in enumerate(lines, 1) if line.startswith("$ ")) <= 25


def test_every_page_of_docs_opens_with_what_it_is_for() -> None:
    for path in (pipeline.ROOT / "docs").glob("*.md"):
        heading, empty, first = path.read_text(encoding="utf-8").splitlines()[:3]
        assert (heading[:2], empty, first[:9]) == ("# ", "", "This page"), path.name


def test_every_attack_of_the_catalogue_is_explained() -> None:
    page = (pipeline.ROOT / "docs/attacks.md").read_text(encoding="utf-8")
    table = page.split("## What each attack does")[1].split("##")[0]
    cells = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")][1:]
    named = [name.replace(" ", "_") for cell in cells for name in cell.split(", ")]
    assert sorted(named) == sorted(catalogue.NAMES)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("see [there](docs/nowhere.md)", "link to docs/nowhere.md: no such file"),
        ("see [there](README.md#nowhere)", "link to README.md#nowhere: no such section"),
        ("# Here\nsee [there](#there)", "link to #there: no such section"),
        ("`make coffee`", "make coffee: no such target"),
        ("$ make coffee", "make coffee: no such target"),
        ("dvc exp run -S target.epoch=3", "-S target.epoch: no such parameter"),
        ("`src/mia/magic.py`", "src/mia/magic.py: no such file"),
        (
            "the machine is busy (load 1.5): no number is fair",
            "'no number is fair': measure again on an idle machine, or leave it out",
        ),
    ],
)
def test_a_dead_reference_or_an_unfair_number_is_seen(readme: ModuleType, text: str, fault: str) -> None:
    assert readme.faults(text) == [fault]


def test_a_section_is_linked_by_its_words(readme: ModuleType) -> None:
    text = "# What's *new*, and old?\n[a](#whats-new-and-old)\n```\n# no heading\n[b](nowhere.md)\n```\n"
    assert readme.faults(text) == []
    assert readme.sections(text) == {"whats-new-and-old"}


def test_a_stale_table_is_seen(readme: ModuleType) -> None:
    for was, now in (("\nloss   ", "\nlost   "), ("guessing gives 1 %.**", "guessing gives 2 %.**")):
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
        if one["attack"] == "stacked":
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
    assert rows[0] == ("loss", ".700 (.650–.750)", "–", "–", ".600 (.580–.620)", ".800", ".900", "1.50")
    assert rows[1][5:7] == (".833", ".909")
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
    loaded = params.load(pipeline.ROOT / "params.yaml").model_dump()
    own = loaded.pop("audit")
    names = ["audit", *(f"audits/digits/params.yaml:{section}.any" for section in own if section != "name")]
    names += [f"{section}.any" if isinstance(value, dict) else section for section, value in loaded.items()]
    assert all(re.fullmatch(kept[1], name) for name in names)


def test_the_code_for_a_users_own_model_writes_tables_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every piece of docs/your-own.md that is marked, the table first, which fits a model."""
    monkeypatch.chdir(tmp_path)
    page = (pipeline.ROOT / "docs/your-own.md").read_text(encoding="utf-8")
    pieces = re.findall(r"<!-- runs -->\n```python\n(.*?)```", page, re.DOTALL)
    predictions, shadows, table = pieces
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"age": rng.integers(18, 90, 200), "hours": rng.integers(0, 60, 200)})
    people.assign(income=np.where(people.age + people.hours > 80, "high", "low")).to_csv("people.csv", index=False)
    names: dict[str, object] = {}
    for piece in (table, predictions, shadows):
        exec(piece, names)
    target = answers.read_target(Path("target.csv"))
    assert (len(target), int(target.answers.is_member.sum())) == (200, 100)
    assert len(answers.read_shadows(Path("shadows.csv"), target)) == 16


def test_no_image_of_a_blurred_report_can_be_recognised() -> None:
    blurred = pipeline.script("docs/blurred.py").blurred
    rng = np.random.default_rng(0)
    made = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(made, "PNG")
    page = f'<img src="data:image/png;base64,{base64.b64encode(made.getvalue()).decode()}"><p>kept'
    found = re.fullmatch(r'<img src="data:image/png;base64,([^"]+)"><p>kept', blurred(page))
    assert found
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))), dtype=int)
    assert pixels.shape == (32, 32, 3)
    assert np.abs(np.diff(pixels, axis=0)).max() < 8  # no edge is left of the noise
    with pytest.raises(InputError, match="the report shows no image"):
        blurred("<p>")
