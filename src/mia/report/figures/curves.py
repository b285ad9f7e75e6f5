"""ROC curves on axes: which attacks have a colour, how a curve is drawn, and the axes with the line of guessing.

Where that many colours could not be told apart, a few attacks are drawn in colour and the others in grey (`chosen`),
and a few of them keep their colour in every audit, so that two audits can be laid side by side; colour never carries a
meaning alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mia.report.figures import layout, style

# What a reader looks for first, in every audit by the same colour, so that two audits can be laid side by side.
ALWAYS = {"loss": 1, "learned": 2, "stacked": 0}  # attack -> its place in style.COLOURS
# A curve of so few points gets a dot at each: one of two or three thresholds is mostly corner.
FEW = 12
THIN: dict[str, Any] = {"color": style.GREY, "linewidth": 0.7}

Summary = Mapping[str, Mapping[str, float]]
Look = Mapping[str, Any]


def chosen(summary: Summary) -> list[str]:
    """Return the attacks that are drawn in colour, best first: all of up to seven; of more, six at the most.

    summary: attack -> auc, tpr (at one low FPR; NaN where unknown). Of more than seven: the best by AUC, the best
    by TPR, loss, learned and stacked; then the next by AUC, until there are six.
    """
    ranked = sorted(summary, key=lambda attack: -summary[attack]["auc"])
    if len(ranked) <= style.MOST:
        return ranked
    strict = max(ranked, key=lambda attack: np.nan_to_num(summary[attack]["tpr"], nan=-1.0))
    first = dict.fromkeys([ranked[0], strict, *(attack for attack in ALWAYS if attack in summary), *ranked])
    picked = list(first)[: style.MOST - 1]
    return [attack for attack in ranked if attack in picked]


def banded(shown: Sequence[str]) -> list[str]:
    """Return which of the attacks shown, best first, have a band: the best, and loss or else the last."""
    return list(dict.fromkeys([shown[0], "loss" if "loss" in shown else shown[-1]]))


def looks_of(curves: pd.DataFrame, summary: Summary) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return how the `chosen` are drawn, best first, and which the others are."""
    attacks = list(dict.fromkeys(curves["attack"]))
    sizes = curves["attack"].value_counts()
    shown = chosen({attack: summary[attack] for attack in attacks})
    places = colour_places([attack for attack in attacks if attack in shown])
    looks = {attack: look_at(places[attack], few=bool(sizes[attack] <= FEW)) for attack in shown}
    return looks, [attack for attack in attacks if attack not in shown]


def colour_places(shown: Sequence[str]) -> dict[str, int]:
    """Return each attack's place in style.COLOURS: its own (`ALWAYS`), or the first free one, in the order given."""
    own = {attack: ALWAYS[attack] for attack in shown if attack in ALWAYS}
    others = [place for place in range(style.MOST) if place not in ALWAYS.values()]
    free = iter([*others, *(place for place in ALWAYS.values() if place not in own.values())])
    return {attack: own[attack] if attack in own else next(free) for attack in shown}


def look_at(place: int, *, few: bool) -> dict[str, Any]:
    """Return colour and dashes at a place in style.COLOURS; thin, with dots, if the curve's points are few."""
    dashes = style.DASHES[place % len(style.DASHES)]
    return {
        "color": style.COLOURS[place],
        "linestyle": (0, dashes) if dashes else "solid",
        "linewidth": 0.9 if few else 1.4,
        "marker": "o" if few else "",
        "markersize": 4.0,
        "clip_on": not few,
    }


def svg_key(look: Look) -> tuple[str, str]:
    """Return colour (#RRGGBB) and dashes of a look, as SVG's stroke-dasharray has them, or "none"."""
    line = look["linestyle"]
    dashes = "none" if line == "solid" else " ".join(f"{length * look['linewidth']:.3g}" for length in line[1])
    return look["color"], dashes


def draw_panel(
    axes: Axes,
    curves: pd.DataFrame,
    looks: Mapping[str, Look],
    others: Sequence[str],
    *,
    n_nonmember: int,
    start: float,
) -> None:
    """Draw ROC curves on linear axes (start 0), or on log-log axes from `start`; the best is drawn last, on top."""
    draw_frame(axes, n_nonmember=n_nonmember, start=start)
    for attack in [*others, *reversed(list(looks))]:
        look = {**looks[attack], "zorder": 2} if attack in looks else {**THIN, "zorder": 1.7}
        draw_curve(axes, curves[curves["attack"] == attack], start=start, band=attack in banded(list(looks)), look=look)


def draw_curve(axes: Axes, points: pd.DataFrame, *, start: float, band: bool, look: Look) -> None:
    """Draw one curve as steps, no lower than `start`, with or without its limits.

    points: fpr, tpr, tpr_low, tpr_high.
    """
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


def draw_frame(axes: Axes, *, n_nonmember: int, start: float) -> None:
    """Make axes those of ROC curves, with the line of guessing: linear (start 0), or log-log from `start`."""
    floor, log = 1.0 / n_nonmember, start > 0
    axes.set_title("Both axes logarithmic: low FPR" if log else "Linear axes")
    axes.set_xlabel("FPR: share of non-members called members")
    axes.set_ylabel("TPR: share of members called members")
    axes.plot([floor, 1], [floor, 1], color=style.MUTED, linewidth=1.0, dashes=(1.5, 1.5), zorder=1.5)
    if log:
        for which in ("x", "y"):
            layout.log_axis(axes, which, floor, n_nonmember)
        middle = floor**0.25
        place = middle, middle * floor**0.06
    else:
        axes.plot([0, floor], [0, floor], color=style.MUTED, linewidth=1.0, zorder=1.5)
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
        place = 0.82, 0.75
    axes.text(*place, "guessing", color=style.MUTED, rotation=45, ha="center", va="top", rotation_mode="anchor")
