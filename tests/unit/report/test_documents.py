"""Plot data as CSV: what is text stays that text, through every file between a folder and the page."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

import tiny
from mia import paths
from mia.attacks import schemas
from mia.errors import InputError
from mia.report.figures import classes
from mia.store import metrics_files, parquet

# What pandas takes for a number, for nothing or for a truth, and what CSV, mathematics or a font may trip over.
ODD = ["001", "01", "1", "1e3", "nan", "NaN", "None", "null", "NA", "inf", "True", "-", " 1", "1 ", "a,b", 'say "a"',
       "US$5_$10", "猫", "🐈 and 犬", "=1+1", "#", "'", "\\n", "é"]  # fmt: skip

WORDS = ["attack", "class"]


def table(names: list[str]) -> pd.DataFrame:
    rows = {"attack": "loss", "class": names, "n_member": 10, "n_nonmember": 9, "auc": 0.5, "auc_low": 0.4}
    frame = pd.DataFrame(rows)
    frame["auc_high"] = [math.nan if at % 2 else 0.6 for at in range(len(names))]
    return frame


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
@example(ODD)
@example(["a\rb", "a\nb", "\r", "\n", "\x00", "\ufeff", "\x1a", '"', '""', ",", " "])
def test_text_is_read_as_it_was_written_and_numbers_are_numbers(tmp_path: Path, names: list[str]) -> None:
    written = table(names)
    metrics_files.write_csv(tmp_path / "classes.csv", written)
    pd.testing.assert_frame_equal(metrics_files.read_csv(tmp_path / "classes.csv", WORDS), written, check_dtype=False)


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "roc.csv"
    path.write_text("attack,fpr\nloss,0.1\nloss,none\n")
    with pytest.raises(
        InputError, match=r"roc.csv: not CSV \(Unable to parse string .none.*\); delete it, then `dvc repro`"
    ):
        metrics_files.read_csv(path, WORDS)
    path.write_bytes(b"attack,fpr\n\xff,1\n")
    with pytest.raises(InputError, match=r"roc.csv: not CSV \(.*utf-8.*\); delete it"):
        metrics_files.read_csv(path, WORDS)


def test_every_class_has_a_row_of_its_own_in_figure_and_page() -> None:
    frame = table(ODD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib's, of a character that the font lacks
        figure = classes.figure(frame, {"loss": {"auc": 0.5}})
        figure.canvas.draw()
    drawn = [text.get_text() for text in figure.texts]
    assert {"001", "01", "1", "nan", "None", "US$5_$10", "[U+732B]"} <= set(drawn)


def write_folder(root: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name in ODD:
        (root / name).mkdir(parents=True)
        for at in range(12):
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(root / name / f"{at}.png")


def test_odd_names_pass_through_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(Path("audits/images/data/population"), 0)
    write_folder(Path("audits/images/data/generated"), 1)
    tiny.run(
        changes={
            "audit": "images",
            "target.epochs": 1,
            "shadow.per_block": 2,
            "shadow.train_size": 100,
            "shadow.heldout_size": 100,
            "attacks.run": ["loss", "learned"],
        }
    )
    exposed = parquet.read(paths.EXPOSURE, schemas.exposure(["loss", "learned"]))
    assert set(exposed["class"]) == set(ODD)
    classes = metrics_files.read_csv(paths.CLASSES, WORDS)
    assert sorted(classes.loc[classes["attack"] == "loss", "class"]) == sorted(set(ODD))
    assert paths.CLASSES_FIGURE.stat().st_size > 0
    page = paths.AUDIT_PAGE.read_text(encoding="utf-8")
    for name in ("001", "nan", "None", "US$5_$10", "猫"):
        assert f'<bdi class="long">{name}</bdi></th><td class="number"' in page
