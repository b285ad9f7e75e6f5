"""Figures, on odd inputs too: nothing in them overlaps or leaves the sheet, and files of them are the same bytes."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

import pipeline
from figure_cases import (
    ATTACKS,
    CASES,
    EVERY,
    OF_ATTACKS,
    SIZES,
    box,
    roc_of,
    summary,
    texts,
)
from mia.evaluation import wording
from mia.report.figures import (
    curves,
    style,
)


@pytest.mark.parametrize("case", CASES)
def test_no_text_overlaps_another_or_leaves_the_sheet(case: str) -> None:
    figure = CASES[case]()
    boxes = [(text.get_text(), box(text)) for text in texts(figure)]
    sheet = figure.bbox
    outside = [said for said, b in boxes if b.x0 < sheet.x0 or b.y0 < sheet.y0 or b.x1 > sheet.x1 or b.y1 > sheet.y1]
    assert not outside
    clashes = [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if Bbox.intersection(one, other) is not None]
    assert not clashes


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", OF_ATTACKS)
def test_every_attack_is_named_once(name: str, size: int) -> None:
    """But in the ROC of many, which names the chosen, and where there is no other to compare with."""
    said = [text.get_text() for text in texts(OF_ATTACKS[name](size))]
    named = set(curves.chosen(summary(size)) if name == "roc" else [] if (name, size) == ("comparison", 1) else ATTACKS)
    assert {attack: said.count(wording.words(attack)) for attack in ATTACKS} == {
        attack: int(attack in named and attack in ATTACKS[:size]) for attack in ATTACKS
    }


FOR_BYTES = ["overview-7", "leak-4", "roc-4", f"roc-{EVERY}", "scores-1", "confusion-4", "learning-5", "leaderboard-5",
             f"comparison-{EVERY}", "classes-100", "threat-models-3", "grid-3-2", "tradeoff-apart-7",
             "revisions-7-True"]  # fmt: skip


@pytest.mark.parametrize("case", FOR_BYTES)
def test_same_figure_same_bytes(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    style.save(CASES[case](), tmp_path / "one.png")
    with matplotlib.rc_context({"savefig.dpi": 50, "font.size": 20, "lines.linewidth": 9, "savefig.bbox": "tight"}):
        style.save(CASES[case](), tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert b"Matplotlib" not in (tmp_path / "one.png").read_bytes()
    with Image.open(tmp_path / "one.png") as image:
        assert image.width <= 1600  # a README shows 800
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]


def test_a_failed_save_leaves_the_old_picture_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "roc.png"
    path.write_bytes(b"old")

    class Broken(Figure):
        def savefig(self, fname: Any, *args: Any, **kwargs: Any) -> None:
            Path(fname).write_bytes(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        style.save(Broken(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("case", CASES)
def test_no_figure_is_wider_than_a_readme_or_too_tall_to_look_at(case: str) -> None:
    width, height = CASES[case]().get_size_inches()
    assert width <= style.WIDTH + 1e-9
    assert height <= 15


def test_figures_leave_matplotlib_as_it_was() -> None:
    with matplotlib.rc_context({"font.size": 21.0, "axes.grid": False}):  # not what this file sets
        before = dict(matplotlib.rcParams)
        roc_of(2)
        assert dict(matplotlib.rcParams) == before


def test_figures_import_neither_torch_nor_sklearn_nor_pyplot() -> None:
    names = sorted(path.stem for path in (pipeline.SRC / "mia/report/figures").glob("[!_]*.py"))
    code = f"import sys; from mia.report.figures import {', '.join(names)}; "
    code += "print({'torch', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=pipeline.SRC, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
