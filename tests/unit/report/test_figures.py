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
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

import pipeline
from mia import paths
from mia.catalogue import wanted
from mia.errors import InputError
from mia.report import figures
from stages import report

ROOT = pipeline.ROOT
ATTACKS = wanted("all")
SIZES = [1, 4, 24]
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
        limits = {"tpr_low": np.maximum(rates[1] - 0.05, 0), "tpr_high": np.minimum(rates[1] + 0.05, 1)}
        columns = {"fpr": rates[0], "tpr": rates[1], "threshold": thresholds, **limits}
        parts.append(pd.DataFrame({"attack": attack, **columns}))
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
    return figures.roc(curves(count), summary(count), fpr=0.01, n_member=N_MEMBER, n_nonmember=N_NONMEMBER)


def pairs(count: int) -> pd.DataFrame:
    """Every pair of attacks, the later one the better by 0.02 a place; neighbours are not to be told apart."""
    rows = [(ATTACKS[b], ATTACKS[a], 0.02 * (b - a), 0.05 if b - a == 1 else 0.049)
            for a, b in combinations(range(count), 2)]  # fmt: skip
    columns = ["attack_a", "attack_b", "auc_difference", "auc_p_holm"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=0)  # in whatever order


def by_class(count: int, attacks: tuple[str, ...] = ("loss", "stacked")) -> pd.DataFrame:
    """Class 1 is the least exposed to every attack; the last class has records of one kind only."""
    rows = [(attack, at, 20 + at, 1000 + at, auc := 0.5 + 0.45 * at / count, auc - 0.05, auc + 0.05)
            for attack in attacks for at in range(1, count + 1)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["attack", "class", "n_member", "n_nonmember", "auc", "auc_low", "auc_high"])
    if count > 1:
        frame.loc[frame["class"] == count, ["n_member", "auc", "auc_low", "auc_high"]] = [0, np.nan, np.nan, np.nan]
    return frame.astype({"class": str})


BY_AUC = {"loss": {"auc": 0.6}, "stacked": {"auc": 0.7, "classes_alike_p": 0.0123}}


def audits(*labels: str, count: int = 24) -> dict[str, list[dict[str, Any]]]:
    """An audit a label; the first does without the second attack, and its records resolve no TPR of the third."""
    made = {}
    for at, label in enumerate(labels):
        entries = []
        for attack, row in summary(count).items():
            entry: dict[str, Any] = {"attack": attack, **{name: row[name] + 0.01 * at for name in SUMMARY_KEYS[:3]}}
            if np.isfinite(row["tpr"]):
                entry |= {f"tpr_at_fpr_0_01{name[3:]}": row[name] for name in SUMMARY_KEYS[3:]}
            entries.append(entry)
        made[label] = [one for one in entries if at or one["attack"] != ATTACKS[1]]
    return made


def cells(series: int, places: int, attacks: tuple[str, ...] = ("stacked", "loss"), name: str = "") -> pd.DataFrame:
    """A grid of experiments; the first of several failed, and the last attack's TPR is beyond the non-members."""
    rows = []
    for at, attack in enumerate(attacks):
        for one in range(series):
            for place in range(places):
                auc, tpr = 0.55 + 0.05 * at + 0.02 * one + 0.01 * place, 0.01 * (one + place)
                row = {"auc": auc, "auc_low": auc - 0.03, "auc_high": auc + 0.03}
                row |= {"tpr": tpr, "tpr_low": max(tpr - 0.01, 0), "tpr_high": tpr + 0.02}
                if series > 1 and one == place == 0:
                    row = dict.fromkeys(row, np.nan)
                if at == len(attacks) - 1 > 0:
                    row |= dict.fromkeys(("tpr", "tpr_low", "tpr_high"), np.nan)
                label = f"knowledge {one}" if series > 1 else ""
                rows.append({"attack": attack, "series": label, "at": f"{name}{10 * place + 10}", **row})
    return pd.DataFrame(rows)


def cross(series: int, places: int, **other: Any) -> Figure:
    return figures.grid(cells(series, places, **other), x="epochs", joined=True, fpr=0.01)


def overview(count: int) -> Figure:
    return figures.overview(curves(count), summary(count), fpr=0.01, n_member=N_MEMBER, n_nonmember=N_NONMEMBER)


def traded(count: int, at: str = "apart", name: str = "exp") -> pd.DataFrame:
    """Audits by accuracy and TPR: apart, all at one place, or close together; the last of several has no TPR."""
    step, rise = {"apart": (0.03, 0.1), "one place": (0.0, 0.0), "close": (0.002, 0.002)}[at]
    rows = []
    for one in range(count):
        accuracy, tpr = 0.6 + step * one, 0.04 + rise * one
        tprs = (tpr, tpr / 2, min(2 * tpr, 1)) if at != "apart" or one < count - 1 or count == 1 else (np.nan,) * 3
        rows.append((f"{name}-{one}", accuracy, accuracy - 0.02, accuracy + 0.02, *tprs, 0.01))
    columns = ["label", "accuracy", "accuracy_low", "accuracy_high", "tpr", "tpr_low", "tpr_high", "fpr"]
    return pd.DataFrame(rows, columns=columns)


def of_revisions(count: int, log: bool = True) -> Figure:
    parts = []
    for at, (_, part) in enumerate(curves(count + 1).groupby("attack", sort=False)):
        for role in ("strongest", "loss"):
            parts.append(part.assign(revision=f"rev {at}", role=role) if at else part.iloc[:0])
    return figures.roc_of_revisions(pd.concat(parts, ignore_index=True), n_nonmember=N_NONMEMBER, log=log)


OF_ATTACKS: dict[str, Callable[[int], Figure]] = {
    "leak": lambda count: figures.leak(summary(count), fpr=0.01),
    "roc": roc,
    "scores": lambda count: figures.scores(bins(count)),
    "confusion": lambda count: figures.confusion(counts(count)),
    "comparison": lambda count: figures.comparison(pairs(count)),
}
THREE = ("generated", "disjoint", "population")
SIX = tuple(f"{label}, {shadows} shadows" for shadows in (16, 64) for label in THREE)
CASES: dict[str, Callable[[], Figure]] = {
    **{f"{name}-{size}": partial(make, size) for name, make in OF_ATTACKS.items() for size in SIZES},
    **{f"learning-{n}": partial(lambda n: figures.learning(history(n)), n) for n in (0, 1, 5, 40, 256)},
    "learning-one-epoch": lambda: figures.learning(history(2, epochs=1)),
    **{f"leaderboard-{n}": partial(lambda n: figures.leaderboard(board(n), chosen="extra trees"), n) for n in (1, 5)},
    **{f"comparison-{n}": partial(lambda n: figures.comparison(pairs(n)), n) for n in (2, 3, 8)},
    **{f"classes-{n}": partial(lambda n: figures.classes(by_class(n), BY_AUC), n) for n in (1, 10, 40, 41, 100)},
    **{f"overview-{n}": partial(overview, n) for n in (1, 4, 7, 24)},
    **{
        f"roc-panel-{log}-{n}": partial(
            lambda n, log: figures.roc_panel(curves(n), summary(n), n_nonmember=N_NONMEMBER, log=log), n, log
        )
        for n in (1, 24)
        for log in (False, True)
    },
    "score-panel": lambda: figures.score_panel(bins(1)),
    **{
        f"learning-panel-{what}-{n}": partial(lambda n, what: figures.learning_panel(history(n), what), n, what)
        for n in (0, 5, 40)
        for what in ("accuracy", "loss")
    },
    "threat-models-3": lambda: figures.threat_models(audits(*THREE), fpr=0.01),
    "threat-models-6": lambda: figures.threat_models(audits(*SIX), fpr=0.01),
    "grid-1-1": lambda: cross(1, 1, attacks=("loss",)),
    "grid-3-2": lambda: cross(3, 2),
    "grid-1-8": lambda: cross(1, 8, attacks=("loss",)),
    "grid-9-10": lambda: cross(9, 10, name="sorted_posteriors, "),
    **{
        f"tradeoff-{at}-{n}": partial(lambda n, at: figures.tradeoff(traded(n, at)), n, at)
        for n in (1, 2, 7)
        for at in ("apart", "one place", "close")
    },
    "tradeoff-long": lambda: figures.tradeoff(traded(7, "one place", "a-name-of-an-experiment-that-is-as-long")),
    **{f"revisions-{n}-{log}": partial(of_revisions, n, log) for n in (1, 7) for log in (False, True)},
    "threat-models-1": lambda: figures.threat_models(audits("population", count=1), fpr=0.01),
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
    """But in the ROC of many, which names the chosen, and where there is no other to compare with."""
    said = [text.get_text() for text in texts(OF_ATTACKS[name](size))]
    named = set(
        figures.chosen(summary(size)) if name == "roc" else [] if (name, size) == ("comparison", 1) else ATTACKS
    )
    assert {attack: said.count(attack) for attack in ATTACKS} == {
        attack: int(attack in named and attack in ATTACKS[:size]) for attack in ATTACKS
    }


FOR_BYTES = ["overview-7", "leak-4", "roc-4", "roc-24", "scores-1", "confusion-4", "learning-5", "leaderboard-5",
             "comparison-24", "classes-100", "threat-models-3", "grid-3-2", "tradeoff-apart-7",
             "revisions-7-True"]  # fmt: skip


@pytest.mark.parametrize("case", FOR_BYTES)
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
    figure = figures.roc(curves(4), summary(4), fpr=0.01, n_member=N_MEMBER, n_nonmember=n_nonmember)
    axes = log_panel(figure)
    assert axes.get_xlim() == pytest.approx((1 / n_nonmember, 1))
    assert axes.get_ylim() == pytest.approx((1 / n_nonmember, 1))
    for line in axes.lines:  # an FPR of 0 is drawn on the edge, not lost
        assert np.min(np.asarray(line.get_data())) == pytest.approx(1 / n_nonmember)
    labels = {label.get_text() for label in axes.get_xticklabels()}
    assert ("1/600" in labels) == (n_nonmember == 600)
    assert {"0.01", "0.1", "1"} <= labels


def steps(figure: Figure) -> list[Line2D]:
    return [line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"]


@pytest.mark.parametrize("size", [6, 24])
def test_roc_curves_are_the_data_as_steps_and_carry_their_auc_and_tpr(size: int) -> None:
    figure = roc(size)
    drawn = [np.asarray(line.get_data()) for line in steps(figure)]
    assert len(drawn) == size
    for attack, part in curves(size).groupby("attack"):
        assert sum(np.array_equal(line, part[["fpr", "tpr"]].T) for line in drawn) == 1, attack
    said = {text.get_text() for text in texts(figure)}
    best = "0.600 [0.590, 0.610]", "0.960 [0.950, 0.970]"
    assert {best[size == 24], "guessing"} <= said
    assert ("0.0920 [0.0690, 0.1400]" in said) == (size == 24)
    assert any("1,197 members" in text and "600 non-members" in text for text in said)


def test_of_many_roc_curves_a_few_are_in_colour_and_over_the_others() -> None:
    figure = roc(24)
    lines = steps(figure)
    coloured = [line for line in lines if line.get_color() != figures.GREY]
    others = [line for line in lines if line.get_color() == figures.GREY]
    assert (len(coloured), len(others)) == (6, 18)
    assert len({line.get_color() for line in coloured}) == 6
    assert max(line.get_linewidth() for line in others) < min(line.get_linewidth() for line in coloured)
    assert max(line.get_zorder() for line in others) < min(line.get_zorder() for line in coloured)
    said = {text.get_text() for text in texts(figure)}
    assert {"18 other attacks", "0.500 to 0.880", "0.0000 to 0.0760"} <= said


def test_the_chosen_are_the_best_what_a_reader_looks_for_and_then_the_next_best() -> None:
    many = summary(24)
    many["entropy"]["tpr"] = 0.9  # the best at the low FPR
    assert figures.chosen(many) == ["stacked", "quantile", "bavaria_t", "learned", "entropy", "loss"]
    many["population"] |= {"auc": 0.99}
    assert figures.chosen(many)[:2] == ["population", "stacked"]
    assert figures.chosen({name: many[name] | {"tpr": np.nan} for name in many})[:2] == ["population", "stacked"]
    assert figures.chosen(summary(7)) == ATTACKS[6::-1]


def test_loss_learned_and_stacked_keep_their_colours_and_no_two_attacks_look_alike() -> None:
    looks: dict[str, int] = {}
    for attacks in (
        ["loss"],
        ["entropy", "stacked", "loss"],
        ["loss", "learned"],
        ATTACKS[:7],
        figures.chosen(summary(24)),
    ):
        places = figures._places(attacks)
        assert len(set(places.values())) == len(attacks)
        for attack in {"loss", "learned", "stacked"} & set(attacks):
            assert looks.setdefault(attack, places[attack]) == places[attack]
    assert len(looks) == 3


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


def points(line: Line2D) -> list[tuple[float, float]]:
    x, y = (np.asarray(ends, dtype=np.float64) for ends in line.get_data())
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def at(lines: list[Line2D]) -> list[float]:
    """Where the vertical lines stand that run over the height of their panel."""
    return [points(line)[0][0] for line in lines if [y for _, y in points(line)] == [0, 1]]


def test_comparison_has_a_cell_a_pair_and_a_ring_where_it_is_not_sure() -> None:
    figure = figures.comparison(pairs(4))
    cells: dict[tuple[float, float], Any] = {patch.get_xy(): patch for patch in figure.axes[0].patches}  # type: ignore[attr-defined]
    assert set(cells) == {(column, row) for row, column in combinations(range(4), 2)}
    shade = {place: cell.get_facecolor()[3] for place, cell in cells.items()}  # the more opaque, the bluer
    assert shade[3, 0] > shade[2, 0] > shade[1, 0]
    assert shade[1, 0] == shade[2, 1] == shade[3, 2]
    rings = {points(line)[0] for line in figure.axes[0].lines}
    assert rings == {(1.5, 0.5), (2.5, 1.5), (3.5, 2.5)}
    said = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert said == {(2.5, 0.5): ".04", (3.5, 0.5): ".06", (3.5, 1.5): ".04"}


def test_comparison_names_the_better_attack_left_of_its_row_and_the_worse_one_under_its_column() -> None:
    figure = figures.comparison(pairs(5))
    boxes = {text.get_text(): box(text) for text in texts(figure)}
    transform = figure.axes[0].transData
    for place, attack in enumerate(reversed(ATTACKS[:5])):  # the best first
        (left, bottom), (right, top) = transform.transform([(place, place + 1), (place + 1, place)])
        assert bottom < (boxes[attack].y0 + boxes[attack].y1) / 2 < top
        assert left < boxes[attack].x1 < right


def test_comparison_of_a_difference_too_small_to_write_does_not_say_zero() -> None:
    frame = pairs(2).assign(auc_difference=0.004, auc_p_holm=0.001)
    assert [text.get_text() for text in figures.comparison(frame).axes[0].texts] == ["<.01"]


def dots(figure: Figure, panel: int, colour: str) -> dict[int, float]:
    """Row -> value of the dots in one colour; rows are counted from the top."""
    drawn = [points(line) for line in figure.axes[panel].lines if line.get_color() == colour]
    return {round(dot[0][1]): dot[0][0] for dot in drawn if len(dot) == 1}


def test_classes_are_sorted_by_the_best_attack_with_the_loss_beside_it() -> None:
    frame = by_class(5)
    turned = frame["attack"] == "loss"
    frame.loc[turned, ["auc", "auc_low", "auc_high"]] = 1 - frame.loc[turned, ["auc", "auc_low", "auc_high"]].to_numpy()
    figure = figures.classes(frame, BY_AUC)
    rows = sorted((-box(text).y0, text.get_text()) for text in texts(figure))
    assert [said for _, said in rows if said in set(frame["class"])] == ["4", "3", "2", "1", "5"]
    assert dots(figure, 0, figures.BLUE) == pytest.approx({0: 0.86, 1: 0.77, 2: 0.68, 3: 0.59})  # class 5 has none
    assert dots(figure, 0, figures.MUTED) == pytest.approx({0: 0.14, 1: 0.23, 2: 0.32, 3: 0.41})
    said = [text for _, text in rows]
    assert {"0.860 [0.810, 0.910]", "one kind only", "1,004", "all classes alike: p = 0.012"} <= {
        part for text in said for part in text.split("      ")
    }
    assert not any("nan" in text for text in said)
    assert at(list(figure.axes[0].lines)) == [0.5, 0.7]


def test_of_many_classes_the_most_and_the_least_exposed_are_drawn() -> None:
    figure = figures.classes(by_class(100), BY_AUC)
    said = [text.get_text() for text in texts(figure)]
    drawn = [int(text) for text in said if text in set(by_class(100)["class"])]
    assert {name for name in drawn if name > 50} >= set(range(80, 100))
    assert len(dots(figure, 0, figures.BLUE)) == len(dots(figure, 0, figures.MUTED)) == 40
    values = sorted(dots(figure, 0, figures.BLUE).values())
    assert values == pytest.approx([0.5 + 0.45 * at / 100 for at in [*range(1, 21), *range(80, 100)]])
    assert any(text.startswith("60 classes between them are left out") for text in said)


def test_classes_without_a_better_attack_are_those_of_the_loss_alone() -> None:
    figure = figures.classes(by_class(4, ("loss",)), {"loss": BY_AUC["loss"]})
    assert len(dots(figure, 0, figures.BLUE)) == 3
    assert dots(figure, 0, figures.MUTED) == {}


def test_threat_models_have_a_row_an_attack_by_its_best_auc_and_a_colour_each() -> None:
    labels = "first", "second", "third"
    given = audits(*labels)
    given["first"][0] |= {"auc": 0.99, "auc_high": 0.995}  # correctness, the worst elsewhere
    figure = figures.threat_models(given, fpr=0.01)
    rows = sorted((-box(text).y0, text.get_text()) for text in texts(figure))
    order = [said for _, said in rows if said in ATTACKS]
    assert order == ["correctness", *reversed(ATTACKS[1:])]
    for label, colour in zip(labels, figures.COLOURS, strict=False):
        auc = {order.index(one["attack"]): one["auc"] for one in given[label]}
        assert dots(figure, 0, colour) == pytest.approx(auc)
        tpr = {order.index(one["attack"]): one.get("tpr_at_fpr_0_01") for one in given[label]}
        start = figure.axes[1].get_xlim()[0]
        known = {at: max(value, start) for at, value in tpr.items() if value is not None}
        assert dots(figure, 1, colour) == pytest.approx(known)
    missing = order.index(ATTACKS[1]), order.index(ATTACKS[2])
    assert missing[0] not in dots(figure, 0, figures.BLUE)
    assert missing[0] in dots(figure, 0, figures.VERMILION)
    assert missing[1] not in dots(figure, 1, figures.BLUE)
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "log"]
    for axes, guess in zip(figure.axes, (0.5, 0.01), strict=True):
        assert at(list(axes.lines)) == [guess]


def test_a_tpr_of_zero_is_an_arrow_at_the_edge_of_the_log_axis() -> None:
    figure = figures.threat_models(audits("population"), fpr=0.01)
    arrows = [line for line in figure.axes[1].lines if line.get_marker() == "<"]
    assert [points(line)[0][0] for line in arrows] == [figure.axes[1].get_xlim()[0]]


def test_threat_models_differ_in_more_than_colour() -> None:
    figure = figures.threat_models(audits(*SIX), fpr=0.01)
    markers = {str(line.get_marker()) for line in figure.axes[0].lines if len(points(line)) == 1}
    assert len(markers) == 6


def test_a_grid_is_drawn_as_measured_and_what_was_not_measured_has_no_dot() -> None:
    given = cells(3, 2)
    figure = cross(3, 2)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert list(panels) == [f"{a}: {m}" for m in ("AUC", "TPR at FPR 1 %") for a in ("stacked", "loss")]
    for (title, axes), key in zip(panels.items(), ("auc", "auc", "tpr", "tpr"), strict=True):
        part = given[given["attack"] == title.partition(":")[0]].dropna(subset=key)
        drawn = [dot for line in axes.lines if line.get_marker() != "None" for dot in points(line)]
        assert [round(x) for x, _ in drawn] == [int(at) // 10 - 1 for at in part["at"]]
        assert [y for _, y in drawn] == pytest.approx(list(part[key]))
        assert len({round(x, 6) for x, _ in drawn}) == len(drawn), "dots of one place stand beside each other"
        bars = [
            tuple(segment[:, 1])
            for one in axes.collections
            if isinstance(one, LineCollection)
            for segment in one.get_segments()
        ]
        assert bars == [pytest.approx(pair) for pair in zip(part[f"{key}_low"], part[f"{key}_high"], strict=True)]
        guess = [line for line in axes.lines if line.get_marker() == "None"]
        assert [points(line)[0][1] for line in guess] == [0.5 if key == "auc" else 0.01]
    said = [text.get_text() for text in texts(figure)]
    assert said.count("nothing measured") == 1
    assert [said.count(f"knowledge {one}") for one in range(3)] == [1, 1, 1]


def test_series_of_a_grid_differ_in_more_than_colour() -> None:
    lines = [line for line in cross(9, 2).axes[0].lines if line.get_marker() != "None"]
    assert len({(line.get_marker(), str(line.get_color())) for line in lines}) == 9
    assert len({line.get_marker() for line in lines[:7]}) == 7


def markers(figure: Figure) -> list[Line2D]:
    return [line for line in figure.axes[0].lines if str(line.get_marker()) != "None"]


def test_privacy_and_accuracy_are_drawn_as_measured_with_colour_and_marker_apart() -> None:
    given = traded(7)
    figure = figures.tradeoff(given)
    drawn = markers(figure)
    known = given.dropna()
    assert [points(line)[0] for line in drawn] == [
        pytest.approx(p) for p in zip(known["accuracy"], known["tpr"], strict=True)
    ]
    assert len({str(line.get_color()) for line in drawn}) == len({str(line.get_marker()) for line in drawn}) == 6
    bars = [points(line) for line in figure.axes[0].lines if len(points(line)) == 2 and line not in drawn]
    for row in known.to_dict("records"):
        x, y = row["accuracy"], row["tpr"]
        assert [(x, row["tpr_low"]), (x, row["tpr_high"])] in [[pytest.approx(p) for p in bar] for bar in bars]
        assert [(row["accuracy_low"], y), (row["accuracy_high"], y)] in [
            [pytest.approx(p) for p in bar] for bar in bars
        ]
    assert [(0, 0.01), (1, 0.01)] in bars  # guessing
    assert figure.axes[0].get_yscale() == "log"
    said = [text.get_text() for text in texts(figure)]
    assert [said.count(f"exp-{at}") for at in range(7)] == [1] * 6 + [0]
    assert "exp-6: not drawn, too few non-members" in said


@pytest.mark.parametrize("at", ["one place", "close"])
def test_markers_of_audits_as_accurate_stand_side_by_side(at: str) -> None:
    figure = figures.tradeoff(traded(7, at))
    figure.draw_without_rendering()
    places = sorted(float(line.get_transform().transform(points(line))[0][0]) for line in markers(figure))
    assert min(np.diff(places)) > 0.07 * figures.DPI
    assert [points(line)[0][0] for line in markers(figure)] == list(traded(7, at)["accuracy"])  # the number stays


def test_a_tpr_below_the_axis_is_at_its_edge_and_written_out() -> None:
    given = traded(2, "close").assign(tpr=[0.0, 0.04], tpr_low=[0.0, 0.02])
    figure = figures.tradeoff(given)
    low, high = figure.axes[0].get_ylim()
    assert points(markers(figure)[0])[0][1] == pytest.approx(low)
    assert low > 0
    assert high < 1
    assert {"exp-0: 0 %", "exp-1"} <= {text.get_text() for text in texts(figure)}


def test_curves_of_revisions_have_a_colour_and_dashes_each_and_loss_is_thin() -> None:
    figure = of_revisions(7)
    lines = steps(figure)
    looks = {(str(line.get_color()), str(line._dash_pattern[1] and len(line._dash_pattern[1]))) for line in lines}  # type: ignore[attr-defined]
    assert len({colour for colour, _ in looks}) == len(looks) == 7
    assert {round(line.get_linewidth(), 1) for line in lines} == {0.8, 1.8}
    assert len(figure.axes[0].collections) == 7  # a band for the strongest of each, none for loss
    assert {colour for colour, _ in figures.revision_keys([f"rev {at}" for at in range(1, 8)]).values()} == {
        colour for colour, _ in looks
    }
    for at, attack in enumerate(ATTACKS[1:8]):
        part = curves(8)[lambda frame, attack=attack: frame["attack"] == attack]
        drawn = [line for line in lines if str(line.get_color()) == figures.COLOURS[at]]
        for line in drawn:
            x, y = np.asarray(line.get_data())
            assert list(x) == pytest.approx(list(np.maximum(part["fpr"], 1 / N_NONMEMBER)))
            assert list(y) == pytest.approx(list(np.maximum(part["tpr"], 1 / N_NONMEMBER)))


@pytest.mark.parametrize("case", CASES)
def test_no_figure_is_wider_than_a_readme_or_too_tall_to_look_at(case: str) -> None:
    width, height = CASES[case]().get_size_inches()
    assert width <= figures.WIDTH
    assert height <= 13


LACKS = (
    "no 'attack', 'verdict', 'auc', 'auc_low', 'auc_high', 'balanced_accuracy', 'epsilon_lower', 'accuracy', "
    "'recall', 'f1', 'tp', 'fp', 'n_member', 'n_nonmember'"
)
TARGET = {"train_accuracy": 1.0, "test_accuracy": 0.5, "gap": 0.5}
DAMAGED: dict[str, tuple[Path, Any, str]] = {
    "an entry lacks keys": (
        paths.ATTACK_METRICS,
        [{"attack": "loss", "auc": 0.6, "auc_low": 0.5, "auc_high": 0.7}],
        LACKS.replace("'attack', ", "").replace("'auc', 'auc_low', 'auc_high', ", ""),
    ),
    "a number that is none": (paths.TARGET_METRICS, TARGET | {"gap": "wide"}, "'gap' is 'wide'"),
    "a yes where a number stands": (paths.TARGET_METRICS, TARGET | {"gap": True}, "'gap' is True"),
    "an attack that is no name": (paths.SELECTION, {"best": 3}, "'best' is 3"),
    "a list of metrics": (paths.NOT_APPLICABLE, [], "no names with values"),
    "no list": (paths.ATTACK_METRICS, {}, "no list of attacks"),
    "an empty list": (paths.ATTACK_METRICS, [], "no list of attacks"),
    "no entries": (
        paths.ATTACK_METRICS,
        [3],
        LACKS,
    ),
    "an entry lacks the limits of a TPR that its records resolve": (
        paths.ATTACK_METRICS,
        [
            dict.fromkeys(report.WANTED[paths.ATTACK_METRICS], 100)
            | {"attack": "a", "verdict": "b", "tpr_at_fpr_0_01": 0.5}
        ],
        "no 'tpr_at_fpr_0_01_low', 'tpr_at_fpr_0_01_high'",
    ),
    "a CSV lacks columns": (
        paths.CLASSES,
        "attack,class,n_member,auc_low\nloss,0,3,0.5\n",
        "no 'n_nonmember', 'auc', 'auc_high'",
    ),
    "a CSV lacks an attack": (
        paths.ROC_CURVES,
        "attack,fpr,tpr,tpr_low,tpr_high\nentropy,0,1,1,1\n",
        "no attack 'loss', which metrics/attacks.json has",
    ),
    "a CSV has an attack too much": (
        paths.ROC_CURVES,
        "attack,fpr,tpr,tpr_low,tpr_high\nloss,0,0,0,0\nentropy,0,1,1,1\n",
        "no attack 'entropy', which plots/roc.csv has",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_file_damaged_by_hand_is_named_with_what_it_lacks(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, content, lacks = DAMAGED[case]
    path.parent.mkdir()
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    file = paths.ATTACK_METRICS if "too much" in case else path
    said = f"{file}: damaged: {lacks}; delete it, then `dvc repro` makes it anew"
    read: Callable[[], Any] = partial(report.metrics_of, path)
    if path.suffix == ".csv":
        read = partial(report.table, path, ["loss"])
    elif path == paths.ATTACK_METRICS:
        read = partial(report.read_measured, 0.01)
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        read()


def test_every_file_that_the_report_reads_is_checked() -> None:
    read = re.findall(
        r"(?:table|complete|read_json|read_csv|metrics_of)\(paths\.(\w+)", Path(report.__file__).read_text()
    )
    assert {getattr(paths, name) for name in read} == set(report.WANTED)


def test_figures_leave_matplotlib_as_it_was() -> None:
    with matplotlib.rc_context({"font.size": 21.0, "axes.grid": False}):  # not what this file sets
        before = dict(matplotlib.rcParams)
        roc(2)
        assert dict(matplotlib.rcParams) == before


def test_figures_import_neither_torch_nor_sklearn_nor_pyplot() -> None:
    code = "import sys, mia.report.figures; print({'torch', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


# The templates of `dvc plots`, and the columns of the CSV that each one names.
TEMPLATES = {
    "roc": {"attack", "rev"},
    "roc_log": {"attack", "rev"},
    "roc_overlay": {"attack", "rev"},
    "scores": {"attack", "left", "right", "members", "nonmembers", "rev"},
    "confusion_counts": {"attack", "actual", "predicted", "count", "share", "rev"},
    "learning": {"model", "train_loss", "train_accuracy", "test_accuracy", "rev"},
    "leaderboard": {"auc_std", "fold_aucs", "rev"},
    "attacks": {"auc_low", "auc_high", "rev"},
    "comparisons": {"auc_difference", "auc_low", "auc_high", "auc_p_holm", "rev"},
    "classes": {"attack", "auc_low", "auc_high", "n_member", "n_nonmember", "rev"},
}

NUMBERS = {
    name: dict.fromkeys(columns, "number")
    for name, columns in {
        "roc": ("fpr", "tpr"),
        "roc_log": ("fpr", "tpr"),
        "roc_overlay": ("fpr", "tpr"),
        "scores": ("left", "right", "members", "nonmembers"),
        "confusion_counts": ("count", "share"),
        "learning": ("epoch", "train_loss", "train_accuracy", "test_accuracy"),
        "leaderboard": ("auc_mean", "auc_std"),
        "attacks": ("auc", "auc_low", "auc_high"),
        "comparisons": ("auc_difference", "auc_p_holm"),
        "classes": ("auc", "auc_low", "auc_high", "n_member", "n_nonmember"),
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
    assert re.fullmatch(r"[A-Z][^<>]+", spec["title"]["text"])
    # DVC hands numbers of a CSV over as text; a template that does not parse them sorts "10" before "9".
    assert set(spec["data"]["format"]["parse"].values()) == {"number"}
    # It fills placeholders into values only, never into keys.
    assert spec["data"]["format"]["parse"].items() >= NUMBERS[name].items()
    assert not re.search(r'"<DVC_[^"]*>":', text)
    for column in TEMPLATES[name]:
        assert f'"{column}"' in text or f"datum.{column}" in text
    if name in ("roc", "roc_log"):
        needed = ("X", "Y")
        assert all(f"<DVC_METRIC_{anchor}>" in text for anchor in needed)
        # In one layer only: at the top of a layered plot vega-lite makes the signal twice and draws nothing.
        assert "params" not in spec
        zooms = [layer for layer in spec["layer"] if "<DVC_METRIC_ZOOM_AND_PAN>" in layer.get("params", [])]
        assert len(zooms) == 1
        curve = zooms[0]["encoding"]
        assert (curve["color"]["field"], curve["strokeDash"]["field"]) == ("attack", "rev")
        assert zooms[0]["mark"]["interpolate"] == "step-after"
        assert (curve["x"]["scale"].get("type") == "log") == (name == "roc_log")
        # Each attack has a colour to itself; a few are picked from the start, the others faint until they are.
        colours = curve["color"]["scale"]["range"]
        assert len(set(colours)) == len(colours) >= len(ATTACKS)
        picked = next(param for param in zooms[0]["params"] if isinstance(param, dict))
        assert (curve["opacity"]["condition"]["param"], picked["bind"]) == (picked["name"], "legend")
        first = [value["attack"] for value in picked["value"]]
        assert {"loss", "learned", "stacked"} <= set(first) <= set(ATTACKS)
        assert len(first) <= figures.MOST
    if name in ("attacks", "comparisons", "classes"):
        assert all(f"<DVC_METRIC_{anchor}>" in text for anchor in ("X", "Y"))


def test_the_overlay_has_a_colour_a_revision_and_any_attack_to_pick() -> None:
    """Two revisions of 24 attacks are 48 curves in the other ROC figures: here one attack and the loss."""
    spec = json.loads((ROOT / ".dvc" / "plots" / "roc_overlay.json").read_text(encoding="utf-8"))
    (shown,) = spec["params"]
    assert shown["bind"]["options"] == list(ATTACKS)
    assert shown["value"] in ATTACKS
    assert spec["transform"][-1] == {"filter": "datum.attack === shown || datum.attack === 'loss'"}
    linear, log = (panel["layer"][1] for panel in spec["hconcat"])
    for curve, kind in ((linear, None), (log, "log")):
        assert curve["mark"]["interpolate"] == "step-after"
        assert (curve["encoding"]["color"]["field"], curve["encoding"]["detail"]["field"]) == ("rev", "attack")
        assert {curve["encoding"][axis]["scale"].get("type") for axis in "xy"} == {kind}


def test_templates_overlay_revisions_or_set_them_side_by_side() -> None:
    templates = {name: json.loads((ROOT / ".dvc" / "plots" / f"{name}.json").read_text("utf-8")) for name in TEMPLATES}
    assert templates["comparisons"]["facet"]["row"]["field"] == "rev"
    assert templates["comparisons"]["resolve"]["scale"] == {
        "x": "independent",
        "y": "independent",
    }  # each its own order
    assert templates["classes"]["facet"]["field"] == "attack"
    for layer in templates["classes"]["spec"]["layer"]:
        assert layer["encoding"]["yOffset"]["field"] == layer["encoding"]["color"]["field"] == "rev"
