"""AUC of every attack model tried on the shadow models, best first; those stopped early come last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mia.evaluation import wording
from mia.report import ranking
from mia.report.figures import layout, rows, style

PITCH, BOTTOM, TOP = 0.27, 0.52, 0.62  # inches: a row; below all rows; above them
NOTES = ("dot: mean of the folds", "bar: ± one standard deviation", "tick: one fold")


@style.applied()
def figure(board: pd.DataFrame, *, chosen: str | None = None) -> Figure:
    """Draw a row an attack model.

    board: estimator, auc_mean, auc_std, fold_aucs (a list a row), stopped_in_round (0: not). An estimator whose name
    starts with "dummy" becomes the line it is there to draw, but where it is alone. `chosen` is marked, wherever it
    ranks.
    """
    dummy = board["estimator"].str.lower().str.startswith("dummy") & (len(board) > 1)
    ranked = ranking.best_first(board[~dummy])
    base = float(board.loc[dummy, "auc_mean"].iloc[0]) if dummy.any() else 0.5
    count = len(ranked)
    sheet = style.new_sheet(style.WIDTH, BOTTOM + PITCH * count + TOP)
    left = 0.25 + layout.widest(ranked["estimator"], 8.5, "bold")
    width = style.WIDTH - left - 1.75
    axes = rows.panel(sheet, (left, BOTTOM, width, PITCH * count), count)
    number = wording.decimals(3)
    columns = ["estimator", "auc_mean", "auc_std", "fold_aucs", "stopped_in_round"]
    for at, (name, mean, spread, folds, stopped) in enumerate(ranked[columns].itertuples(index=False)):
        picked, y = name == chosen, BOTTOM + PITCH * (count - at - 0.5)
        weight = "bold" if picked else "normal"
        _draw_row(axes, at, mean, spread, folds, picked=picked, stopped=bool(stopped))
        layout.put(sheet, left - 0.1, y, wording.words(str(name)), ha="right", weight=weight)
        result = f"{number(mean)}, round {stopped}" if stopped else f"{number(mean)} ± {number(spread)}"
        text = f"{result}{'  chosen' if picked else ''}"
        colour = style.MUTED if stopped and not picked else style.INK
        layout.put(sheet, left + width + 0.12, y, text, fontsize=8, weight=weight, color=colour)
    _auc_axis(axes, ranked, base)
    guessing = f"dashed: guessing, as the dummy does ({wording.decimals(2)(base)})"
    if ranked["stopped_in_round"].any():
        guessing = "grey: stopped after a round      dashed: guessing"
    note = "      ".join([*NOTES, guessing])
    layout.put(sheet, 0.1, layout.height(sheet) - 0.2, note, color=style.MUTED, fontsize=8)
    head = BOTTOM + PITCH * count + 0.14
    layout.put(sheet, left + width + 0.12, head, "mean ± std", color=style.MUTED, fontsize=8)
    return sheet


def _draw_row(
    axes: Axes, at: int, mean: float, spread: float, folds: Sequence[float], *, picked: bool, stopped: bool
) -> None:
    colour = style.VERMILION if picked else style.GREY if stopped else style.BLUE
    if picked:
        axes.axhspan(at - 0.5, at + 0.5, color="#FBEDE3", linewidth=0, zorder=0)
    axes.plot(folds, np.full(len(folds), at), "|", color=colour, markersize=8, alpha=0.55, zorder=2)
    axes.plot([mean - spread, mean + spread], [at, at], color=colour, linewidth=1.8, zorder=2.5)
    axes.plot([mean], [at], "D" if picked else "o", color=colour, markersize=6.5, zorder=3)


def _auc_axis(axes: Axes, ranked: pd.DataFrame, base: float) -> None:
    folds = np.concatenate([np.asarray(folds, dtype=np.float64) for folds in ranked["fold_aucs"]])
    ends = np.concatenate([folds, ranked["auc_mean"] - ranked["auc_std"], ranked["auc_mean"] + ranked["auc_std"]])
    start, stop = min(float(ends.min()), base), max(float(ends.max()), base + 0.05)
    axes.set_xlim(start - 0.04 * (stop - start), stop + 0.02 * (stop - start))
    rows.draw_guessing(axes, base)
    layout.number_axis(axes.xaxis, 6)
    axes.set_xlabel("AUC, cross-validated over shadow models")
