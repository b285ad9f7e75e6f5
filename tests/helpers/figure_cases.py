"""Tables drawn by chance for every figure, figures of them, and what stands in a figure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import pipeline
from mia.catalogue import wanted
from mia.report.audit import drawings
from mia.report.figures import (
    absent,
    classes,
    comparison,
    confusion,
    grid,
    leaderboard,
    leak,
    learning,
    overview,
    roc,
    roc_of_revisions,
    scores,
    tradeoff,
)

ATTACKS = wanted("all")
EVERY = len(ATTACKS)
SIZES = [1, 4, EVERY]
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


def points_of(count: int) -> pd.DataFrame:
    parts = []
    for attack, (members, others) in scored(count).items():
        thresholds = np.r_[np.inf, np.unique(np.r_[members, others])[::-1]]
        rates = [np.searchsorted(np.sort(-s), -thresholds, side="right") / len(s) for s in (others, members)]
        limits = {"tpr_low": np.maximum(rates[1] - 0.05, 0), "tpr_high": np.minimum(rates[1] + 0.05, 1)}
        columns = {"fpr": rates[0], "tpr": rates[1], "threshold": thresholds, **limits}
        parts.append(pd.DataFrame({"attack": attack, **columns}))
    return pd.concat(parts, ignore_index=True)


def summary(count: int) -> dict[str, dict[str, float]]:
    step = min(0.02, 0.48 / count)
    rows = [(0.5 + step * at, 0.49 + step * at, 0.51 + step * at, 0.004 * at, 0.003 * at, 0.006 * at + 0.002)
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
        rows.append((name, float(np.mean(folds)), float(np.std(folds, ddof=1)), folds, 0))
    return pd.DataFrame(rows, columns=["estimator", "auc_mean", "auc_std", "fold_aucs", "stopped_in_round"])


def roc_of(count: int) -> Figure:
    return roc.figure(points_of(count), summary(count), fpr=0.01, n_member=N_MEMBER, n_nonmember=N_NONMEMBER)


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


def audits(*labels: str, count: int = EVERY) -> dict[str, list[dict[str, Any]]]:
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
    return grid.figure(cells(series, places, **other), x="epochs", joined=True, fpr=0.01)


def overview_of(count: int) -> Figure:
    return overview.figure(points_of(count), summary(count), fpr=0.01, n_member=N_MEMBER, n_nonmember=N_NONMEMBER)


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
    for at, (_, part) in enumerate(points_of(count + 1).groupby("attack", sort=False)):
        for role in ("strongest", "loss"):
            parts.append(part.assign(revision=f"rev {at}", role=role) if at else part.iloc[:0])
    return roc_of_revisions.figure(pd.concat(parts, ignore_index=True), n_nonmember=N_NONMEMBER, log=log)


OF_ATTACKS: dict[str, Callable[[int], Figure]] = {
    "leak": lambda count: leak.figure(summary(count), fpr=0.01),
    "roc": roc_of,
    "scores": lambda count: scores.figure(bins(count)),
    "confusion": lambda count: confusion.figure(counts(count)),
    "comparison": lambda count: comparison.figure(pairs(count)),
}
THREE = ("generated", "disjoint", "population")
SIX = tuple(f"{label}, {shadows} shadows" for shadows in (16, 64) for label in THREE)
threat_models = pipeline.script("docs/threat_models.py")

CASES: dict[str, Callable[[], Figure]] = {
    **{f"{name}-{size}": partial(make, size) for name, make in OF_ATTACKS.items() for size in SIZES},
    **{f"learning-{n}": partial(lambda n: learning.figure(history(n)), n) for n in (0, 1, 5, 40, 256)},
    "learning-one-epoch": lambda: learning.figure(history(2, epochs=1)),
    **{f"leaderboard-{n}": partial(lambda n: leaderboard.figure(board(n), chosen="extra trees"), n) for n in (1, 5)},
    "absent": lambda: absent.figure("No learning curves: the models were not trained here."),
    "absent-leaderboard": lambda: absent.figure(drawings.NO_BOARD),
    "confusion-cross-fitted": lambda: confusion.figure(counts(1), cross_fitted=True),
    **{f"comparison-{n}": partial(lambda n: comparison.figure(pairs(n)), n) for n in (2, 3, 8)},
    **{f"classes-{n}": partial(lambda n: classes.figure(by_class(n), BY_AUC), n) for n in (1, 10, 40, 41, 100)},
    **{f"overview-{n}": partial(overview_of, n) for n in (1, 4, 7, EVERY)},
    **{
        f"roc-panel-{log}-{n}": partial(
            lambda n, log: roc.panel(points_of(n), summary(n), n_nonmember=N_NONMEMBER, log=log), n, log
        )
        for n in (1, EVERY)
        for log in (False, True)
    },
    "score-panel": lambda: scores.panel(bins(1)),
    **{
        f"learning-panel-{what}-{n}": partial(lambda n, what: learning.panel(history(n), what), n, what)
        for n in (0, 5, 40)
        for what in ("accuracy", "loss")
    },
    "threat-models-3": lambda: threat_models.figure(audits(*THREE), fpr=0.01),
    "threat-models-6": lambda: threat_models.figure(audits(*SIX), fpr=0.01),
    "grid-1-1": lambda: cross(1, 1, attacks=("loss",)),
    "grid-3-2": lambda: cross(3, 2),
    "grid-1-8": lambda: cross(1, 8, attacks=("loss",)),
    "grid-9-10": lambda: cross(9, 10, name="sorted_posteriors, "),
    **{
        f"tradeoff-{at}-{n}": partial(lambda n, at: tradeoff.figure(traded(n, at)), n, at)
        for n in (1, 2, 7)
        for at in ("apart", "one place", "close")
    },
    "tradeoff-long": lambda: tradeoff.figure(traded(7, "one place", "a-name-of-an-experiment-that-is-as-long")),
    **{f"revisions-{n}-{log}": partial(of_revisions, n, log) for n in (1, 7) for log in (False, True)},
    "threat-models-1": lambda: threat_models.figure(audits("population", count=1), fpr=0.01),
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


def steps(figure: Figure) -> list[Line2D]:
    return [line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"]


def points(line: Line2D) -> list[tuple[float, float]]:
    x, y = (np.asarray(ends, dtype=np.float64) for ends in line.get_data())
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def at(lines: list[Line2D]) -> list[float]:
    """Where the vertical lines stand that run over the height of their panel."""
    return [points(line)[0][0] for line in lines if [y for _, y in points(line)] == [0, 1]]


def dots(figure: Figure, panel: int, colour: str) -> dict[int, float]:
    """Row -> value of the dots in one colour; rows are counted from the top."""
    drawn = [points(line) for line in figure.axes[panel].lines if line.get_color() == colour]
    return {round(dot[0][1]): dot[0][0] for dot in drawn if len(dot) == 1}
