"""Figures say what they must, on odd inputs too, and nothing in them overlaps or leaves the sheet."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from mia import figures

ROOT = Path(__file__).resolve().parents[1]
ATTACKS = [
    "correctness", "loss", "confidence", "entropy", "modified entropy, one a class", "learned", "population",
    "reference", "calibrated", "LiRA online", "LiRA offline, pooled variance", "RMIA online", "RMIA offline",
    "BaVarIA", "stacked",
]  # fmt: skip
SIZES = [1, 4, 15]
N_MEMBER, N_NONMEMBER = 1197, 600
SUMMARY_KEYS = ("auc", "auc_low", "auc_high", "tpr", "tpr_low", "tpr_high")


def scored(count: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Scores of members and non-members; the first attack has two values only, as correctness has."""
    rng = np.random.default_rng(3)
    made = {}
    for at, attack in enumerate(ATTACKS[:count]):
        members = rng.standard_normal(N_MEMBER) + 0.1 * at
        others = rng.standard_normal(N_NONMEMBER)
        made[attack] = (members, others) if at else (np.sign(members + 0.8), np.sign(others + 0.6))
    return made


def curves(count: int) -> pd.DataFrame:
    parts = []
    for attack, (members, others) in scored(count).items():
        thresholds = np.r_[np.inf, np.unique(np.r_[members, others])[::-1]]
        rates = [np.searchsorted(np.sort(-s), -thresholds, side="right") / len(s) for s in (others, members)]
        parts.append(pd.DataFrame({"attack": attack, "fpr": rates[0], "tpr": rates[1], "threshold": thresholds}))
    return pd.concat(parts, ignore_index=True)


def summary(count: int) -> dict[str, dict[str, float]]:
    rows = [(0.5 + 0.02 * at, 0.49 + 0.02 * at, 0.51 + 0.02 * at, 0.004 * at, 0.003 * at, 0.006 * at + 0.002)
            for at in range(count)]  # fmt: skip
    made = {attack: dict(zip(SUMMARY_KEYS, row, strict=True)) for attack, row in zip(ATTACKS, rows, strict=False)}
    if count > 2:
        made[ATTACKS[2]] |= {"tpr": np.nan, "tpr_low": np.nan, "tpr_high": np.nan}
    return made


def bins(count: int) -> pd.DataFrame:
    parts = []
    for attack, (members, others) in scored(count).items():
        edges = np.histogram_bin_edges(np.r_[members, others], 30)
        shares = [np.histogram(s, edges)[0] / len(s) for s in (members, others)]
        columns = {"left": edges[:-1], "right": edges[1:], "members": shares[0], "nonmembers": shares[1]}
        parts.append(pd.DataFrame({"attack": attack, **columns}))
    return pd.concat(parts, ignore_index=True)


def counts(count: int) -> pd.DataFrame:
    rows = []
    for attack, groups in scored(count).items():
        for actual, values in zip(("member", "non-member"), groups, strict=True):
            called = int((values > 0).sum())
            rows += [(attack, actual, "member", called), (attack, actual, "non-member", len(values) - called)]
    return pd.DataFrame(rows, columns=["attack", "actual", "predicted", "count"])


def history(shadows: int, epochs: int = 30) -> pd.DataFrame:
    parts = []
    for at, model in enumerate(["target", *(f"shadow {i + 1}" for i in range(shadows))]):
        epoch = np.arange(1, epochs + 1)
        rise = 1 - np.exp(-epoch / (8 + at % 5))
        parts.append(
            pd.DataFrame({"model": model, "epoch": epoch, "train_loss": 2.3 * (1 - rise) + 0.01,
                          "train_accuracy": 0.1 + 0.9 * rise, "test_accuracy": 0.1 + 0.5 * rise})
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def board(count: int) -> pd.DataFrame:
    names = [
        "extra trees",
        "logistic regression",
        "histogram gradient boosting",
        "nearest neighbours",
        "naive Bayes",
    ]
    rows = []
    for at, name in enumerate([*names[:count], "dummy"]):
        folds = [0.5] * 3 if name == "dummy" else [0.6 + 0.03 * at + 0.01 * fold for fold in range(3)]
        rows.append((name, float(np.mean(folds)), float(np.std(folds, ddof=1)), folds))
    return pd.DataFrame(rows, columns=["estimator", "auc_mean", "auc_std", "fold_aucs"])


def roc(count: int) -> Figure:
    return figures.roc(curves(count), summary(count), n_member=N_MEMBER, n_nonmember=N_NONMEMBER)


OF_ATTACKS: dict[str, Callable[[int], Figure]] = {
    "leak": lambda count: figures.leak(summary(count), fpr=0.01),
    "roc": roc,
    "scores": lambda count: figures.scores(bins(count)),
    "confusion": lambda count: figures.confusion(counts(count)),
}
CASES: dict[str, Callable[[], Figure]] = {
    **{f"{name}-{size}": partial(make, size) for name, make in OF_ATTACKS.items() for size in SIZES},
    **{f"learning-{n}": partial(lambda n: figures.learning(history(n)), n) for n in (0, 1, 5, 40, 256)},
    "learning-one-epoch": lambda: figures.learning(history(2, epochs=1)),
    **{f"leaderboard-{n}": partial(lambda n: figures.leaderboard(board(n), chosen="extra trees"), n) for n in (1, 5)},
}


def texts(figure: Figure) -> list[Text]:
    """Every text that is drawn: not empty, visible, and no label of a tick outside its axis."""
    figure.draw_without_rendering()
    beyond: set[int] = set()
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * (high - low)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not low - slack <= tick.get_loc() <= high + slack:
                beyond |= {id(tick.label1), id(tick.label2)}
    found = [t for t in figure.findobj(Text) if isinstance(t, Text) and id(t) not in beyond]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def box(text: Text) -> Bbox:
    return text.get_window_extent()


def log_panel(figure: Figure) -> Axes:
    return next(axes for axes in figure.axes if axes.get_xscale() == "log")


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
    said = [text.get_text() for text in texts(OF_ATTACKS[name](size))]
    assert {attack: said.count(attack) for attack in ATTACKS[:size]} == dict.fromkeys(ATTACKS[:size], 1)


@pytest.mark.parametrize("case", ["leak-4", "roc-4", "scores-1", "confusion-4", "learning-5", "leaderboard-5"])
def test_same_figure_same_bytes(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures.save(CASES[case](), tmp_path / "one.png")
    with matplotlib.rc_context({"savefig.dpi": 50, "font.size": 20, "lines.linewidth": 9, "savefig.bbox": "tight"}):
        figures.save(CASES[case](), tmp_path / "two.png")
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
        figures.save(Broken(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("n_nonmember", [600, 1000, 10_000])
def test_log_axes_start_at_the_smallest_fpr_that_can_be_seen(n_nonmember: int) -> None:
    figure = figures.roc(curves(4), summary(4), n_member=N_MEMBER, n_nonmember=n_nonmember)
    axes = log_panel(figure)
    assert axes.get_xlim() == pytest.approx((1 / n_nonmember, 1))
    assert axes.get_ylim() == pytest.approx((1 / n_nonmember, 1))
    for line in axes.lines:  # an FPR of 0 is drawn on the edge, not lost
        assert np.min(np.asarray(line.get_data())) == pytest.approx(1 / n_nonmember)
    labels = {label.get_text() for label in axes.get_xticklabels()}
    assert ("1/600" in labels) == (n_nonmember == 600)
    assert {"0.01", "0.1", "1"} <= labels


def test_roc_curves_are_the_data_as_steps_and_carry_their_auc() -> None:
    figure = roc(6)
    data = curves(6)
    linear = figure.axes[0]
    drawn = {line.get_color(): line for line in linear.lines if line.get_drawstyle() == "steps-post"}
    assert len(drawn) == 6
    for at, attack in enumerate(ATTACKS[:6]):
        part = data[data["attack"] == attack]
        np.testing.assert_array_equal(np.asarray(drawn[figures.COLOURS[at]].get_data()), part[["fpr", "tpr"]].T)
    said = {text.get_text() for text in texts(figure)}
    assert {"0.600 [0.590, 0.610]", "0.500 [0.490, 0.510]", "guessing"} <= said
    assert any("1,197 members" in text and "600 non-members" in text for text in said)


def test_no_two_of_fifteen_attacks_look_alike() -> None:
    looks = {(line.get_color(), str(line._unscaled_dash_pattern)) for line in roc(15).axes[0].lines  # type: ignore[attr-defined]
             if line.get_drawstyle() == "steps-post"}  # fmt: skip
    assert len(looks) == 15


def test_confusion_gives_counts_and_shares_of_the_row() -> None:
    table = pd.DataFrame(
        [
            ("loss", "member", "member", 900),
            ("loss", "member", "non-member", 100),
            ("loss", "non-member", "member", 50),
        ],
        columns=["attack", "actual", "predicted", "count"],
    )
    said = {text.get_text() for text in texts(figures.confusion(table.assign(attack="loss")))}
    assert {"900", "100", "50", "0", "TPR 90.0 %", "10.0 %", "FPR 100.0 %", "0.0 %"} <= said


def test_scores_are_drawn_as_given() -> None:
    table = pd.DataFrame({"attack": "loss", "left": [0.0, 1.0], "right": [1.0, 2.0], "members": [0.25, 0.75],
                          "nonmembers": [0.6, 0.4]})  # fmt: skip
    stairs = [patch.get_data() for patch in figures.scores(table).axes[0].patches]  # type: ignore[attr-defined]
    assert [list(s.values) for s in stairs] == [[0.25, 0.75], [0.25, 0.75], [0.6, 0.4]]
    assert all(list(s.edges) == [0, 1, 2] for s in stairs)


def test_scores_of_one_value_have_a_panel() -> None:
    table = pd.DataFrame({"attack": ["loss"], "left": 1.0, "right": 1.0, "members": 1.0, "nonmembers": 1.0})
    low, high = figures.scores(table).axes[0].get_xlim()
    assert low < 1 < high


@pytest.mark.parametrize("shadows", [1, 40])
def test_learning_draws_every_shadow_thin_and_the_target_bold(shadows: int) -> None:
    figure = figures.learning(history(shadows))
    for axes, curves_a_model in zip(figure.axes, (2, 1), strict=True):
        threads = [c for c in axes.collections if isinstance(c, LineCollection)]
        assert [len(c.get_segments()) for c in threads] == [shadows] * curves_a_model
        thin = max(float(np.max(c.get_linewidth())) for c in threads)
        bold = [line for line in axes.lines if line.get_color() in (figures.BLUE, figures.VERMILION)]
        assert len(bold) == curves_a_model
        assert min(line.get_linewidth() for line in bold) > 2 * thin
    gap = 0.4 * (1 - np.exp(-30 / 8))
    assert any(f"{gap:+.3f}" in text.get_text() for text in texts(figure))


def test_leaderboard_is_sorted_marks_the_chosen_and_turns_the_dummy_into_a_line() -> None:
    figure = figures.leaderboard(board(5), chosen="extra trees")
    rows = sorted((-box(text).y0, text.get_text()) for text in texts(figure))
    said = [text for _, text in rows]
    order = [name for name in said if name in set(board(5)["estimator"])]
    assert order == [
        "naive Bayes",
        "nearest neighbours",
        "histogram gradient boosting",
        "logistic regression",
        "extra trees",
    ]
    assert [text for text in said if "chosen" in text] == ["0.610 ± 0.010  chosen"]
    assert any(np.allclose(line.get_xdata(), 0.5) for line in figure.axes[0].lines)


def test_leak_fills_the_dot_only_when_the_interval_clears_guessing() -> None:
    rows = {"above": (0.6, 0.55, 0.65, 0.05, 0.03, 0.07), "level": (0.52, 0.48, 0.56, 0.012, 0.008, 0.016)}
    figure = figures.leak({k: dict(zip(SUMMARY_KEYS, v, strict=True)) for k, v in rows.items()}, fpr=0.01)
    for axes in figure.axes:
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        assert [dot.get_markerfacecolor() for dot in dots] == [figures.BLUE, "white"]


def test_missing_evidence_is_said_and_not_drawn() -> None:
    said = [text.get_text() for text in texts(figures.leak(summary(6), fpr=0.01))]
    assert said.count("too few non-members") == 1
    assert not any("nan" in text for text in said)


def test_figures_leave_matplotlib_as_it_was() -> None:
    with matplotlib.rc_context({"font.size": 21.0, "axes.grid": False}):  # not what this file sets
        before = dict(matplotlib.rcParams)
        roc(2)
        assert dict(matplotlib.rcParams) == before


def test_figures_import_neither_torch_nor_sklearn_nor_pyplot() -> None:
    code = "import sys, mia.figures; print({'torch', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


# The templates of `dvc plots`, and the columns of the CSV that each one names.
TEMPLATES = {
    "roc": {"attack", "rev"},
    "roc_log": {"attack", "rev"},
    "scores": {"attack", "left", "right", "members", "nonmembers", "rev"},
    "confusion_counts": {"attack", "actual", "predicted", "count", "share", "rev"},
    "learning": {"model", "train_loss", "train_accuracy", "test_accuracy", "rev"},
    "leaderboard": {"auc_std", "fold_aucs", "rev"},
    "attacks": {"auc_low", "auc_high", "rev"},
}

NUMBERS = {
    name: dict.fromkeys(columns, "number")
    for name, columns in {
        "roc": ("fpr", "tpr"),
        "roc_log": ("fpr", "tpr"),
        "scores": ("left", "right", "members", "nonmembers"),
        "confusion_counts": ("count", "share"),
        "learning": ("epoch", "train_loss", "train_accuracy", "test_accuracy"),
        "leaderboard": ("auc_mean", "auc_std"),
        "attacks": ("auc", "auc_low", "auc_high"),
    }.items()
}


def test_every_template_is_tested() -> None:
    assert {path.stem for path in (ROOT / ".dvc" / "plots").glob("*.json")} == set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_has_what_dvc_fills_in(name: str) -> None:
    text = (ROOT / ".dvc" / "plots" / f"{name}.json").read_text(encoding="utf-8")
    spec = json.loads(text)
    assert spec["$schema"].endswith("/vega-lite/v5.json")
    assert spec["data"]["values"] == "<DVC_METRIC_DATA>"
    assert spec["title"]["text"] == "<DVC_METRIC_TITLE>"
    # DVC hands numbers of a CSV over as text; a template that does not parse them sorts "10" before "9".
    assert set(spec["data"]["format"]["parse"].values()) == {"number"}
    # It fills placeholders into values only, never into keys.
    assert spec["data"]["format"]["parse"].items() >= NUMBERS[name].items()
    assert not re.search(r'"<DVC_[^"]*>":', text)
    for column in TEMPLATES[name]:
        assert f'"{column}"' in text or f"datum.{column}" in text
    if name.startswith("roc"):
        needed = ("X", "Y", "X_LABEL", "Y_LABEL")
        assert all(f"<DVC_METRIC_{anchor}>" in text for anchor in needed)
        # In one layer only: at the top of a layered plot vega-lite makes the signal twice and draws nothing.
        assert "params" not in spec
        zooms = [layer for layer in spec["layer"] if "<DVC_METRIC_ZOOM_AND_PAN>" in layer.get("params", [])]
        assert len(zooms) == 1
        curve = zooms[0]["encoding"]
        assert (curve["color"]["field"], curve["strokeDash"]["field"]) == ("attack", "rev")
        assert zooms[0]["mark"]["interpolate"] == "step-after"
        assert (curve["x"]["scale"].get("type") == "log") == (name == "roc_log")
