"""Histograms of every attack's scores, members over non-members."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mia.evaluation import wording
from mia.report.figures import layout, style

LEFT, RIGHT, BOTTOM, TOP = 0.98, 0.15, 0.52, 0.66  # inches around the panels
GAP_X, GAP_Y = 0.5, 0.56
DASHED = (0, (3.5, 1.2))  # non-members


@style.applied()
def figure(bins: pd.DataFrame) -> Figure:
    """Draw a panel an attack.

    bins: attack, left, right, members, nonmembers. The last two are shares of all members and of all
    non-members; each sums to 1, so that a panel shows no difference when there are merely more of the one.
    """
    attacks = list(dict.fromkeys(bins["attack"]))
    size = 9.0 if len(attacks) <= 6 else 8.0  # of the names
    panels = _raster(attacks, size)
    sheet = style.new_sheet(style.WIDTH, BOTTOM + panels.high + TOP)
    for at, attack in enumerate(attacks):
        axes = panels.add(sheet, at)
        _draw_histogram(axes, bins[bins["attack"] == attack])
        axes.set_title(wording.words(attack), fontsize=size, pad=4)
    middle = LEFT + (style.WIDTH - LEFT - RIGHT) / 2
    layout.put(sheet, middle, 0.14, "score (higher = more likely a member)", ha="center", fontsize=9)
    label = "share of records in each bin\n(each group sums to 1)"
    layout.put(sheet, 0.3, BOTTOM + panels.high / 2, label, rotation=90, ha="center", fontsize=9)
    _put_keys(sheet)
    return sheet


@style.applied()
def panel(bins: pd.DataFrame) -> Figure:
    """Draw the panel of `figure` of one attack alone. bins: its rows."""
    sheet = style.new_sheet(3.9, 2.3)
    axes = layout.add_axes(sheet, 0.66, 0.5, 3.1, 1.65)
    _draw_histogram(axes, bins)
    axes.set_xlabel("score (higher = more likely a member)")
    axes.set_ylabel("share of its group")
    return sheet


def _raster(attacks: Sequence[str], size: float) -> layout.Raster:
    """As many panels in a row, three at most, as leave room for their names, of `size` points."""
    widest = layout.widest(attacks, size, "bold")
    # A name may run on into the space between two panels, the last one of a row up to the sheet's edge.
    wide = {n: (style.WIDTH - LEFT - RIGHT - GAP_X * (n - 1)) / n for n in (1, 2, 3)}
    columns = max(n for n in wide if n == 1 or (n <= len(attacks) and widest < wide[n] + RIGHT - 0.05))
    rows = -(-len(attacks) // columns)
    height = 1.7 if rows == 1 else 1.25 if rows <= 4 else 0.85
    return layout.Raster(len(attacks), columns, LEFT, BOTTOM, wide[columns], height, GAP_X, GAP_Y)


def _draw_histogram(axes: Axes, bins: pd.DataFrame) -> None:
    bins = bins.sort_values("left")
    edges = np.append(bins["left"].to_numpy(np.float64), bins["right"].to_numpy(np.float64)[-1])
    members, others = (bins[name].to_numpy(np.float64) for name in ("members", "nonmembers"))
    axes.stairs(members, edges, fill=True, color=style.BLUE, alpha=0.22, linewidth=0)
    axes.stairs(members, edges, color=style.BLUE, linewidth=1.3)
    axes.stairs(others, edges, color=style.VERMILION, linewidth=1.3, linestyle=DASHED)
    margin = 0.02 * (edges[-1] - edges[0]) or 0.5
    axes.set_xlim(edges[0] - margin, edges[-1] + margin)
    axes.set_ylim(0, 1.08 * max(members.max(), others.max(), 1e-9))
    axes.grid(False, axis="x")
    layout.number_axis(axes.xaxis, 4, digits=4)
    layout.number_axis(axes.yaxis, 3, digits=4)


def _put_keys(sheet: Figure) -> None:
    y = layout.height(sheet) - 0.18
    box = (LEFT / style.WIDTH, (y - 0.06) / layout.height(sheet)), 0.3 / style.WIDTH, 0.12 / layout.height(sheet)
    face = matplotlib.colors.to_rgba(style.BLUE, 0.22)
    sheet.add_artist(Rectangle(*box, facecolor=face, edgecolor=style.BLUE, linewidth=1.3))
    layout.put(sheet, LEFT + 0.38, y, "members, as shares of all members")
    start = LEFT + 2.75
    layout.key(sheet, start, y, color=style.VERMILION, linewidth=1.5, linestyle=DASHED)
    layout.put(sheet, start + 0.46, y, "non-members, as shares of all non-members")
