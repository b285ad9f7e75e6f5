"""Where markers and their labels stand so that none hides another; all places are in inches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mia.report.figures import layout

APART = 0.16  # between markers that would hide each other

Box = tuple[float, float, float, float]  # x0, y0, x1, y1


def put_label(
    sheet: Figure, text: str, dot: tuple[float, float], taken: Sequence[Box], within: Box, colour: str
) -> Box:
    """Write what a marker is called beside it, or where there is room, with a line to it.

    dot: where the marker stands. taken: boxes that are covered already. within: the box that the label stays in.
    Returns the box that the label covers.
    """
    wide, high = layout.text_width(sheet, text, 8.5) + 0.02, 0.15
    x, y = _free_corner(dot, (wide, high), taken, within)
    near = float(np.clip(dot[0], x, x + wide)), float(np.clip(dot[1], y, y + high))
    if np.hypot(near[0] - dot[0], near[1] - dot[1]) > 0.2:
        ends = np.array([dot, near]) / (sheet.get_figwidth(), layout.height(sheet))
        sheet.add_artist(Line2D(*ends.T, color=colour, linewidth=0.8, zorder=1.8))
    layout.put(sheet, x + 0.01, y + high / 2, text)
    return x, y, x + wide, y + high


def moves_aside(places: Sequence[float]) -> list[float]:
    """Return how far markers at these places are moved so that none stands in another's column."""
    order = sorted(range(len(places)), key=lambda at: places[at])
    groups: list[list[int]] = []
    for at in order:
        if groups and places[at] - places[groups[-1][-1]] < APART / 2:
            groups[-1].append(at)
        else:
            groups.append([at])
    moved = [0.0] * len(places)
    for group in groups:
        middle = sum(places[at] for at in group) / len(group)
        for rank, at in enumerate(sorted(group)):  # in the order given
            if len(group) > 1:
                moved[at] = middle + APART * (rank - (len(group) - 1) / 2) - places[at]
    return moved


def _free_corner(
    dot: tuple[float, float], size: tuple[float, float], taken: Sequence[Box], within: Box
) -> tuple[float, float]:
    """The lower left corner of a label's box near a marker, where nothing is yet.

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
