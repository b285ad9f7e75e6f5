"""An audit at one glance: TPR at a low FPR as rows, beside ROC curves on log-log axes, whose legend the rows are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mia.evaluation import wording
from mia.report.figures import curves as roc_curves
from mia.report.figures import layout, rows, style
from mia.report.figures.curves import Look, Summary

BOTTOM, SIDE, PITCH = 0.52, 2.9, 0.3  # inches: below the panels; of the ROC panel; of a row
NUMBERS = 1.3  # inches


@style.applied()
def figure(curves: pd.DataFrame, summary: Summary, *, fpr: float, n_member: int, n_nonmember: int) -> Figure:
    """Draw the `curves.chosen` attacks. curves, summary: as in `roc.figure`; a TPR that is NaN has no dot."""
    looks, others = roc_curves.looks_of(curves, summary)
    attacks = sorted(looks, key=lambda attack: -np.nan_to_num(summary[attack]["tpr"], nan=-1.0))
    sheet = style.new_sheet(style.WIDTH, BOTTOM + SIDE + 0.42)
    left, x_roc = 0.62 + layout.widest(attacks, 8.5), style.WIDTH - SIDE - 0.12
    width, high = x_roc - 0.72 - NUMBERS - left, PITCH * len(attacks)
    axes = rows.shaded_panel(sheet, (left, BOTTOM + SIDE - high - 0.02, width, high), len(attacks), fpr)
    _tpr_axis(axes, [summary[attack] for attack in attacks], fpr)
    _draw_rows(sheet, axes, {attack: looks[attack] for attack in attacks}, summary, beside=left + width + 0.08, fpr=fpr)
    title = f"TPR at {layout.percent(fpr)} FPR"
    layout.put(sheet, 0.1, layout.height(sheet) - 0.14, title, weight="bold", fontsize=9.5)
    banded = " and ".join(roc_curves.banded(list(looks)))
    note = f"dashed: guessing; filled: interval above it\nbands: 95 % limits of {banded}"
    note += f"\ngrey: {len(others)} other attacks" if others else ""
    note += f"\n{n_member:,} members, {n_nonmember:,} non-members"
    layout.put(sheet, 0.1, 0.36, note, color=style.MUTED, fontsize=8, linespacing=1.5)
    log = layout.add_axes(sheet, x_roc, BOTTOM, SIDE, SIDE)
    roc_curves.draw_panel(log, curves, looks, others, n_nonmember=n_nonmember, start=1.0 / n_nonmember)
    log.set_title("ROC, both axes logarithmic")
    return sheet


def _tpr_axis(axes: Axes, entries: Sequence[Mapping[str, float]], fpr: float) -> None:
    values = layout.finite([entry[name] for entry in entries for name in ("tpr_low", "tpr_high")])
    least = min([fpr, *(value for value in values if value > 0)])
    layout.log_axis(axes, "x", max(least, fpr / 5) / 1.3, stop=min(1.0, max([10 * fpr, *values]) * 1.3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: layout.percent(share)))  # as the rows' texts
    axes.set_xlabel("share of members recognised", fontsize=8)


def _draw_rows(
    sheet: Figure, axes: Axes, looks: Mapping[str, Look], summary: Summary, *, beside: float, fpr: float
) -> None:
    """Draw a row an attack: its key and name, its TPR with limits, and these as text `beside` the panel, inches."""
    top = BOTTOM + SIDE - 0.02
    for at, (attack, look) in enumerate(looks.items()):
        y = top - PITCH * (at + 0.5)
        layout.key(sheet, 0.1, y, **look)
        layout.put(sheet, 0.55, y, wording.words(attack))
        estimate = wording.estimate(summary[attack], "tpr")
        if not np.isfinite(estimate[0]):
            layout.put(sheet, beside, y, "too few non-members", color=style.MUTED, fontsize=8)
            continue
        rows.draw_estimate(axes, at, estimate, guess=fpr, colour=look["color"])
        text = wording.with_limits(estimate, lambda share: f"{100 * share:.1f}", unit=" %")
        layout.put(sheet, beside, y, text, fontsize=8)
