"""What does privacy cost, and accuracy? A marker an audit: its accuracy on non-members, and its TPR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import ScaledTranslation

from mia.report.figures import labels, layout, style
from mia.report.figures.labels import Box

LEFT, BOTTOM, WIDTH, HEIGHT = 0.74, 0.52, 4.3, 3.5  # inches: the panel
NOTES = "bars: 95 % intervals; further right: more accurate; further down: leaks less"

Row = Mapping[Any, Any]
Look = tuple[str, str]  # colour, marker


@style.applied()
def figure(audits: pd.DataFrame) -> Figure:
    """Draw up to seven audits.

    audits: label, accuracy, accuracy_low, accuracy_high (shares of the non-members), tpr, tpr_low, tpr_high, fpr; a row
    an audit, all TPRs at the one FPR `fpr`. The better audit lies further right and further down. A TPR
    below the axis, 0 above all, is drawn on its edge and written out. NaN: nothing is drawn, and a line says of whom.
    Markers that would hide each other for being as accurate stand side by side.
    """
    assert 1 <= len(audits) <= style.MOST, "one colour an audit"
    looks = [(style.COLOURS[at], style.MARKERS[at]) for at in range(len(audits))]
    entries = list(zip(audits.to_dict("records"), looks, strict=True))
    known = [(row, look) for row, look in entries if np.isfinite(row["tpr"])]
    unknown = [layout.shortened(str(row["label"])) for row, _ in entries if not np.isfinite(row["tpr"])]
    sheet = style.new_sheet(5.2, BOTTOM + HEIGHT + 0.5 + 0.17 * len(unknown))
    axes = layout.add_axes(sheet, LEFT, BOTTOM, WIDTH, HEIGHT)
    _accuracy_axis(axes, [*audits["accuracy_low"], *audits["accuracy_high"]])
    fpr = float(audits["fpr"].iloc[0])
    _tpr_axis(axes, [row for row, _ in known], fpr)
    _draw_audits(sheet, axes, known, taken=_draw_guessing(sheet, axes, fpr))
    layout.put(sheet, 0.1, layout.height(sheet) - 0.16, NOTES, color=style.MUTED, fontsize=8)
    for at, name in enumerate(unknown):
        text = f"{name}: not drawn, too few non-members"
        layout.put(sheet, 0.1, layout.height(sheet) - 0.33 - 0.17 * at, text, color=style.MUTED, fontsize=8)
    return sheet


def _accuracy_axis(axes: Axes, limits: Sequence[float]) -> None:
    ends = layout.finite(limits)
    margin = 0.06 * (ends.max() - ends.min()) or 0.01
    stop = min(ends.max() + margin, 1.0) if ends.max() < 1 else 1 + margin / 2
    axes.set_xlim(max(ends.min() - margin, 0.0), stop)
    axes.xaxis.set_major_locator(layout.ticks(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %" if value <= 1 else ""))
    axes.set_xlabel("accuracy on non-members: share classified correctly")


def _tpr_axis(axes: Axes, known: Sequence[Row], fpr: float) -> None:
    """Make the y axis logarithmic, with ticks at 1, 2 and 5 of each decade, as percent."""
    # A low limit far below guessing says no more than one that ends at the edge.
    lows = [row[name] for row in known for name in ("tpr", "tpr_low") if row[name] > 0]
    floor = max(min([*lows, fpr]), fpr / 10) / 1.3
    ceiling = min(1.0, 1.5 * max([2 * fpr, *(row["tpr_high"] for row in known)]))
    axes.set_yscale("log")
    axes.set_ylim(floor, ceiling)
    ticks = [float(f"{digit}e{power}") for power in range(-9, 1) for digit in (1, 2, 5)]
    shown = [tick for tick in ticks if floor <= tick <= ceiling]
    layout.fixed_ticks(axes.yaxis, shown, [f"{100 * tick:.3g} %" for tick in shown])
    axes.set_ylabel(f"members recognised at {layout.percent(fpr)} FPR (TPR)")


def _draw_guessing(sheet: Figure, axes: Axes, fpr: float) -> list[Box]:
    """Draw the line of guessing and its name; return the boxes that they cover."""
    axes.axhline(fpr, color=style.INK, linewidth=1.0, dashes=(2, 1.5), zorder=1.5)
    y, right = float(axes.transData.transform((0, fpr))[1]) / style.DPI, LEFT + WIDTH
    wide = layout.text_width(sheet, "guessing", 8.0)
    layout.put(sheet, right, y + 0.08, "guessing", color=style.MUTED, fontsize=8, ha="right")
    return [(right - wide, y, right, y + 0.16), (LEFT, y - 0.02, right, y + 0.02)]


def _draw_audits(sheet: Figure, axes: Axes, known: Sequence[tuple[Row, Look]], *, taken: list[Box]) -> None:
    """Draw all markers, then their labels, where nothing is yet. taken: boxes that are covered already."""
    floor = axes.get_ylim()[0]
    per_inch = WIDTH / (axes.get_xlim()[1] - axes.get_xlim()[0])
    dots = []
    moves = labels.moves_aside([row["accuracy"] * per_inch for row, _ in known])
    for (row, look), aside in zip(known, moves, strict=True):
        dot, boxes = _draw_audit(axes, row, look, floor, aside)
        dots.append(dot)
        taken += boxes
    within = LEFT + 0.03, BOTTOM + 0.03, LEFT + WIDTH + 0.12, BOTTOM + HEIGHT
    for (row, (colour, _)), dot in zip(known, dots, strict=True):
        below = f": {100 * row['tpr']:.2g} %" if row["tpr"] < floor else ""
        text = layout.shortened(str(row["label"])) + below
        taken.append(labels.put_label(sheet, text, dot, taken, within, colour))


def _draw_audit(axes: Axes, row: Row, look: Look, floor: float, aside: float) -> tuple[tuple[float, float], list[Box]]:
    """Draw a marker with its bars, moved `aside` inches; return where it stands, and the boxes that it covers."""
    (colour, marker), sheet = look, axes.figure
    moved = axes.transData + ScaledTranslation(aside, 0, sheet.dpi_scale_trans)
    x, y = row["accuracy"], max(row["tpr"], floor)
    bars = (
        ([x, x], [max(row["tpr_low"], floor), max(row["tpr_high"], floor)]),
        ([row["accuracy_low"], row["accuracy_high"]], [y, y]),
    )
    boxes: list[Box] = []
    for bar in bars:
        axes.plot(*bar, color=colour, linewidth=1.3, alpha=0.75, zorder=2, transform=moved)
        (x0, y0), (x1, y1) = moved.transform(np.transpose(bar)) / style.DPI
        boxes.append((x0 - 0.02, y0 - 0.02, x1 + 0.02, y1 + 0.02))
    white: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.4}
    axes.plot([x], [y], marker, color=colour, markersize=8, **white, clip_on=False, zorder=3, transform=moved)
    across, up = (float(place) / style.DPI for place in moved.transform((x, y)))
    return (across, up), [*boxes, (across - 0.08, up - 0.08, across + 0.08, up + 0.08)]
