"""What stands where on a sheet: axes, texts and keys at places given in inches, and the ticks of axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)
from numpy.typing import NDArray

from mia.report.figures import style

LONGEST = 30  # letters of a class's name


def add_axes(sheet: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Add axes at a place given in inches."""
    wide, high = sheet.get_figwidth(), sheet.get_figheight()
    return sheet.add_axes((left / wide, bottom / high, width / wide, height / high))


def put(sheet: Figure, x: float, y: float, text: str, **look: Any) -> None:
    """Write text at a place given in inches, centred on its height."""
    sheet.text(x / sheet.get_figwidth(), y / sheet.get_figheight(), text, **{"va": "center", **look})


def key(sheet: Figure, x: float, y: float, **look: Any) -> None:
    """Draw the line of a legend, 0.38 inches long, at a place given in inches."""
    ends = [x / sheet.get_figwidth(), (x + 0.38) / sheet.get_figwidth()]
    sheet.add_artist(Line2D(ends, [y / height(sheet)] * 2, **look))


def dot(sheet: Figure, x: float, y: float, **look: Any) -> None:
    """Draw the dot of a legend, at a place given in inches."""
    sheet.add_artist(Line2D([x / sheet.get_figwidth()], [y / height(sheet)], markersize=5, **look))


def height(sheet: Figure) -> float:
    """Return the height of a sheet in inches."""
    return float(sheet.get_figheight())


def text_width(sheet: Figure, text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a text of `size` points in inches."""
    drawn = sheet.text(0, 0, text, fontsize=size, weight=weight)
    box = drawn.get_window_extent()
    drawn.remove()
    return float(box.width) / style.DPI


def widest(texts: Iterable[str], size: float, weight: str = "normal") -> float:
    """Return the width of the widest of the texts in inches."""
    sheet = style.new_sheet(1, 1)
    return max(text_width(sheet, text, size, weight) for text in texts)


def shortened(name: str) -> str:
    """Return a name of `LONGEST` letters at most."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def drawable(text: str) -> str:
    """Return the text with [U+732B] for a character that the font lacks, which would be drawn as an empty box."""
    glyphs = get_font(findfont(style.STYLE["font.family"][0])).get_charmap()
    return "".join(letter if ord(letter) in glyphs else f"[U+{ord(letter):04X}]" for letter in text)


def percent(share: float) -> str:
    """Return a share that was chosen, an FPR, as text."""
    return f"{100 * share:g} %"


def finite(values: Sequence[float]) -> NDArray[np.float64]:
    """Return those of the values that are numbers."""
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


# ---- axes


@dataclass(frozen=True)
class Raster:
    """Panels of one size in rows, filled from the top left. All but the two counts are in inches."""

    count: int
    columns: int
    left: float
    bottom: float
    width: float
    height: float
    gap_x: float
    gap_y: float

    @property
    def rows(self) -> int:
        """How many rows the panels need."""
        return -(-self.count // self.columns)

    @property
    def across(self) -> float:
        """The width of a full row."""
        return self.columns * self.width + (self.columns - 1) * self.gap_x

    @property
    def high(self) -> float:
        """The height of all rows."""
        return self.rows * self.height + (self.rows - 1) * self.gap_y

    def add(self, sheet: Figure, at: int) -> Axes:
        """Add the axes of panel `at`."""
        column, row = at % self.columns, at // self.columns
        y = self.bottom + (self.rows - 1 - row) * (self.height + self.gap_y)
        return add_axes(sheet, self.left + column * (self.width + self.gap_x), y, self.width, self.height)


def ticks(most: int, *, integer: bool = False) -> MaxNLocator:
    """Return the place of at most so many ticks, at 1, 2 or 5 of a decade apart."""
    return MaxNLocator(most, steps=[1, 2, 5, 10], integer=integer)


def number_axis(axis: Axis, most: int, *, digits: int = 3) -> None:
    """Give a linear axis at most so many ticks, their labels of so many digits."""
    axis.set_major_locator(ticks(most))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.{digits}g}"))


def log_axis(axes: Axes, which: str, start: float, n: int | None = None, *, stop: float = 1.0) -> None:
    """Make an axis logarithmic, from `start` to `stop`, with ticks at the decades.

    which: "x" or "y". n: `start` is 1/n, and has a tick of its own if no decade is close.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(start, stop)
    decades = [float(f"1e{power}") for power in range(-12, 1)]
    labels = {value: f"{value:g}" for value in decades if start * 0.999 < value <= stop * 1.001}
    if n is not None and np.log10(min(labels) / start) > -0.12 * np.log10(start):
        labels[start] = f"1/{n:,}"
    fixed_ticks(axis, sorted(labels), [labels[value] for value in sorted(labels)])


def fixed_ticks(axis: Axis, places: Sequence[float], labels: Sequence[str]) -> None:
    """Give an axis these ticks and no others."""
    axis.set_major_locator(FixedLocator(places))
    axis.set_major_formatter(FixedFormatter(labels))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


# ---- a legend as wide as the page


def legend_lines(labels: Iterable[str]) -> list[list[tuple[str, float]]]:
    """Return the labels of a legend line by line, each with its place from the left in inches."""
    sample = style.new_sheet(1, 1)
    lines: list[list[tuple[str, float]]] = [[]]
    x = 0.15
    for label in labels:
        needed = 0.46 + text_width(sample, label, 8.5) + 0.3
        if x + needed > style.WIDTH and lines[-1]:
            lines.append([])
            x = 0.15
        lines[-1].append((label, x))
        x += needed
    return lines


def put_legend(
    sheet: Figure, lines: Sequence[Sequence[tuple[str, float]]], looks: Mapping[str, tuple[str, str]]
) -> None:
    """Draw `legend_lines` at the top of the page. looks: each label's colour and marker."""
    for down, line in enumerate(lines):
        for label, x in line:
            y = height(sheet) - 0.18 - 0.2 * down
            colour, marker = looks[label]
            key(sheet, x, y, color=colour, linewidth=1.3)
            dot(sheet, x + 0.19, y, color=colour, marker=marker)
            put(sheet, x + 0.46, y, label)
