"""Does the model leak? A row an attack: AUC and TPR at one low FPR, with intervals, beside guessing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mia.evaluation import wording
from mia.report.figures import layout, rows, style

PITCH, BOTTOM, TOP = 0.25, 0.55, 0.64  # inches: a row; below all rows; above them
NUMBERS, GAP = 1.5, 0.05  # inches: the numbers beside each panel; the space between the two halves
NOTES = ("dashed line: guessing", "filled dot: the whole interval lies above guessing", "hollow: it does not")

Summary = Mapping[str, Mapping[str, float]]


@style.applied()
def figure(summary: Summary, *, fpr: float) -> Figure:
    """Draw AUC and TPR of every attack.

    summary: attack -> auc, auc_low, auc_high, tpr, tpr_low, tpr_high; the last three at FPR `fpr`, NaN where
    the non-members cannot resolve it. A filled dot: the whole interval lies above guessing.
    """
    attacks = sorted(summary, key=lambda attack: -summary[attack]["auc"])
    high = PITCH * len(attacks)
    sheet = style.new_sheet(style.WIDTH, BOTTOM + high + TOP)
    left = 0.2 + layout.widest(attacks, 8.5)
    width = (style.WIDTH - left - 2 * NUMBERS - GAP - 0.1) / 2
    auc = rows.shaded_panel(sheet, (left, BOTTOM, width, high), len(attacks), 0.5)
    _auc_axis(auc, [summary[attack] for attack in attacks])
    right = left + width + NUMBERS + GAP
    tpr = rows.shaded_panel(sheet, (right, BOTTOM, width, high), len(attacks), fpr)
    lows = [summary[attack]["tpr_low"] for attack in attacks]
    layout.log_axis(tpr, "x", min(layout.finite([low for low in lows if low > 0] + [fpr])) / 1.6)
    for axes, name, x, guess, digits in ((auc, "auc", left, 0.5, 3), (tpr, "tpr", right, fpr, 4)):
        estimates = [wording.estimate(summary[attack], name) for attack in attacks]
        _draw_rows(sheet, axes, estimates, beside=x + width + 0.1, guess=guess, digits=digits)
    for at, attack in enumerate(attacks):
        layout.put(sheet, left - 0.1, _row(at, len(attacks)), wording.words(attack), ha="right")
    for x, title in ((left, "AUC"), (right, f"TPR at {layout.percent(fpr)} FPR")):
        head = BOTTOM + high + 0.12
        layout.put(sheet, x, head, title, weight="bold", fontsize=9.5, va="bottom")
        layout.put(sheet, x + width + 0.1, head, "value (95 %)", color=style.MUTED, fontsize=8, va="bottom")
    auc.set_xlabel("probability that a member outscores a non-member", x=0.5, fontsize=8.5)
    tpr.set_xlabel("share of members called members", x=0.5, fontsize=8.5)
    layout.put(sheet, 0.1, layout.height(sheet) - 0.16, "      ".join(NOTES), color=style.MUTED, fontsize=8)
    return sheet


def _auc_axis(axes: Axes, entries: Sequence[Mapping[str, float]]) -> None:
    lows, highs = ([entry[f"auc_{end}"] for entry in entries] for end in ("low", "high"))
    start, stop = min(*layout.finite([*lows, 0.48]), 0.48), max(*layout.finite([*highs, 0.6]), 0.6)
    axes.set_xlim(max(start - 0.01, 0.0), min(stop + 0.01, 1.0))
    layout.number_axis(axes.xaxis, 5)


def _draw_rows(
    sheet: Figure,
    axes: Axes,
    estimates: Sequence[tuple[float, float, float]],
    *,
    beside: float,
    guess: float,
    digits: int,
) -> None:
    """Draw an estimate a row, and write it `beside` the panel, inches from the left."""
    for at, estimate in enumerate(estimates):
        y = _row(at, len(estimates))
        if not np.isfinite(estimate[0]):
            layout.put(sheet, beside, y, "too few non-members", color=style.MUTED, fontsize=8)
            continue
        rows.draw_estimate(axes, at, estimate, guess=guess)
        text = wording.with_limits(estimate, wording.decimals(digits), form=wording.FRACTION)
        layout.put(sheet, beside, y, text, fontsize=8)


def _row(at: int, count: int) -> float:
    """The middle of a row, inches from the bottom of the sheet."""
    return BOTTOM + PITCH * (count - at - 0.5)
