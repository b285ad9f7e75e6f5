"""Every picture of the audit: pure functions from tables to matplotlib figures, and one way to save them.

This is the only file that draws with matplotlib. A figure is laid out in inches on a sheet that a README
shows at about 100 pixels an inch (8 inches: 800 pixels) and that is saved at twice that. An audit has
up to 24 attacks: where that many colours could not be told apart, a few attacks are drawn in colour and the others in
grey (`chosen`), and a few of them keep their colour in every run, so that two runs can be laid side by side; colour
never carries a meaning alone. No global state is left behind: pyplot is not used, and the style is in force only
while a figure is made or saved.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from mia.evaluation import metrics
from mia.store import atomic

DPI = 200
WIDTH = 8.0  # inches

# Okabe and Ito 2008, without the yellow, which vanishes on white.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.6), (1.2, 1.2), (6, 1.5, 1.2, 1.5), (9, 2))
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
# As many curves as there are colours can be told apart; an audit has up to 24 attacks.
MOST = len(COLOURS)
# What a reader looks for first, in every audit by the same colour, so that two runs can be laid side by side.
ALWAYS = {"loss": 1, "learned": 2, "stacked": 0}  # attack -> its place in COLOURS
# A curve of so few points gets a dot at each: one of two or three thresholds is mostly corner.
FEW = 12
INK, MUTED, GRID, PALE = "#222222", "#5F6368", "#E4E6E8", "#F4F5F6"
NOT_APART = 0.05  # from this adjusted p-value on, two attacks are not to be told apart
SHADES = 16  # of a scale of colours
LONGEST = 30  # letters of a class's name
FEW_CLASSES = 20  # of more than twice as many, so many of the most and of the least exposed
GREY = "#B4B8BC"  # of curves that are there for comparison only
THIN: dict[str, Any] = {"color": GREY, "linewidth": 0.7}

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "mia",  # names within a file depend on what is drawn
    "text.parse_math": False,  # names of classes are somebody's folders: a $ is a $
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelpad": 4.0,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 6.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.unicode_minus": True,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so the bytes do not depend on the machine's fonts
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.dash_capstyle": "butt",
    "lines.solid_capstyle": "butt",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "xtick.major.size": 3.0,
    "xtick.major.width": 0.7,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.0,
    "ytick.major.size": 3.0,
    "ytick.major.width": 0.7,
}


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as PNG: whole or not at all, and the same bytes for the same figure."""
    with atomic.file(path) as temporary, _style():
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def svg(figure: Figure) -> str:
    """`figure` as SVG: text stays text, and the same text for the same figure."""
    content = io.StringIO()
    with _style():
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return content.getvalue()


def leak(summary: Mapping[str, Mapping[str, float]], *, fpr: float) -> Figure:
    """Does the model leak? A row an attack: AUC and TPR at one low FPR, with intervals, beside guessing.

    summary: attack -> auc, auc_low, auc_high, tpr, tpr_low, tpr_high; the last three at FPR `fpr`, NaN where
    the non-members cannot resolve it. A filled dot: the whole interval lies above guessing.
    """
    with _style():
        rows = sorted(summary, key=lambda attack: -summary[attack]["auc"])
        count, pitch, bottom, top = len(rows), 0.25, 0.55, 0.64
        figure = _sheet(WIDTH, bottom + pitch * count + top)
        left = 0.2 + max(_width(figure, name, 8.5) for name in rows)
        text, gap = 1.5, 0.05  # the numbers beside each panel; the space between the two halves
        width = (WIDTH - left - 2 * text - gap - 0.1) / 2
        low_share = min(_finite([summary[a]["tpr_low"] for a in rows if summary[a]["tpr_low"] > 0] + [fpr]))
        panels = (
            ("auc", "AUC", left, 0.5, "chance that a member outscores a non-member"),
            (
                "tpr",
                f"TPR at FPR {_share(fpr)}",
                left + width + text + gap,
                fpr,
                "share of members called member",
            ),
        )
        for key, title, x, guess, label in panels:
            axes = _rows_panel(figure, (x, bottom, width, pitch * count), count, guess)
            if key == "auc":
                lows, highs = ([summary[a][f"auc_{end}"] for a in rows] for end in ("low", "high"))
                start, stop = min(*_finite([*lows, 0.48]), 0.48), max(*_finite([*highs, 0.6]), 0.6)
                axes.set_xlim(max(start - 0.01, 0.0), min(stop + 0.01, 1.0))
                axes.xaxis.set_major_locator(_ticks(5))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
            else:
                _log_axis(axes, "x", min(low_share, fpr) / 1.6)
            for at, attack in enumerate(rows):
                value, low, high = (summary[attack][f"{key}{end}"] for end in ("", "_low", "_high"))
                said_at = (x + width + 0.1) / WIDTH, (bottom + pitch * (count - at - 0.5)) / _height(figure)
                if not np.isfinite(value):
                    figure.text(*said_at, "too few non-members", color=MUTED, va="center", fontsize=8)
                    continue
                floor = axes.get_xlim()[0]
                axes.plot([max(low, floor), high], [at, at], color=BLUE, linewidth=1.8, zorder=2)
                axes.plot(
                    [max(value, floor)],
                    [at],
                    marker="o" if value >= floor else "<",  # the arrow: the value lies beyond the axis
                    markersize=5.5,
                    markeredgewidth=1.4,
                    color=BLUE,
                    markerfacecolor=BLUE if low > guess else "white",
                    clip_on=False,
                    zorder=3,
                )
                figure.text(*said_at, _interval(value, low, high, 3 if key == "auc" else 4), va="center", fontsize=8)
                if key == "auc":
                    figure.text((left - 0.1) / WIDTH, said_at[1], attack, ha="right", va="center")
            head = (bottom + pitch * count + 0.12) / _height(figure)
            figure.text(x / WIDTH, head, title, weight="bold", fontsize=9.5, va="bottom")
            figure.text((x + width + 0.1) / WIDTH, head, "value [95 %]", color=MUTED, fontsize=8, va="bottom")
            axes.set_xlabel(label, x=0.5, fontsize=8.5)
        notes = (
            "dashed line: guessing",
            "filled dot: the whole interval lies above guessing",
            "hollow: it does not",
        )
        _put(figure, 0.1, _height(figure) - 0.16, "      ".join(notes), color=MUTED, fontsize=8)
        return figure


def overview(
    curves: pd.DataFrame, summary: Mapping[str, Mapping[str, float]], *, fpr: float, n_member: int, n_nonmember: int
) -> Figure:
    """An audit at one glance: the `chosen` attacks' TPR at a low FPR as rows, and their ROC curves on log-log axes.

    The rows are the curves' legend. curves, summary: as in `roc`; a TPR that is NaN has no dot.
    """
    with _style():
        looks, others = _roc_looks(curves, summary)
        rows = sorted(looks, key=lambda attack: -np.nan_to_num(summary[attack]["tpr"], nan=-1.0))
        count, bottom, side, pitch = len(rows), 0.52, 2.9, 0.3
        figure = _sheet(WIDTH, bottom + side + 0.42)
        names = max(_width(figure, name, 8.5) for name in rows)
        left, numbers = 0.62 + names, 1.3
        x_roc = WIDTH - side - 0.12
        width = x_roc - 0.72 - numbers - left
        high = pitch * count
        y = bottom + side - high - 0.02
        axes = _rows_panel(figure, (left, y, width, high), count, fpr)
        values = _finite([summary[attack][key] for attack in rows for key in ("tpr_low", "tpr_high")])
        least = min([fpr, *(value for value in values if value > 0)])
        _log_axis(axes, "x", max(least, fpr / 5) / 1.3, stop=min(1.0, max([10 * fpr, *values]) * 1.3))
        axes.set_xlabel("share of members called member", fontsize=8)
        floor = axes.get_xlim()[0]
        for at, attack in enumerate(rows):
            value, low, top = _tpr(summary[attack])
            y_row = y + pitch * (count - at - 0.5)
            look = looks[attack]
            _key(figure, 0.1, y_row, **look)
            _put(figure, 0.55, y_row, attack)
            if not np.isfinite(value):
                _put(figure, left + width + 0.08, y_row, "too few non-members", color=MUTED, fontsize=8)
                continue
            axes.plot([max(low, floor), max(top, floor)], [at, at], color=look["color"], linewidth=1.8, zorder=2)
            axes.plot(
                [max(value, floor)],
                [at],
                marker="o" if value >= floor else "<",
                markersize=5.5,
                markeredgewidth=1.4,
                color=look["color"],
                markerfacecolor=look["color"] if low > fpr else "white",
                clip_on=False,
                zorder=3,
            )
            said = f"{100 * value:.1f} [{100 * low:.1f}, {100 * top:.1f}] %"
            _put(figure, left + width + 0.08, y_row, said, fontsize=8)
        head = _height(figure) - 0.14
        _put(figure, 0.1, head, f"TPR at FPR {_share(fpr)}", weight="bold", fontsize=9.5)
        said = f"dashed: guessing; filled: surely above it\nbands: 95 % limits of {' and '.join(banded(list(looks)))}"
        said += f"\ngrey: {len(others)} other attacks" if others else ""
        said += f"\n{n_member:,} members, {n_nonmember:,} non-members"
        _put(figure, 0.1, 0.36, said, color=MUTED, fontsize=8, linespacing=1.5)
        log = _axes(figure, x_roc, bottom, side, side)
        _roc_panel(log, curves, looks, others, n_nonmember=n_nonmember, start=1.0 / n_nonmember)
        log.set_title("ROC, both axes logarithmic")
        return figure


def chosen(summary: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the attacks that are drawn in colour, best first: all of up to seven; of more, six at the most.

    summary: attack -> auc, tpr (at one low FPR; NaN where unknown). Of more than seven: the best by AUC, the best
    by TPR, loss, learned and stacked; then the next by AUC, until there are six.
    """
    ranked = sorted(summary, key=lambda attack: -summary[attack]["auc"])
    if len(ranked) <= MOST:
        return ranked
    strict = max(ranked, key=lambda attack: np.nan_to_num(summary[attack]["tpr"], nan=-1.0))
    first = dict.fromkeys([ranked[0], strict, *(attack for attack in ALWAYS if attack in summary), *ranked])
    picked = list(first)[: MOST - 1]
    return [attack for attack in ranked if attack in picked]


def roc(
    curves: pd.DataFrame, summary: Mapping[str, Mapping[str, float]], *, fpr: float, n_member: int, n_nonmember: int
) -> Figure:
    """ROC curves of all attacks, on linear and on log-log axes; the second shows what few false alarms buy.

    The `chosen` have a colour and a line in the legend, the others are thin and grey. Bands around the best and the
    loss are their limits, one FPR at a time: more bands than two hide each other.
    curves: attack, fpr, tpr, tpr_low, tpr_high; a row a threshold, from strict to lax. Drawn as steps, so that a curve
    shows no rate which a threshold cannot reach; where many scores tie (correctness) the area under the steps is
    therefore less than the AUC, which counts a tie as one half. The log panel starts at 1 / `n_nonmember`,
    the smallest FPR that can be observed; what lies below (an FPR of 0 above all) is drawn on its edge.
    summary: attack -> auc, auc_low, auc_high, tpr, tpr_low, tpr_high; the last three at FPR `fpr`, NaN where the
    non-members cannot resolve it.
    """
    with _style():
        looks, others = _roc_looks(curves, summary)
        shown = list(looks)
        rows = [(attack, looks[attack], _auc(summary[attack]), _tpr(summary[attack])) for attack in shown]
        names = max(_width(_sheet(1, 1), name, 8.5) for name in [*shown, "00 other attacks"])
        row, sample, numbers = 0.185, 0.5, 1.85
        legend = row * (len(rows) + bool(others)) + 0.52
        side, bottom, left = 3.2, legend + 0.42, 0.62
        figure = _sheet(WIDTH, bottom + side + 0.58)
        linear = _axes(figure, left, bottom, side, side)
        log = _axes(figure, WIDTH - side - 0.2, bottom, side, side)
        floor = 1.0 / n_nonmember
        for axes, start in ((linear, 0.0), (log, floor)):
            _roc_panel(axes, curves, looks, others, n_nonmember=n_nonmember, start=start)
        ends = [left + sample + names + numbers + at * (numbers + 0.1) for at in range(2)]
        head = legend - 0.3
        _put(figure, left + sample, head, "attack", color=MUTED, fontsize=8)
        for end, said in zip(ends, ("AUC [95 %]", f"TPR at FPR {_share(fpr)} [95 %]"), strict=True):
            _put(figure, end, head, said, color=MUTED, fontsize=8, ha="right")
        for at, (attack, look, auc, tpr) in enumerate(rows):
            y_row = head - 0.18 - row * at
            _key(figure, left, y_row, **look)
            _put(figure, left + sample, y_row, attack)
            _put(figure, ends[0], y_row, _interval(*auc, 3), ha="right")
            known = np.isfinite(tpr[0])
            said = _interval(*tpr, 4) if known else "too few non-members"
            _put(figure, ends[1], y_row, said, ha="right", color=INK if known else MUTED)
        if others:
            y_row = head - 0.18 - row * len(rows)
            _key(figure, left, y_row, **THIN)
            plural = f"{len(others)} other attack{'s' if len(others) > 1 else ''}"
            _put(figure, left + sample, y_row, plural, color=MUTED)
            _put(figure, ends[1] + 0.25, y_row, "(by name: plots/leak.png)", color=MUTED, fontsize=8)
            for end, key, digits in zip(ends, ("auc", "tpr"), (3, 4), strict=True):
                values = _finite([summary[attack][key] for attack in others])
                if values.size:
                    said = f"{values.min():.{digits}f} to {values.max():.{digits}f}"
                    _put(figure, end, y_row, said, ha="right", color=MUTED)
        said = f"bands: 95 % limits of {' and '.join(banded(shown))}      "
        said += f"{n_member:,} members, {n_nonmember:,} non-members: the smallest FPR above 0 is {floor:.2g}"
        _put(figure, WIDTH - 0.2, _height(figure) - 0.12, said, ha="right", color=MUTED, fontsize=8)
        return figure


def roc_panel(
    curves: pd.DataFrame, summary: Mapping[str, Mapping[str, float]], *, n_nonmember: int, log: bool
) -> Figure:
    """One of the two panels of `roc` alone, without a legend, which `roc_keys` describes."""
    with _style():
        looks, others = _roc_looks(curves, summary)
        figure = _sheet(4.4, 4.2)
        axes = _axes(figure, 0.66, 0.52, 3.4, 3.4)
        _roc_panel(axes, curves, looks, others, n_nonmember=n_nonmember, start=1.0 / n_nonmember if log else 0.0)
        return figure


def roc_keys(curves: pd.DataFrame, summary: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[str, str]]:
    """Colour (#RRGGBB) and dashes (as in SVG's stroke-dasharray, or "none") of each attack that `roc` has in colour."""
    looks, _ = _roc_looks(curves, summary)
    return {attack: _key_of(look) for attack, look in looks.items()}


def _key_of(look: Mapping[str, Any]) -> tuple[str, str]:
    line = look["linestyle"]
    dashes = "none" if line == "solid" else " ".join(f"{length * look['linewidth']:.3g}" for length in line[1])
    return look["color"], dashes


def banded(shown: Sequence[str]) -> list[str]:
    """Which of the attacks shown, best first, have a band: the best, and loss or else the last."""
    return list(dict.fromkeys([shown[0], "loss" if "loss" in shown else shown[-1]]))


def _roc_looks(
    curves: pd.DataFrame, summary: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """How the `chosen` are drawn, best first, and which the others are."""
    attacks = list(dict.fromkeys(curves["attack"]))
    sizes = curves["attack"].value_counts()
    shown = chosen({attack: summary[attack] for attack in attacks})
    places = _places([attack for attack in attacks if attack in shown])
    looks = {attack: _look(places[attack], few=bool(sizes[attack] <= FEW)) for attack in shown}
    return looks, [attack for attack in attacks if attack not in shown]


def _roc_panel(
    axes: Axes,
    curves: pd.DataFrame,
    looks: Mapping[str, Mapping[str, Any]],
    others: Sequence[str],
    *,
    n_nonmember: int,
    start: float,
) -> None:
    """ROC curves on linear axes (start 0), or on log-log axes from `start`; the best is drawn last, on top."""
    _roc_frame(axes, n_nonmember=n_nonmember, start=start)
    for attack in [*others, *reversed(list(looks))]:
        look = {**looks[attack], "zorder": 2} if attack in looks else {**THIN, "zorder": 1.7}
        _roc_curve(axes, curves[curves["attack"] == attack], start=start, band=attack in banded(list(looks)), look=look)


def _roc_curve(axes: Axes, points: pd.DataFrame, *, start: float, band: bool, look: Mapping[str, Any]) -> None:
    """One curve as steps, no lower than `start`, with or without its limits. points: fpr, tpr, tpr_low, tpr_high."""
    x, y, low, high = (points[name].to_numpy(np.float64) for name in ("fpr", "tpr", "tpr_low", "tpr_high"))
    on_axes = np.flatnonzero((x > 0) & (y > 0)).tolist()  # a dot on the edge would be a lie
    x = np.maximum(x, start)
    axes.plot(x, np.maximum(y, start), drawstyle="steps-post", markevery=on_axes, **look)
    if band:
        last = np.append(x[1:] > x[:-1], True)  # of the points at one FPR the highest: the limits are of that
        low, high = np.maximum(low, start), np.maximum(high, start)
        axes.fill_between(
            x[last], low[last], high[last], step="post", color=look["color"], alpha=0.18, linewidth=0, zorder=1.6
        )


def _roc_frame(axes: Axes, *, n_nonmember: int, start: float) -> None:
    """Axes for ROC curves with the line of guessing: linear (start 0), or log-log from `start`."""
    floor, log = 1.0 / n_nonmember, start > 0
    axes.set_title("Log-log axes: few false alarms" if log else "Linear axes")
    axes.set_xlabel("FPR: share of non-members called member")
    axes.set_ylabel("TPR: share of members called member")
    axes.plot([floor, 1], [floor, 1], color=MUTED, linewidth=1.0, dashes=(1.5, 1.5), zorder=1.5)
    if log:
        for which in ("x", "y"):
            _log_axis(axes, which, floor, n_nonmember)
        middle = floor**0.25
        place = middle, middle * floor**0.06
    else:
        axes.plot([0, floor], [0, floor], color=MUTED, linewidth=1.0, zorder=1.5)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
        place = 0.82, 0.75
    axes.text(*place, "guessing", color=MUTED, rotation=45, ha="center", va="top", rotation_mode="anchor")


def roc_of_revisions(curves: pd.DataFrame, *, n_nonmember: int, log: bool) -> Figure:
    """ROC curves of up to seven revisions, one panel: a colour and dashes each, which `revision_keys` describes.

    curves: revision, role ("strongest" or "loss"), fpr, tpr, tpr_low, tpr_high; a row a threshold, from strict to lax.
    The strongest attack of each is thick, with its limits as a band, one FPR at a time; loss is thin. Drawn as `roc`
    draws. n_nonmember: the most that a revision has, whose smallest FPR is where log axes begin.
    """
    with _style():
        revisions = list(dict.fromkeys(curves["revision"]))
        assert 1 <= len(revisions) <= MOST, "one colour a revision"
        figure = _sheet(4.4, 4.2)
        axes = _axes(figure, 0.66, 0.52, 3.4, 3.4)
        start = 1.0 / n_nonmember if log else 0.0
        _roc_frame(axes, n_nonmember=n_nonmember, start=start)
        for role in ("loss", "strongest"):
            for place, revision in reversed(list(enumerate(revisions))):
                points = curves[(curves["revision"] == revision) & (curves["role"] == role)]
                if points.empty:
                    continue
                thick = role == "strongest"
                look = {**_look(place, few=False), "linewidth": 1.8 if thick else 0.8, "zorder": 2 + 0.2 * thick}
                _roc_curve(axes, points, start=start, band=thick, look=look)
        return figure


def revision_keys(revisions: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour (#RRGGBB) and dashes (as in SVG's stroke-dasharray, or "none") of each, as `roc_of_revisions` has them."""
    return {revision: _key_of(_look(place, few=False)) for place, revision in enumerate(revisions)}


def tradeoff(found: pd.DataFrame) -> Figure:
    """What does privacy cost, and accuracy? A marker an audit: its accuracy on non-members, and what is recognised.

    found: label, accuracy, accuracy_low, accuracy_high (shares of the non-members), tpr, tpr_low, tpr_high, fpr; a row
    an audit, at most seven, all TPRs at the one FPR `fpr`. The better audit lies further right and further down. A TPR
    below the axis, 0 above all, is drawn on its edge and written out. NaN: nothing is drawn, and a line says of whom.
    Markers that would hide each other for being as accurate stand side by side.
    """
    assert 1 <= len(found) <= MOST, "one colour an audit"
    with _style():
        looks = [(COLOURS[at], MARKERS[at]) for at in range(len(found))]
        rows = list(zip(found.to_dict("records"), looks, strict=True))
        known = [(row, look) for row, look in rows if np.isfinite(row["tpr"])]
        unknown = [_short(str(row["label"])) for row, _ in rows if not np.isfinite(row["tpr"])]
        fpr, left, bottom, width, height = float(found["fpr"].iloc[0]), 0.74, 0.52, 4.3, 3.5
        figure = _sheet(5.2, bottom + height + 0.5 + 0.17 * len(unknown))
        axes = _axes(figure, left, bottom, width, height)
        ends = _finite([*found["accuracy_low"], *found["accuracy_high"]])
        margin = 0.06 * (ends.max() - ends.min()) or 0.01
        axes.set_xlim(
            max(ends.min() - margin, 0.0), min(ends.max() + margin, 1.0) if ends.max() < 1 else 1 + margin / 2
        )
        axes.xaxis.set_major_locator(_ticks(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %" if value <= 1 else ""))
        # A low limit far below guessing says no more than one that ends at the edge.
        lows = [row[key] for row, _ in known for key in ("tpr", "tpr_low") if row[key] > 0]
        floor = max(min([*lows, fpr]), fpr / 10) / 1.3
        ceiling = min(1.0, 1.5 * max([2 * fpr, *(row["tpr_high"] for row, _ in known)]))
        _percent_axis(axes, floor, ceiling)
        axes.set_xlabel("accuracy on non-members: share classified correctly")
        axes.set_ylabel(f"members recognised at {_share(fpr)} FPR (TPR)")
        axes.axhline(fpr, color=INK, linewidth=1.0, dashes=(2, 1.5), zorder=1.5)
        guess = float(axes.transData.transform((0, fpr))[1]) / DPI
        wide = _width(figure, "guessing", 8.0)
        _put(figure, left + width, guess + 0.08, "guessing", color=MUTED, fontsize=8, ha="right")
        taken: list[Box] = [(left + width - wide, guess, left + width, guess + 0.16)]
        taken.append((left, guess - 0.02, left + width, guess + 0.02))
        per_inch = width / (axes.get_xlim()[1] - axes.get_xlim()[0])
        dots = []
        for (row, look), aside in zip(known, _aside([row["accuracy"] * per_inch for row, _ in known]), strict=True):
            dot, boxes = _audit(axes, row, look, floor, aside)
            dots.append(dot)
            taken += boxes
        for (row, (colour, _)), dot in zip(known, dots, strict=True):
            below = f": {100 * row['tpr']:.2g} %" if row["tpr"] < floor else ""
            within = left + 0.03, bottom + 0.03, left + width + 0.12, bottom + height
            said = _short(str(row["label"])) + below
            taken.append(_label(figure, said, dot, taken, within, colour))
        notes = "bars: 95 % intervals; further right: more accurate; further down: leaks less"
        _put(figure, 0.1, _height(figure) - 0.16, notes, color=MUTED, fontsize=8)
        for at, name in enumerate(unknown):
            said = f"{name}: not drawn, too few non-members"
            _put(figure, 0.1, _height(figure) - 0.33 - 0.17 * at, said, color=MUTED, fontsize=8)
        return figure


Box = tuple[float, float, float, float]  # inches: x0, y0, x1, y1


def _audit(
    axes: Axes, row: Mapping[Any, Any], look: tuple[str, str], floor: float, aside: float
) -> tuple[tuple[float, float], list[Box]]:
    """One marker of `tradeoff` with its bars, moved `aside` inches; where it stands, and what it covers."""
    (colour, marker), figure = look, axes.figure
    moved = axes.transData + ScaledTranslation(aside, 0, figure.dpi_scale_trans)
    x, y = row["accuracy"], max(row["tpr"], floor)
    bars = (
        ([x, x], [max(row["tpr_low"], floor), max(row["tpr_high"], floor)]),
        ([row["accuracy_low"], row["accuracy_high"]], [y, y]),
    )
    boxes: list[Box] = []
    for bar in bars:
        axes.plot(*bar, color=colour, linewidth=1.3, alpha=0.75, zorder=2, transform=moved)
        (x0, y0), (x1, y1) = moved.transform(np.transpose(bar)) / DPI
        boxes.append((x0 - 0.02, y0 - 0.02, x1 + 0.02, y1 + 0.02))
    white: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.4}
    axes.plot([x], [y], marker, color=colour, markersize=8, **white, clip_on=False, zorder=3, transform=moved)
    across, up = (float(place) / DPI for place in moved.transform((x, y)))
    return (across, up), [*boxes, (across - 0.08, up - 0.08, across + 0.08, up + 0.08)]


def _label(figure: Figure, said: str, dot: tuple[float, float], taken: Sequence[Box], within: Box, colour: str) -> Box:
    """Write what a marker is called beside it, or where there is room, with a line to it; what the label covers."""
    wide, high = _width(figure, said, 8.5) + 0.02, 0.15
    x, y = _free(dot, (wide, high), taken, within)
    near = float(np.clip(dot[0], x, x + wide)), float(np.clip(dot[1], y, y + high))
    if np.hypot(near[0] - dot[0], near[1] - dot[1]) > 0.2:
        ends = np.array([dot, near]) / (figure.get_figwidth(), _height(figure))
        figure.add_artist(Line2D(*ends.T, color=colour, linewidth=0.8, zorder=1.8))
    _put(figure, x + 0.01, y + high / 2, said)
    return x, y, x + wide, y + high


def _aside(places: Sequence[float]) -> list[float]:
    """How far, in inches, markers at these places (inches) are moved so that none stands in another's column."""
    apart = 0.16
    order = sorted(range(len(places)), key=lambda at: places[at])
    groups: list[list[int]] = []
    for at in order:
        if groups and places[at] - places[groups[-1][-1]] < apart / 2:
            groups[-1].append(at)
        else:
            groups.append([at])
    moved = [0.0] * len(places)
    for group in groups:
        middle = sum(places[at] for at in group) / len(group)
        for rank, at in enumerate(sorted(group)):  # in the order given
            if len(group) > 1:
                moved[at] = middle + apart * (rank - (len(group) - 1) / 2) - places[at]
    return moved


def _free(
    dot: tuple[float, float],
    size: tuple[float, float],
    taken: Sequence[Box],
    within: Box,
) -> tuple[float, float]:
    """The lower left corner of a label's box near a marker, where nothing is yet; inches.

    Beside the marker first, then on ever wider rings around it; where there is no room at all, the place that covers
    least.
    """
    wide, high = size
    best: tuple[float, tuple[float, float]] | None = None
    for away in np.arange(0.12, 5.0, 0.06):
        for turn in np.linspace(0, 2 * np.pi, 24, endpoint=False):
            # The point of the box that is nearest to the marker lies on the ring.
            x = dot[0] + away * float(np.cos(turn)) - wide * (1 - float(np.sign(np.round(np.cos(turn), 6)))) / 2
            y = dot[1] + away * float(np.sin(turn)) - high * (1 - float(np.sin(turn))) / 2
            if x < within[0] or y < within[1] or x + wide > within[2] or y + high > within[3]:
                continue
            covered = sum(
                max(0.0, min(x + wide, x1) - max(x, x0)) * max(0.0, min(y + high, y1) - max(y, y0))
                for x0, y0, x1, y1 in taken
            )
            if covered == 0:
                return x, y
            if best is None or covered < best[0]:
                best = covered, (x, y)
    assert best is not None, "a label is no wider than the panel"
    return best[1]


def _percent_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic y axis of shares, ticks at 1, 2 and 5 of each decade, as percent."""
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = [float(f"{digit}e{power}") for power in range(-9, 1) for digit in (1, 2, 5)]
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.yaxis.set_major_locator(FixedLocator(shown))
    axes.yaxis.set_major_formatter(FixedFormatter([f"{100 * tick:.3g} %" for tick in shown]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def scores(bins: pd.DataFrame) -> Figure:
    """Histograms of every attack's scores, members over non-members.

    bins: attack, left, right, members, nonmembers. The last two are shares of all members and of all
    non-members; each sums to 1, so that a panel shows no difference when there are merely more of the one.
    """
    with _style():
        attacks = list(dict.fromkeys(bins["attack"]))
        size = 9.0 if len(attacks) <= 6 else 8.0  # of the names
        widest = max(_width(_sheet(1, 1), name, size, "bold") for name in attacks)
        left, right, gap_x, gap_y, bottom, top = 0.98, 0.15, 0.5, 0.56, 0.52, 0.66
        # A name may run on into the space between two panels, the last one of a row up to the sheet's edge.
        wide = {n: (WIDTH - left - right - gap_x * (n - 1)) / n for n in (1, 2, 3)}
        columns = max(n for n in wide if n == 1 or (n <= len(attacks) and widest < wide[n] + right - 0.05))
        rows, width = -(-len(attacks) // columns), wide[columns]
        height = 1.7 if rows == 1 else 1.25 if rows <= 4 else 0.9
        figure = _sheet(WIDTH, bottom + rows * height + (rows - 1) * gap_y + top)
        for at, attack in enumerate(attacks):
            column, row = at % columns, at // columns
            y = bottom + (rows - 1 - row) * (height + gap_y)
            axes = _axes(figure, left + column * (width + gap_x), y, width, height)
            _score_panel(axes, bins[bins["attack"] == attack])
            axes.set_title(attack, fontsize=size, pad=4)
        high = bottom + rows * height + (rows - 1) * gap_y
        _put(
            figure,
            left + (WIDTH - left - 0.15) / 2,
            0.14,
            "score (higher = more likely a member)",
            ha="center",
            fontsize=9,
        )
        says = "share of records in each bin\n(each group sums to 1)"
        _put(figure, 0.3, (bottom + high) / 2, says, rotation=90, ha="center", fontsize=9)
        y = _height(figure) - 0.18
        box = (left / WIDTH, (y - 0.06) / _height(figure)), 0.3 / WIDTH, 0.12 / _height(figure)
        figure.add_artist(
            Rectangle(*box, facecolor=matplotlib.colors.to_rgba(BLUE, 0.22), edgecolor=BLUE, linewidth=1.3)
        )
        _put(figure, left + 0.38, y, "members, as shares of all members")
        start = left + 2.75
        _key(figure, start, y, color=VERMILION, linewidth=1.5, linestyle=(0, (3.5, 1.2)))
        _put(figure, start + 0.46, y, "non-members, as shares of all non-members")
        return figure


def score_panel(bins: pd.DataFrame) -> Figure:
    """The panel of `scores` of one attack alone. bins: its rows."""
    with _style():
        figure = _sheet(3.9, 2.3)
        axes = _axes(figure, 0.66, 0.5, 3.1, 1.65)
        _score_panel(axes, bins)
        axes.set_xlabel("score (higher = more likely a member)")
        axes.set_ylabel("share of its group")
        return figure


def _score_panel(axes: Axes, part: pd.DataFrame) -> None:
    part = part.sort_values("left")
    edges = np.append(part["left"].to_numpy(np.float64), part["right"].to_numpy(np.float64)[-1])
    members, others = (part[name].to_numpy(np.float64) for name in ("members", "nonmembers"))
    axes.stairs(members, edges, fill=True, color=BLUE, alpha=0.22, linewidth=0)
    axes.stairs(members, edges, color=BLUE, linewidth=1.3)
    axes.stairs(others, edges, color=VERMILION, linewidth=1.3, linestyle=(0, (3.5, 1.2)))
    margin = 0.02 * (edges[-1] - edges[0]) or 0.5
    axes.set_xlim(edges[0] - margin, edges[-1] + margin)
    axes.set_ylim(0, 1.08 * max(members.max(), others.max(), 1e-9))
    axes.xaxis.set_major_locator(_ticks(4))
    axes.yaxis.set_major_locator(_ticks(3))
    axes.grid(False, axis="x")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))


def confusion(counts: pd.DataFrame) -> Figure:
    """Hard decisions of every attack at the threshold chosen on the shadow models.

    counts: attack, actual (member or non-member), predicted (the same), count; a missing pair counts as 0.
    Shares are of the row, so the left column reads TPR over FPR whatever the number of members.
    """
    with _style():
        attacks, kinds = list(dict.fromkeys(counts["attack"])), ("member", "non-member")
        left, tall, gap_x, gap_y, bottom, top = 1.05, 0.46, 0.12, 0.34, 0.5, 0.62
        cell = max(0.8, *(_width(_sheet(1, 1), name, 8.5, "bold") / 2 for name in attacks))
        columns = min(4, len(attacks), int((WIDTH - 0.15 - left + gap_x) / (2 * cell + gap_x)))
        rows = -(-len(attacks) // columns)
        width = left + columns * 2 * cell + (columns - 1) * gap_x + 0.15
        figure = _sheet(max(width, 4.6), bottom + rows * 2 * tall + (rows - 1) * gap_y + top)
        shades = matplotlib.colors.LinearSegmentedColormap.from_list("shares", ["#FFFFFF", "#8DBFDD"])
        for at, attack in enumerate(attacks):
            column, row = at % columns, at // columns
            y = bottom + (rows - 1 - row) * (2 * tall + gap_y)
            axes = _axes(figure, left + column * (2 * cell + gap_x), y, 2 * cell, 2 * tall)
            axes.grid(False)
            axes.set(xlim=(0, 2), ylim=(2, 0), xticks=[], yticks=[])
            axes.set_title(attack, fontsize=8.5, pad=4)
            for spine in axes.spines.values():
                spine.set_visible(True)
            part = counts[counts["attack"] == attack]
            table = part.pivot_table(index="actual", columns="predicted", values="count", aggfunc="sum")
            table = table.reindex(index=list(kinds), columns=list(kinds)).fillna(0)
            for down, actual in enumerate(kinds):
                total = float(table.loc[actual].sum())
                for across, predicted in enumerate(kinds):
                    count = float(table.loc[actual, predicted])
                    share = count / total if total else float("nan")
                    face = shades(share if total else 0.0)
                    axes.add_patch(Rectangle((across, down), 1, 1, facecolor=face, edgecolor="white", linewidth=1))
                    rate = ("TPR ", "FPR ")[down] if predicted == "member" else ""
                    said = f"{rate}{100 * share:.1f} %" if total else "no records"
                    axes.text(across + 0.5, down + 0.34, f"{count:,.0f}", ha="center", va="center", fontsize=8.5)
                    axes.text(across + 0.5, down + 0.72, said, ha="center", va="center", fontsize=7.5, color=INK)
            if column == 0:
                axes.set_yticks([0.5, 1.5], kinds)
                axes.tick_params(axis="y", length=0)
            if at + columns >= len(attacks):
                axes.set_xticks([0.5, 1.5], kinds)
                axes.tick_params(axis="x", length=0)
        _put(
            figure,
            0.16,
            bottom + (rows * 2 * tall + (rows - 1) * gap_y) / 2,
            "actually",
            rotation=90,
            ha="center",
            fontsize=9,
        )
        middle = left + (columns * 2 * cell + (columns - 1) * gap_x) / 2
        _put(figure, middle, 0.14, "called by the attack", ha="center", fontsize=9)
        note = "Records, and their share of the row.\nThreshold chosen on the shadow models."
        if figure.get_figwidth() > 6:
            note = note.replace("\n", " ")
        _put(figure, 0.1, _height(figure) - 0.22, note, color=MUTED, fontsize=8)
        return figure


def comparison(frame: pd.DataFrame) -> Figure:
    """Is one attack better than another? A cell a pair: by how much the AUC differs, or a ring where that is not sure.

    frame: attack_a, attack_b, auc_difference, auc_p_holm; a row a pair, attack_a the one with the higher AUC. Each name
    stands once, at the end of its row and under its column: the better attack lies left of a cell, the worse one below.
    A ring: Holm's adjusted p is `NOT_APART` or more. One attack has no pair, and the figure says so.
    """
    with _style():
        wins = frame["attack_a"].value_counts()
        named = list(dict.fromkeys([*frame["attack_a"], *frame["attack_b"]]))
        names = sorted(named, key=lambda name: -int(wins.get(name, 0)))
        if not names:
            figure = _sheet(WIDTH, 0.5)
            _put(figure, 0.1, 0.25, "One attack: there is no other to compare it with.", color=MUTED)
            return figure
        count, bottom, top = len(names), 0.95, 0.5
        lengths = [_width(_sheet(1, 1), name, 8.5) for name in names]
        # The name of row i ends under column i: room is short for the first rows only.
        cell = min(0.5, *((WIDTH - 0.35 - lengths[at]) / (count - 1 - at) for at in range(count - 1)))
        left = 0.2 + max(length - cell * at for at, length in enumerate(lengths))
        side = cell * (count - 1)
        figure = _sheet(max(left + side + 0.15, 5.2), bottom + side + cell + top)
        axes = _axes(figure, left, bottom + cell, side, side)
        axes.set(xlim=(1, count), ylim=(count - 1, 0), xticks=[], yticks=[])
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        most = max(float(frame["auc_difference"].max()), 1e-4)
        places = {name: at for at, name in enumerate(names)}
        for pair in frame[["attack_a", "attack_b", "auc_difference", "auc_p_holm"]].itertuples(index=False):
            row, column = places[str(pair.attack_a)], places[str(pair.attack_b)]
            difference, p = float(pair.auc_difference), float(pair.auc_p_holm)  # type: ignore[arg-type]
            face = _shade(difference / most)
            axes.add_patch(Rectangle((column, row), 1, 1, facecolor=face, edgecolor="white", linewidth=1))
            if p < NOT_APART:
                said = f"{difference:.2f}".lstrip("0") if difference >= 0.005 else "<.01"
                axes.text(column + 0.5, row + 0.5, said, ha="center", va="center", fontsize=6.5 if cell < 0.4 else 8)
            else:
                _ring(axes, column + 0.5, row + 0.5)
        for at, name in enumerate(names):
            _put(figure, left + cell * at - 0.06, bottom + cell * (count - at - 0.5), name, ha="right")
        said = "AUC of the attack left of a cell, less that of the attack below it"
        _put(figure, 0.1, _height(figure) - 0.2, said, weight="bold", fontsize=9)
        bar = _axes(figure, 0.3, 0.5, 2.0, 0.12)
        bar.grid(False)
        for at in range(SHADES):  # no image: the page that holds this figure has a dark side too
            ends = most * at / SHADES, most / SHADES
            bar.add_patch(Rectangle((ends[0], 0), ends[1], 1, facecolor=_shade(at / (SHADES - 1)), linewidth=0))
        bar.set(yticks=[], xlim=(0, most), ylim=(0, 1))
        bar.xaxis.set_major_locator(_ticks(4))
        bar.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        bar.set_xlabel("difference of AUC", fontsize=8)
        keys = _axes(figure, 2.6, 0.44, 0.24, 0.24)
        keys.set(xlim=(0, 1), ylim=(0, 1))
        keys.set_axis_off()
        _ring(keys, 0.5, 0.5)
        said = f"not to be told apart: p ≥ {NOT_APART:g}\n(DeLong, adjusted after Holm)"
        _put(figure, 2.92, 0.56, said, fontsize=8, linespacing=1.4)
        return figure


def classes(frame: pd.DataFrame, attacks: Mapping[str, Mapping[str, float]]) -> Figure:
    """Whose records does the model give away? A row a class: AUC of the best attack, the loss in grey beside it.

    frame: attack, class, n_member, n_nonmember, auc, auc_low, auc_high; the last three NaN where a class has records of
    one kind only. attacks: attack -> auc (over all classes, drawn as a line) and, where known, classes_alike_p.
    Of more than 40 classes the 20 most exposed and the 20 least.
    """
    with _style():
        best = max(attacks, key=lambda attack: attacks[attack]["auc"])
        ranked = frame[frame["attack"] == best].sort_values("auc", ascending=False, kind="stable")
        left_out = len(ranked) - 2 * FEW_CLASSES
        if left_out > 0:
            measured = ranked[ranked["auc"].notna()]
            ranked = pd.concat([measured.head(FEW_CLASSES), measured.iloc[FEW_CLASSES:].tail(FEW_CLASSES)])
            left_out = int((frame["attack"] == best).sum()) - len(ranked)
        drawn = [(best, BLUE, "o")]
        if best != "loss" and (frame["attack"] == "loss").any():
            drawn.append(("loss", MUTED, "D"))
        names = [_short(_drawable(str(name))) for name in ranked["class"]]
        gap = 1 if left_out > 0 else 0  # a row for what is left out
        places = [at + (gap if left_out > 0 and at >= FEW_CLASSES else 0) for at in range(len(names))]
        count, pitch, bottom, top = len(names) + gap, 0.22 if len(names) > 12 else 0.27, 0.55, 0.86
        figure = _sheet(WIDTH, bottom + pitch * count + top)
        left = 0.2 + max(_width(figure, name, 8.5) for name in [*names, "class"])
        columns = (1.55, 0.7, 0.9)  # AUC, members, non-members
        width = WIDTH - left - sum(columns) - 0.15
        axes = _axes(figure, left, bottom, width, pitch * count)
        axes.set_ylim(count - 0.5, -0.5)
        axes.spines["left"].set_visible(False)
        axes.yaxis.set_major_locator(NullLocator())
        axes.grid(False, axis="y")
        axes.axvline(0.5, color=INK, linewidth=1.0, dashes=(2, 1.5), zorder=1.5)
        axes.axvline(attacks[best]["auc"], color=BLUE, linewidth=0.9, zorder=1.4)
        for at in places[::2]:
            axes.axhspan(at - 0.5, at + 0.5, color=PALE, linewidth=0, zorder=0)
        reach = [0.48, 0.52]
        for at_attack, (attack, colour, marker) in enumerate(drawn):
            of_class = frame[frame["attack"] == attack].set_index("class")
            apart = 0.0 if len(drawn) == 1 else (-0.16, 0.2)[at_attack]
            for at, name in zip(places, ranked["class"], strict=True):
                auc, low, high = (float(of_class.loc[name, key]) for key in ("auc", "auc_low", "auc_high"))
                if not np.isfinite(auc):
                    continue
                thick = 1.8 if attack == best else 1.1
                axes.plot([low, high], [at + apart] * 2, color=colour, linewidth=thick, zorder=2 - 0.1 * at_attack)
                axes.plot(
                    [auc],
                    [at + apart],
                    marker=marker,
                    markersize=5.0 if attack == best else 3.2,
                    markeredgewidth=1.2,
                    color=colour,
                    markerfacecolor=colour if low > 0.5 else "white",
                    clip_on=False,
                    zorder=3 - 0.1 * at_attack,
                )
                reach += [*_finite([low, auc, high])]
        axes.set_xlim(max(min(reach) - 0.01, 0.0), min(max(reach) + 0.01, 1.0))
        axes.xaxis.set_major_locator(_ticks(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.set_xlabel("AUC within the class")
        ends = np.cumsum([left + width, *columns])
        high_up = bottom + pitch * count
        _put(figure, left - 0.1, high_up + 0.14, "class", ha="right", color=MUTED, fontsize=8)
        for end, said in zip(ends[1:], (f"{best} [95 %]", "members", "non-members"), strict=True):
            _put(figure, float(end), high_up + 0.14, said, ha="right", color=MUTED, fontsize=8)
        for at, row in zip(places, ranked.to_dict("records"), strict=True):
            y = bottom + pitch * (count - at - 0.5)
            known = np.isfinite(row["auc"])
            said = _interval(row["auc"], row["auc_low"], row["auc_high"], 3) if known else "one kind only"
            _put(figure, left - 0.1, y, _short(_drawable(str(row["class"]))), ha="right")
            _put(figure, float(ends[1]), y, said, ha="right", fontsize=8, color=INK if known else MUTED)
            for end, key in zip(ends[2:], ("n_member", "n_nonmember"), strict=True):
                _put(figure, float(end), y, f"{row[key]:,}", ha="right", fontsize=8)
        if left_out > 0:
            y = bottom + pitch * (count - FEW_CLASSES - 0.5)
            said = f"{left_out} classes between them are left out: plots/classes.csv has all"
            paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            _put(figure, left + width / 2, y, said, ha="center", fontsize=8, color=MUTED, bbox=paper)
        y, x = _height(figure) - 0.2, 0.15
        for attack, colour, marker in drawn:
            _key(figure, x, y, color=colour, linewidth=1.8)
            _dot(figure, x + 0.19, y, color=colour, marker=marker)
            said = f"{attack}{', the best attack over all' if attack == best else ''}"
            _put(figure, x + 0.46, y, said)
            x += 0.46 + _width(figure, said, 8.5) + 0.3
        notes = ["dashed line: guessing", f"blue line: all classes ({attacks[best]['auc']:.3f})"]
        alike = attacks[best].get("classes_alike_p")
        if alike is not None and np.isfinite(alike):
            notes.append(f"all classes alike: p = {alike:.2g}" if alike >= 0.001 else "all classes alike: p < 0.001")
        notes.append("filled: interval above guessing")
        _put(figure, 0.15, y - 0.24, "      ".join(notes), color=MUTED, fontsize=8)
        return figure


def threat_models(measured: Mapping[str, Sequence[Mapping[str, Any]]], *, fpr: float) -> Figure:
    """What does the attacker's knowledge buy? A row an attack, a dot a threat model: AUC, and TPR at a low FPR.

    measured: label of an audit ("generated", "disjoint, 16 shadows", ...) -> the entries of its
    metrics/attacks.json; at most seven. Rows by the best AUC that an attack has in any of them. An attack that an
    audit lacks has no dot for it, and none in the right panel where the non-members cannot resolve `fpr`.
    """
    assert 1 <= len(measured) <= MOST, "one colour an audit"
    key = metrics.fpr_key(fpr)
    with _style():
        audits = {label: {str(one["attack"]): one for one in entries} for label, entries in measured.items()}
        top_auc: dict[str, float] = {}
        for of_attack in audits.values():
            for attack, one in of_attack.items():
                top_auc[attack] = max(top_auc.get(attack, 0.0), float(one["auc"]))
        rows = sorted(top_auc, key=lambda attack: -top_auc[attack])
        count, models = len(rows), len(audits)
        pitch, bottom = max(0.25, 0.065 * models + 0.08), 0.55
        spread = (np.arange(models) - (models - 1) / 2) * 0.8 / models
        looks = {label: (COLOURS[at], MARKERS[at]) for at, label in enumerate(audits)}
        lines = _legend_lines(audits)
        top = 0.62 + 0.2 * (len(lines) - 1) + 0.22
        figure = _sheet(WIDTH, bottom + pitch * count + top)
        left = 0.2 + max(_width(figure, name, 8.5) for name in rows)
        gap = 0.3
        width = (WIDTH - left - gap - 0.2) / 2
        rates = [
            float(one[f"{key}{end}"])
            for of_attack in audits.values()
            for one in of_attack.values()
            for end in ("", "_low")
            if one.get(f"{key}{end}", 0.0) > 0
        ]
        panels = (
            ("auc", "AUC", left, 0.5, "chance that a member outscores a non-member"),
            (key, f"TPR at FPR {_share(fpr)}", left + width + gap, fpr, "share of members called member"),
        )
        for name, title, x, guess, said in panels:
            axes = _rows_panel(figure, (x, bottom, width, pitch * count), count, guess)
            axes.set_title(title)
            axes.set_xlabel(said, fontsize=8.5)
            if name == "auc":
                ends = [
                    float(one[f"auc{end}"]) for a in audits.values() for one in a.values() for end in ("_low", "_high")
                ]
                axes.set_xlim(max(min(*ends, 0.48) - 0.01, 0.0), min(max(*ends, 0.6) + 0.01, 1.0))
                axes.xaxis.set_major_locator(_ticks(6))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
            else:
                # A low limit far below guessing says no more than one that ends at the edge.
                _log_axis(axes, "x", max(min([*rates, fpr]), fpr / 10) / 1.3)
            floor = axes.get_xlim()[0]
            for (label, of_attack), shift in zip(audits.items(), spread, strict=True):
                colour, marker = looks[label]
                for at, attack in enumerate(rows):
                    one = of_attack.get(attack, {})
                    if name not in one:
                        continue
                    value, low, high = (float(one[f"{name}{end}"]) for end in ("", "_low", "_high"))
                    y = at + float(shift)
                    axes.plot([max(low, floor), max(high, floor)], [y, y], color=colour, linewidth=1.3, zorder=2)
                    axes.plot(
                        [max(value, floor)],
                        [y],
                        marker=marker if value >= floor else "<",  # the arrow: the value lies beyond the axis
                        markersize=4.8,
                        color=colour,
                        markeredgecolor="white",
                        markeredgewidth=0.25,
                        clip_on=False,
                        zorder=3,
                    )
        for at, attack in enumerate(rows):
            _put(figure, left - 0.1, bottom + pitch * (count - at - 0.5), attack, ha="right")
        _put_legend(figure, lines, looks)
        notes = (
            "dashed line: guessing",
            "bar: 95 % interval",
            "no dot: the attack cannot be run, or too few non-members",
        )
        _put(figure, 0.15, _height(figure) - 0.2 * len(lines) - 0.2, "      ".join(notes), color=MUTED, fontsize=8)
        return figure


def learning(history: pd.DataFrame) -> Figure:
    """Accuracy and loss by epoch: the target bold, shadow models thin, training solid, test dashed.

    history: model ("target"; every other name is a shadow model), epoch, train_loss, train_accuracy,
    test_accuracy. The gap between the target's two accuracies is what membership inference feeds on, so it is
    written out. From eight shadow models on, their median is drawn over them.
    """
    with _style():
        figure = _sheet(WIDTH, 3.95)
        bottom, height, width = 1.06, 2.5, 3.0
        accuracy = _axes(figure, 0.62, bottom, width, height)
        loss = _axes(figure, WIDTH - 3.0 - 0.2, bottom, width, height)
        for axes, what in ((accuracy, "accuracy"), (loss, "loss")):
            _learning_panel(axes, history, what)
        keys = _learning_keys(history["model"].nunique() - ("target" in set(history["model"])))
        starts = np.cumsum(
            [
                0.62,
                *(
                    0.75 + max(_width(figure, key[0], 8.0) for key in keys[at : at + 2])
                    for at in range(0, len(keys), 2)
                ),
            ]
        )
        for at, (said, colour, thick, line) in enumerate(keys):
            x, y = float(starts[at // 2]), 0.4 - at % 2 * 0.2
            _key(figure, x, y, color=colour, linewidth=thick, linestyle=line)
            _put(figure, x + 0.46, y, said, fontsize=8)
        return figure


def learning_panel(history: pd.DataFrame, what: str) -> Figure:
    """One of the two panels of `learning`, "accuracy" or "loss", with its legend."""
    with _style():
        keys = _learning_keys(history["model"].nunique() - ("target" in set(history["model"])))
        keys = keys if what == "accuracy" else keys[::2]
        bottom = 0.56 + 0.2 * len(keys)
        figure = _sheet(4.4, bottom + 2.8)
        _learning_panel(_axes(figure, 0.66, bottom, 3.1, 2.5), history, what)
        for at, (said, colour, thick, line) in enumerate(keys):
            y = bottom - 0.6 - 0.2 * at
            _key(figure, 0.66, y, color=colour, linewidth=thick, linestyle=line)
            _put(figure, 1.12, y, said, fontsize=8)
        return figure


_DASHED = (0, (4.0, 1.5))


def _learning_keys(shadows: int) -> list[tuple[str, str, float, Any]]:
    """The legend of learning curves, training and test in turn: what it says, colour, width and style of the line."""
    plural = f"{shadows} shadow model{'s' if shadows != 1 else ''}"
    keys: list[tuple[str, str, float, Any]] = [
        ("target, training", BLUE, 2.2, "solid"),
        ("target, test", VERMILION, 2.2, _DASHED),
    ]
    if shadows:
        keys += [(f"{plural}, training", SKY, 1.2, "solid"), (f"{plural}, test", ORANGE, 1.2, _DASHED)]
    if shadows >= 8:
        keys += [("median shadow, training", MUTED, 1.3, "solid"), ("median shadow, test", MUTED, 1.3, _DASHED)]
    return keys


def _learning_panel(axes: Axes, history: pd.DataFrame, what: str) -> None:
    wide = {
        name: history.pivot(index="epoch", columns="model", values=name)
        for name in ("train_accuracy", "test_accuracy", "train_loss")
    }
    shadows = [name for name in wide["train_loss"].columns if name != "target"]
    strength = float(np.clip(9.0 / max(len(shadows), 1), 0.12, 0.75))
    drawn: dict[str, list[tuple[str, str, str, Any]]] = {
        "accuracy": [
            ("train_accuracy", BLUE, SKY, "solid"),
            ("test_accuracy", VERMILION, ORANGE, _DASHED),
        ],
        "loss": [("train_loss", BLUE, SKY, "solid")],
    }
    for name, strong, light, style in drawn[what]:
        epochs = wide[name].index.to_numpy(np.float64)
        mass = wide[name][shadows].to_numpy(np.float64)
        threads = [np.column_stack([epochs, mass[:, at]]) for at in range(len(shadows))]
        axes.add_collection(
            LineCollection(threads, colors=light, linewidths=0.7, linestyles=style, alpha=strength, zorder=2)
        )
        if len(shadows) >= 8:
            axes.plot(epochs, np.nanmedian(mass, axis=1), color="white", linewidth=2.4, alpha=0.7, zorder=2.4)
            axes.plot(
                epochs,
                wide[name][shadows].median(axis=1),
                color=MUTED,
                linewidth=1.3,
                linestyle=style,
                zorder=2.5,
            )
        if "target" in wide[name]:
            axes.plot(epochs, wide[name]["target"], color=strong, linewidth=2.2, linestyle=style, zorder=3)
        span = epochs[-1] - epochs[0]
        axes.set_xlim(epochs[0] - (0 if span else 0.5), epochs[-1] + (0.01 * span if span else 0.5))
    axes.xaxis.set_major_locator(_ticks(6, integer=True))
    axes.set_xlabel("epoch")
    axes.yaxis.set_major_locator(_ticks(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    if what == "loss":
        axes.set_title("Training loss")
        axes.set_ylabel("loss: cross-entropy (nats)")
        axes.set_ylim(0, 1.05 * float(np.nanmax(wide["train_loss"].to_numpy(np.float64))) or 1.0)
        return
    axes.set_title("Accuracy")
    axes.set_ylabel("accuracy: share classified correctly")
    rates = pd.concat([wide["train_accuracy"], wide["test_accuracy"]]).to_numpy(np.float64)
    axes.set_ylim(max(0.0, float(np.nanmin(rates)) - 0.05), 1.005)
    if "target" in wide["train_accuracy"]:
        _mark_gap(axes, wide["train_accuracy"]["target"], wide["test_accuracy"]["target"])


def leaderboard(board: pd.DataFrame, *, chosen: str | None = None) -> Figure:
    """Cross-validated AUC of every attack model tried on the shadow models, best first.

    board: estimator, auc_mean, auc_std, fold_aucs (a list a row). An estimator whose name starts with "dummy"
    becomes the line it is there to draw, but where it is alone. `chosen` is marked, wherever it ranks.
    """
    with _style():
        dummy = board["estimator"].str.lower().str.startswith("dummy") & (len(board) > 1)
        ranked = board[~dummy].sort_values(["auc_mean", "estimator"], ascending=[False, True])
        base = float(board.loc[dummy, "auc_mean"].iloc[0]) if dummy.any() else 0.5
        names = list(ranked["estimator"])
        count, pitch, bottom, top = len(names), 0.27, 0.52, 0.62
        figure = _sheet(WIDTH, bottom + pitch * count + top)
        left = 0.25 + max(_width(figure, name, 8.5, "bold") for name in names)
        width = WIDTH - left - 1.75
        axes = _axes(figure, left, bottom, width, pitch * count)
        axes.set_ylim(count - 0.5, -0.5)
        axes.spines["left"].set_visible(False)
        axes.yaxis.set_major_locator(NullLocator())
        axes.grid(False, axis="y")
        for at, row in enumerate(ranked.itertuples()):
            picked = row.estimator == chosen
            colour = VERMILION if picked else BLUE
            mean, spread = float(row.auc_mean), float(row.auc_std)  # type: ignore[arg-type]
            folds = np.asarray(row.fold_aucs, dtype=np.float64)
            if picked:
                axes.axhspan(at - 0.5, at + 0.5, color="#FBEDE3", linewidth=0, zorder=0)
            axes.plot(folds, np.full(len(folds), at), "|", color=colour, markersize=8, alpha=0.55, zorder=2)
            axes.plot([mean - spread, mean + spread], [at, at], color=colour, linewidth=1.8, zorder=2.5)
            axes.plot([mean], [at], "D" if picked else "o", color=colour, markersize=6.5, zorder=3)
            y = bottom + pitch * (count - at - 0.5)
            weight = "bold" if picked else "normal"
            _put(figure, left - 0.1, y, str(row.estimator), ha="right", weight=weight)
            _put(
                figure,
                left + width + 0.12,
                y,
                f"{mean:.3f} ± {spread:.3f}{'  chosen' if picked else ''}",
                fontsize=8,
                weight=weight,
            )
        reach = np.concatenate([np.asarray(folds, dtype=np.float64) for folds in ranked["fold_aucs"]])
        ends = np.concatenate([reach, ranked["auc_mean"] - ranked["auc_std"], ranked["auc_mean"] + ranked["auc_std"]])
        start, stop = min(float(ends.min()), base), max(float(ends.max()), base + 0.05)
        axes.set_xlim(start - 0.04 * (stop - start), stop + 0.02 * (stop - start))
        axes.axvline(base, color=INK, linewidth=1.0, dashes=(2, 1.5), zorder=1.5)
        axes.xaxis.set_major_locator(_ticks(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.set_xlabel("AUC, cross-validated over shadow models")
        notes = ("dot: mean of the folds", "bar: ± one standard deviation", "tick: one fold")
        said = "      ".join([*notes, f"dashed: guessing, as the dummy does ({base:.2f})"])
        _put(figure, 0.1, _height(figure) - 0.2, said, color=MUTED, fontsize=8)
        _put(figure, left + width + 0.12, bottom + pitch * count + 0.14, "mean ± std", color=MUTED, fontsize=8)
        return figure


def grid(found: pd.DataFrame, *, x: str, joined: bool, fpr: float) -> Figure:
    """What did a grid of experiments find? A row of panels an attack: AUC, and TPR at a low FPR, with intervals.

    found: attack, series, at, auc, auc_low, auc_high, tpr, tpr_low, tpr_high; a row an attack of an experiment. at: its
    place on the axis called `x`, a label; places are evenly spaced, in the order in which they come. series: what else
    tells experiments apart, a colour and a marker each; joined: by a line too, where places are numbers. What is NaN
    (the experiment failed; too few non-members) has no dot.
    """
    with _style():
        found = found.assign(**{name: found[name].map(_drawable) for name in ("series", "at")})
        attacks, series, places = (list(dict.fromkeys(found[name])) for name in ("attack", "series", "at"))
        looks = {one: (COLOURS[at % MOST], MARKERS[(at + at // MOST) % MOST]) for at, one in enumerate(series)}
        named = [one for one in series if one]
        lines = _legend_lines(named)
        left, gap_x, height = 0.62, 0.75, 1.75
        width = (WIDTH - left - gap_x - 0.2) / 2
        sample = _sheet(1, 1)
        widest = max(_width(sample, place, 8.0) for place in places)
        upright = widest + 0.1 > width / len(places)  # labels of places that would run into each other
        below = widest if upright else 0.1
        gap_y, bottom, top = 0.52 + below, 0.45 + below, 0.2 * len(lines) * bool(named) + 0.62
        figure = _sheet(WIDTH, bottom + len(attacks) * height + (len(attacks) - 1) * gap_y + top)
        panels = (("auc", "AUC", left, 0.5), ("tpr", f"TPR at FPR {_share(fpr)}", left + width + gap_x, fpr))
        spread = (np.arange(len(series)) - (len(series) - 1) / 2) * min(0.12, 0.6 / len(series))
        for key, title, start, guess in panels:
            ends = _finite(np.concatenate([found[f"{key}{end}"] for end in ("", "_low", "_high")]).tolist())
            low, high = min([guess, *ends]), max([guess, *ends])
            for row, attack in enumerate(attacks):
                y = bottom + (len(attacks) - 1 - row) * (height + gap_y)
                axes = _axes(figure, start, y, width, height)
                axes.set_title(f"{attack}: {title}")
                axes.set_xlim(-0.5, len(places) - 0.5)
                axes.set_ylim(max(low - 0.1 * (high - low), 0.0 if key == "tpr" else -1.0), high + 0.1 * (high - low))
                axes.axhline(guess, color=INK, linewidth=1.0, dashes=(2, 1.5), zorder=1.5)
                axes.set_xticks(range(len(places)), places, rotation=90 if upright else 0)
                axes.grid(False, axis="x")
                axes.yaxis.set_major_locator(_ticks(6))
                axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
                if row == len(attacks) - 1:
                    axes.set_xlabel(x)
                part = found[(found["attack"] == attack) & found[key].notna()]
                if part.empty:
                    axes.text(0.5, 0.5, "nothing measured", transform=axes.transAxes, color=MUTED, ha="center")
                for one, shift in zip(series, spread, strict=True):
                    colour, marker = looks[one]
                    mine = part[part["series"] == one]
                    at = np.array([places.index(place) for place in mine["at"]], np.float64) + shift
                    axes.vlines(at, mine[f"{key}_low"], mine[f"{key}_high"], color=colour, linewidth=1.3, zorder=2)
                    axes.plot(
                        at,
                        mine[key],
                        color=colour,
                        linewidth=0.8 if joined else 0,
                        marker=marker,
                        markersize=5.5,
                        markeredgecolor="white",
                        markeredgewidth=0.25,
                        clip_on=False,
                        zorder=3,
                    )
        _put_legend(figure, lines, looks)
        said = "dashed line: guessing      bar: 95 % interval"
        _put(figure, 0.15, _height(figure) - 0.2 * len(lines) * bool(named) - 0.16, said, color=MUTED, fontsize=8)
        return figure


def _legend_lines(labels: Iterable[str]) -> list[list[tuple[str, float]]]:
    """Labels of a legend that is as wide as the page, line by line, each with its place from the left in inches."""
    sample = _sheet(1, 1)
    lines: list[list[tuple[str, float]]] = [[]]
    x = 0.15
    for label in labels:
        needed = 0.46 + _width(sample, label, 8.5) + 0.3
        if x + needed > WIDTH and lines[-1]:
            lines.append([])
            x = 0.15
        lines[-1].append((label, x))
        x += needed
    return lines


def _put_legend(
    figure: Figure, lines: Sequence[Sequence[tuple[str, float]]], looks: Mapping[str, tuple[str, str]]
) -> None:
    """Draw it at the top of the page. looks: each label's colour and marker."""
    for down, line in enumerate(lines):
        for label, x in line:
            y = _height(figure) - 0.18 - 0.2 * down
            colour, marker = looks[label]
            _key(figure, x, y, color=colour, linewidth=1.3)
            _dot(figure, x + 0.19, y, color=colour, marker=marker)
            _put(figure, x + 0.46, y, label)


@contextmanager
def _style() -> Iterator[None]:
    """The style of this file over matplotlib's own defaults, whatever a matplotlibrc says; then undone."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams  # typed by literal keys in some releases only
        settings.update(STYLE)
        yield


def _sheet(width: float, height: float) -> Figure:
    """An empty figure of that many inches that can measure text."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _rows_panel(figure: Figure, place: tuple[float, float, float, float], count: int, guess: float) -> Axes:
    """Axes at (x, bottom, width, height), inches, for a row an attack, every other one shaded, guessing as a line."""
    axes = _axes(figure, *place)
    axes.set_ylim(count - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")
    axes.yaxis.set_major_locator(NullLocator())
    for at in range(0, count, 2):
        axes.axhspan(at - 0.5, at + 0.5, color=PALE, linewidth=0, zorder=0)
    axes.axvline(guess, color=INK, linewidth=1.0, dashes=(2, 1.5), zorder=1.5)
    return axes


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches."""
    wide, high = figure.get_figwidth(), figure.get_figheight()
    return figure.add_axes((left / wide, bottom / high, width / wide, height / high))


def _put(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    """Text at a place given in inches, centred on its height."""
    figure.text(x / figure.get_figwidth(), y / figure.get_figheight(), text, **{"va": "center", **style})


def _shade(share: float) -> tuple[float, float, float, float]:
    """Blue that lets what lies under it through, so that it is pale on white and dim on black; share: 0 to 1."""
    return matplotlib.colors.to_rgba(BLUE, 0.06 + 0.42 * share)


def _ring(axes: Axes, x: float, y: float) -> None:
    """The mark of a difference that is not sure."""
    axes.plot([x], [y], "o", markersize=4.0, markerfacecolor="none", markeredgecolor=MUTED, markeredgewidth=0.9)


def _key(figure: Figure, x: float, y: float, **style: Any) -> None:
    """The line of a legend, 0.38 inches long, at a place given in inches."""
    ends = [x / figure.get_figwidth(), (x + 0.38) / figure.get_figwidth()]
    figure.add_artist(Line2D(ends, [y / _height(figure)] * 2, **style))


def _dot(figure: Figure, x: float, y: float, **style: Any) -> None:
    """The dot of a legend, at a place given in inches."""
    figure.add_artist(Line2D([x / figure.get_figwidth()], [y / _height(figure)], markersize=5, **style))


def _height(figure: Figure) -> float:
    return float(figure.get_figheight())


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _drawable(text: str) -> str:
    """The text with [U+732B] for each character that the font lacks, which would be drawn as the same empty box."""
    glyphs = get_font(findfont(STYLE["font.family"][0])).get_charmap()
    return "".join(letter if ord(letter) in glyphs else f"[U+{ord(letter):04X}]" for letter in text)


def _width(figure: Figure, text: str, size: float, weight: str = "normal") -> float:
    """Width of `text` in inches."""
    drawn = figure.text(0, 0, text, fontsize=size, weight=weight)
    box = drawn.get_window_extent()
    drawn.remove()
    return float(box.width) / DPI


def _places(shown: Sequence[str]) -> dict[str, int]:
    """Each attack's place in COLOURS: its own (`ALWAYS`), or the first that is free, in the order given."""
    own = {attack: ALWAYS[attack] for attack in shown if attack in ALWAYS}
    kept = [place for place in range(MOST) if place not in ALWAYS.values()]
    free = iter([*kept, *(place for place in ALWAYS.values() if place not in own.values())])
    return {attack: own[attack] if attack in own else next(free) for attack in shown}


def _look(place: int, *, few: bool) -> dict[str, Any]:
    """Colour and dashes at a place in COLOURS; thin, with dots, if the curve's points are few."""
    dashes = DASHES[place % len(DASHES)]
    return {
        "color": COLOURS[place],
        "linestyle": (0, dashes) if dashes else "solid",
        "linewidth": 0.9 if few else 1.4,
        "marker": "o" if few else "",
        "markersize": 4.0,
        "clip_on": not few,
    }


def _ticks(most: int, *, integer: bool = False) -> MaxNLocator:
    return MaxNLocator(most, steps=[1, 2, 5, 10], integer=integer)


def _log_axis(axes: Axes, which: str, start: float, n: int | None = None, *, stop: float = 1.0) -> None:
    """A log axis from `start` to `stop`: ticks at the decades, and at a `start` of 1/n if no decade is close."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(start, stop)
    decades = [float(f"1e{power}") for power in range(-12, 1)]
    ticks = {value: f"{value:g}" for value in decades if start * 0.999 < value <= stop * 1.001}
    if n is not None and np.log10(min(ticks) / start) > -0.12 * np.log10(start):
        ticks[start] = f"1/{n:,}"
    axis.set_major_locator(FixedLocator(sorted(ticks)))
    axis.set_major_formatter(FixedFormatter([ticks[value] for value in sorted(ticks)]))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _mark_gap(axes: Axes, train: pd.Series[float], test: pd.Series[float]) -> None:
    """A bracket right of `axes` over the distance between two accuracies after the last epoch both have."""
    both = pd.concat([train, test], axis=1).dropna()
    if both.empty:
        return
    high, low = (float(value) for value in both.iloc[-1])
    bracket = {"transform": axes.get_yaxis_transform(), "color": INK, "linewidth": 0.9, "clip_on": False}
    axes.plot([1.025, 1.04, 1.04, 1.025], [high, high, low, low], **bracket)  # type: ignore[arg-type]
    said = f"target's\ngap\n{high - low:+.3f}"
    axes.text(1.055, (high + low) / 2, said, transform=axes.get_yaxis_transform(), va="center", fontsize=8)


def _auc(row: Mapping[str, float]) -> tuple[float, float, float]:
    return row["auc"], row["auc_low"], row["auc_high"]


def _tpr(row: Mapping[str, float]) -> tuple[float, float, float]:
    return row["tpr"], row["tpr_low"], row["tpr_high"]


def _interval(value: float, low: float, high: float, digits: int) -> str:
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _share(value: float) -> str:
    return f"{100 * value:g} %"


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]
