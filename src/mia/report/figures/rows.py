"""What figures with a row an attack, or a class, share: the panel, and an estimate on it as a bar with a dot."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mia.report.figures import layout, style


def panel(sheet: Figure, place: tuple[float, float, float, float], count: int) -> Axes:
    """Add axes at (x, bottom, width, height), inches, for so many rows; the first is on top, at 0."""
    axes = layout.add_axes(sheet, *place)
    axes.set_ylim(count - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.yaxis.set_major_locator(NullLocator())
    axes.grid(False, axis="y")
    return axes


def shaded_panel(sheet: Figure, place: tuple[float, float, float, float], count: int, guess: float) -> Axes:
    """Add a `panel` with every other row shaded and guessing as a dashed line."""
    axes = panel(sheet, place, count)
    for at in range(0, count, 2):
        axes.axhspan(at - 0.5, at + 0.5, color=style.PALE, linewidth=0, zorder=0)
    draw_guessing(axes, guess)
    return axes


def draw_guessing(axes: Axes, guess: float) -> None:
    """Draw what guessing gets as a dashed line over all rows."""
    axes.axvline(guess, color=style.INK, linewidth=1.0, dashes=(2, 1.5), zorder=1.5)


def draw_estimate(
    axes: Axes,
    at: float,
    estimate: tuple[float, float, float],
    *,
    guess: float,
    colour: str = style.BLUE,
    marker: str = "o",
    size: float = 5.5,
    edge: float = 1.4,
    thickness: float = 1.8,
    lift: float = 0.0,
) -> None:
    """Draw a value with its limits, (value, low, high), in the row `at`: a bar, and a dot on it.

    The dot is filled where the whole interval lies above guessing. What lies below a logarithmic axis is drawn on its
    edge, the value as an arrow. lift: is added to the order in which artists hide each other.
    """
    value, low, high = estimate
    floor = axes.get_xlim()[0] if axes.get_xscale() == "log" else -math.inf
    axes.plot([max(low, floor), max(high, floor)], [at, at], color=colour, linewidth=thickness, zorder=2 + lift)
    axes.plot(
        [max(value, floor)],
        [at],
        marker=marker if value >= floor else "<",
        markersize=size,
        markeredgewidth=edge,
        color=colour,
        markerfacecolor=colour if low > guess else "white",
        clip_on=False,
        zorder=3 + lift,
    )
