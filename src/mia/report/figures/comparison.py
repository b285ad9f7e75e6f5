"""Is one attack better than another? A cell a pair: by how much the AUC differs, or a ring if that may be chance."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mia.evaluation import wording
from mia.report.figures import layout, style

SHADES = 16  # of the scale of colours
BOTTOM, TOP = 0.95, 0.5  # inches below the lowest row, and above the highest


@style.applied()
def figure(pairs: pd.DataFrame) -> Figure:
    """Draw every pair of attacks.

    pairs: attack_a, attack_b, auc_difference, auc_p_holm; a row a pair, attack_a the one with the higher AUC. Each name
    stands once, at the end of its row and under its column: the better attack lies left of a cell, the worse one below.
    A ring: Holm's adjusted p is `style.NOT_APART` or more. One attack has no pair, and the figure says so.
    """
    wins = pairs["attack_a"].value_counts()
    attacks = list(dict.fromkeys([*pairs["attack_a"], *pairs["attack_b"]]))
    names = sorted(attacks, key=lambda name: -int(wins.get(name, 0)))
    if not names:
        sheet = style.new_sheet(style.WIDTH, 0.5)
        layout.put(sheet, 0.1, 0.25, "One attack: there is no other attack to compare with.", color=style.MUTED)
        return sheet
    count = len(names)
    lengths = [layout.widest([name], 8.5) for name in names]
    # The name of row i ends under column i: room is short for the first rows only.
    cell = min(0.5, *((style.WIDTH - 0.35 - lengths[at]) / (count - 1 - at) for at in range(count - 1)))
    left = 0.2 + max(length - cell * at for at, length in enumerate(lengths))
    side = cell * (count - 1)
    sheet = style.new_sheet(max(left + side + 0.15, 5.2), BOTTOM + side + cell + TOP)
    most = max(float(pairs["auc_difference"].max()), 1e-4)
    axes = layout.add_axes(sheet, left, BOTTOM + cell, side, side)
    _draw_cells(axes, pairs, names, most=most, size=6.5 if cell < 0.4 else 8)
    for at, name in enumerate(names):
        layout.put(sheet, left + cell * at - 0.06, BOTTOM + cell * (count - at - 0.5), wording.words(name), ha="right")
    title = "AUC of the attack to the left, minus AUC of the attack below"
    layout.put(sheet, 0.1, layout.height(sheet) - 0.2, title, weight="bold", fontsize=9)
    _draw_key(sheet, most)
    return sheet


def _draw_cells(axes: Axes, pairs: pd.DataFrame, names: Sequence[str], *, most: float, size: float) -> None:
    """Draw a cell a pair. most: the difference with the darkest shade. size: of the numbers, points."""
    axes.set(xlim=(1, len(names)), ylim=(len(names) - 1, 0), xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    places = {name: at for at, name in enumerate(names)}
    for pair in pairs[["attack_a", "attack_b", "auc_difference", "auc_p_holm"]].itertuples(index=False):
        row, column = places[str(pair.attack_a)], places[str(pair.attack_b)]
        difference, p = float(pair.auc_difference), float(pair.auc_p_holm)  # type: ignore[arg-type]
        face = _shade(difference / most)
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=face, edgecolor="white", linewidth=1))
        if p < style.NOT_APART:
            text = f"{difference:.2f}".lstrip("0") if difference >= 0.005 else "<.01"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=size)
        else:
            _draw_ring(axes, column + 0.5, row + 0.5)


def _draw_key(sheet: Figure, most: float) -> None:
    """Draw the scale of shades, up to the difference `most`, and what a ring means."""
    bar = layout.add_axes(sheet, 0.3, 0.5, 2.0, 0.12)
    bar.grid(False)
    for at in range(SHADES):  # no image: the page that holds this figure has a dark side too
        ends = most * at / SHADES, most / SHADES
        bar.add_patch(Rectangle((ends[0], 0), ends[1], 1, facecolor=_shade(at / (SHADES - 1)), linewidth=0))
    bar.set(yticks=[], xlim=(0, most), ylim=(0, 1))
    layout.number_axis(bar.xaxis, 4)
    bar.set_xlabel("difference of AUC", fontsize=8)
    ring = layout.add_axes(sheet, 2.6, 0.44, 0.24, 0.24)
    ring.set(xlim=(0, 1), ylim=(0, 1))
    ring.set_axis_off()
    _draw_ring(ring, 0.5, 0.5)
    text = f"the difference may be chance: p ≥ {wording.decimals(2)(style.NOT_APART)}\n(DeLong, Holm's correction)"
    layout.put(sheet, 2.92, 0.56, text, fontsize=8, linespacing=1.4)


def _shade(share: float) -> tuple[float, float, float, float]:
    """Blue that lets what lies under it through, so that it is pale on white and dim on black; share: 0 to 1."""
    return matplotlib.colors.to_rgba(style.BLUE, 0.06 + 0.42 * share)


def _draw_ring(axes: Axes, x: float, y: float) -> None:
    """Draw the mark of a difference that is not sure."""
    axes.plot([x], [y], "o", markersize=4.0, markerfacecolor="none", markeredgecolor=style.MUTED, markeredgewidth=0.9)
