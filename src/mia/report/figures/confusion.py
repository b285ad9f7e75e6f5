"""Hard decisions of every attack at its threshold: a table of four cells an attack."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mia.evaluation import wording
from mia.report.figures import layout, style

KINDS = ("member", "non-member")
NOTE = "Records, and their share of the row.\nThreshold chosen on the shadow models."
CROSS_FITTED = "Records, and their share of the row.\nThresholds cross-fitted on these records."
LEFT, RIGHT, TOP = 1.05, 0.15, 0.62  # inches beside and above the tables
TALL = 0.46  # inches: a cell


@style.applied()
def figure(counts: pd.DataFrame, *, cross_fitted: bool = False) -> Figure:
    """Draw counts and shares.

    counts: attack, actual (member or non-member), predicted (the same), count; a missing pair counts as 0.
    cross_fitted: whether thresholds were chosen on the audited records, not on shadows.
    Shares are of the row, so the left column reads TPR over FPR whatever the number of members.
    """
    attacks = list(dict.fromkeys(counts["attack"]))
    cell = max(0.8, layout.widest(attacks, 8.5, "bold") / 2)
    gap_x, gap_y, bottom = 0.12, 0.34, 0.5
    columns = min(4, len(attacks), int((style.WIDTH - RIGHT - LEFT + gap_x) / (2 * cell + gap_x)))
    tables = layout.Raster(len(attacks), columns, LEFT, bottom, 2 * cell, 2 * TALL, gap_x, gap_y)
    sheet = style.new_sheet(max(LEFT + tables.across + RIGHT, 4.6), bottom + tables.high + TOP)
    for at, attack in enumerate(attacks):
        axes = tables.add(sheet, at)
        _draw_table(axes, counts[counts["attack"] == attack])
        axes.set_title(wording.words(attack), fontsize=8.5, pad=4)
        if at % columns == 0:
            axes.set_yticks([0.5, 1.5], KINDS)
            axes.tick_params(axis="y", length=0)
        if at + columns >= len(attacks):
            axes.set_xticks([0.5, 1.5], KINDS)
            axes.tick_params(axis="x", length=0)
    layout.put(sheet, 0.16, bottom + tables.high / 2, "actually", rotation=90, ha="center", fontsize=9)
    layout.put(sheet, LEFT + tables.across / 2, 0.14, "called by the attack", ha="center", fontsize=9)
    note = CROSS_FITTED if cross_fitted else NOTE
    note = note.replace("\n", " ") if sheet.get_figwidth() > 6 else note
    layout.put(sheet, 0.1, layout.height(sheet) - 0.22, note, color=style.MUTED, fontsize=8)
    return sheet


def _draw_table(axes: Axes, counts: pd.DataFrame) -> None:
    """Draw the four cells of one attack, the more of its row a cell has, the bluer."""
    axes.grid(False)
    axes.set(xlim=(0, 2), ylim=(2, 0), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(True)
    shades = matplotlib.colors.LinearSegmentedColormap.from_list("shares", ["#FFFFFF", "#8DBFDD"])
    table = counts.pivot_table(index="actual", columns="predicted", values="count", aggfunc="sum")
    table = table.reindex(index=list(KINDS), columns=list(KINDS)).fillna(0)
    for down, row in enumerate(table.to_numpy(np.float64)):
        total = float(row.sum())
        for across, count in enumerate(row):
            share = count / total if total else float("nan")
            face = shades(share if total else 0.0)
            axes.add_patch(Rectangle((across, down), 1, 1, facecolor=face, edgecolor="white", linewidth=1))
            rate = ("TPR ", "FPR ")[down] if KINDS[across] == "member" else ""
            text = f"{rate}{100 * share:.1f} %" if total else "no records"
            axes.text(across + 0.5, down + 0.34, f"{count:,.0f}", ha="center", va="center", fontsize=8.5)
            axes.text(across + 0.5, down + 0.72, text, ha="center", va="center", fontsize=7.5, color=style.INK)
