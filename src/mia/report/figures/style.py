"""How every figure looks, and how it becomes a file: colours, the style, sheets in inches.

A figure is laid out in inches on a sheet that a README shows at about 100 pixels an inch (8 inches: 800 pixels) and
that is saved at twice that. No global state is left behind: pyplot is not used, and the style is in force only while a
figure is made or saved.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mia.store import atomic

DPI = 200
WIDTH = 8.0  # inches

# Okabe and Ito 2008, without the yellow, which vanishes on white.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.6), (1.2, 1.2), (6, 1.5, 1.2, 1.5), (9, 2))
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
# As many curves as there are colours can be told apart; an audit has up to 24 attacks.
MOST = len(COLOURS)
INK, MUTED, GRID, PALE = "#222222", "#5F6368", "#E4E6E8", "#F4F5F6"
GREY = "#B4B8BC"  # of curves that are there for comparison only
NOT_APART = 0.05  # from this adjusted p-value on, two attacks are not to be told apart

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "mia",  # names within a file depend on what is drawn
    "text.parse_math": False,  # names of classes are somebody's folders: a $ is a $
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelpad": 4.0,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 6.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.unicode_minus": True,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so the bytes do not depend on the machine's fonts
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.dash_capstyle": "butt",
    "lines.solid_capstyle": "butt",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "xtick.major.size": 3.0,
    "xtick.major.width": 0.7,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.0,
    "ytick.major.size": 3.0,
    "ytick.major.width": 0.7,
}


def save(sheet: Figure, path: Path) -> None:
    """Write a figure as PNG: whole or not at all, and the same bytes for the same figure."""
    with atomic.file(path) as temporary, applied():
        sheet.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})


def svg(sheet: Figure) -> str:
    """Return a figure as SVG: text stays text, and the same figure gives the same SVG."""
    content = io.StringIO()
    with applied():
        sheet.savefig(content, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return content.getvalue()


@contextmanager
def applied() -> Iterator[None]:
    """Put `STYLE` over matplotlib's own defaults, whatever a matplotlibrc says; then undo it. Decorates too."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams  # typed by literal keys in some releases only
        settings.update(STYLE)
        yield


def new_sheet(width: float, height: float) -> Figure:
    """Return an empty figure of that many inches that can measure text."""
    sheet = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(sheet)
    return sheet
