"""ROC curves of all attacks, on linear and on log-log axes; the second shows the TPR at a low FPR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mia.evaluation import wording
from mia.report.figures import curves as roc_curves
from mia.report.figures import layout, style
from mia.report.figures.curves import Look, Summary

LEFT, SIDE = 0.62, 3.2  # inches: of the left panel; of both panels, which are square
ROW, SAMPLE, NUMBERS = 0.185, 0.5, 1.85  # inches: a row of the legend; its line; a column of numbers
PANELS = (("auc", 3), ("tpr", 4))  # the columns of numbers, and their digits


@style.applied()
def figure(curves: pd.DataFrame, summary: Summary, *, fpr: float, n_member: int, n_nonmember: int) -> Figure:
    """Draw the curves in two panels, and their numbers below.

    The `curves.chosen` have a colour and a line in the legend, the others are thin and grey. Bands around the best and
    the loss are their limits, one FPR at a time: more bands than two hide each other.
    curves: attack, fpr, tpr, tpr_low, tpr_high; a row a threshold, from strict to lax. Drawn as steps, so that a curve
    shows no rate which a threshold cannot reach; where many scores tie (correctness) the area under the steps is
    therefore less than the AUC, which counts a tie as one half. The log panel starts at 1 / `n_nonmember`,
    the smallest FPR that can be observed; what lies below (an FPR of 0 above all) is drawn on its edge.
    summary: attack -> auc, auc_low, auc_high, tpr, tpr_low, tpr_high; the last three at FPR `fpr`, NaN where the
    non-members cannot resolve it.
    """
    looks, others = roc_curves.looks_of(curves, summary)
    legend = ROW * (len(looks) + bool(others)) + 0.52
    bottom, floor = legend + 0.42, 1.0 / n_nonmember
    sheet = style.new_sheet(style.WIDTH, bottom + SIDE + 0.58)
    linear = layout.add_axes(sheet, LEFT, bottom, SIDE, SIDE)
    log = layout.add_axes(sheet, style.WIDTH - SIDE - 0.2, bottom, SIDE, SIDE)
    for axes, start in ((linear, 0.0), (log, floor)):
        roc_curves.draw_panel(axes, curves, looks, others, n_nonmember=n_nonmember, start=start)
    _put_numbers(sheet, looks, others, summary, head=legend - 0.3, fpr=fpr)
    note = f"bands: 95 % limits of {' and '.join(roc_curves.banded(list(looks)))}      "
    note += f"{n_member:,} members, {n_nonmember:,} non-members: the smallest FPR above 0 is {floor:.2g}"
    layout.put(sheet, style.WIDTH - 0.2, layout.height(sheet) - 0.12, note, ha="right", color=style.MUTED, fontsize=8)
    return sheet


@style.applied()
def panel(curves: pd.DataFrame, summary: Summary, *, n_nonmember: int, log: bool) -> Figure:
    """Draw one of the two panels of `figure` alone, without a legend, which `keys` describes."""
    looks, others = roc_curves.looks_of(curves, summary)
    sheet = style.new_sheet(4.4, 4.2)
    axes = layout.add_axes(sheet, 0.66, 0.52, 3.4, 3.4)
    start = 1.0 / n_nonmember if log else 0.0
    roc_curves.draw_panel(axes, curves, looks, others, n_nonmember=n_nonmember, start=start)
    return sheet


def keys(curves: pd.DataFrame, summary: Summary) -> dict[str, tuple[str, str]]:
    """Return colour and dashes, as `curves.svg_key`, of each attack that `figure` has in colour, best first."""
    looks, _ = roc_curves.looks_of(curves, summary)
    return {attack: roc_curves.svg_key(look) for attack, look in looks.items()}


def _put_numbers(
    sheet: Figure, looks: Mapping[str, Look], others: Sequence[str], summary: Summary, *, head: float, fpr: float
) -> None:
    """Write the legend as a table, a row an attack. head: the height of its head, inches."""
    names = layout.widest([*looks, "00 other attacks"], 8.5)
    ends = [LEFT + SAMPLE + names + NUMBERS + at * (NUMBERS + 0.1) for at in range(2)]
    layout.put(sheet, LEFT + SAMPLE, head, "attack", color=style.MUTED, fontsize=8)
    for end, title in zip(ends, ("AUC (95 %)", f"TPR at {layout.percent(fpr)} FPR (95 %)"), strict=True):
        layout.put(sheet, end, head, title, color=style.MUTED, fontsize=8, ha="right")
    for at, (attack, look) in enumerate(looks.items()):
        y = head - 0.18 - ROW * at
        layout.key(sheet, LEFT, y, **look)
        layout.put(sheet, LEFT + SAMPLE, y, wording.words(attack))
        for end, (name, digits) in zip(ends, PANELS, strict=True):
            estimate = wording.estimate(summary[attack], name)
            known = np.isfinite(estimate[0])
            text = wording.with_limits(estimate, wording.decimals(digits), form=wording.FRACTION)
            text = text if known else "too few non-members"
            layout.put(sheet, end, y, text, ha="right", color=style.INK if known else style.MUTED)
    if others:
        _put_others(sheet, others, summary, head - 0.18 - ROW * len(looks), ends)


def _put_others(sheet: Figure, others: Sequence[str], summary: Summary, y: float, ends: Sequence[float]) -> None:
    """Write the row of the attacks in grey: how many they are, and from where to where their numbers go."""
    layout.key(sheet, LEFT, y, **roc_curves.THIN)
    plural = f"{len(others)} other attack{'s' if len(others) > 1 else ''}"
    layout.put(sheet, LEFT + SAMPLE, y, plural, color=style.MUTED)
    layout.put(sheet, ends[1] + 0.25, y, "(by name: plots/leak.png)", color=style.MUTED, fontsize=8)
    for end, (name, digits) in zip(ends, PANELS, strict=True):
        values = layout.finite([summary[attack][name] for attack in others])
        if values.size:
            text = " to ".join(wording.decimals(digits)(end) for end in (values.min(), values.max()))
            layout.put(sheet, end, y, text, ha="right", color=style.MUTED)
