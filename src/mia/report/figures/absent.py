"""In place of a figure that has nothing to draw: one line that says why."""

from __future__ import annotations

from matplotlib.figure import Figure

from mia.report.figures import layout, style


@style.applied()
def figure(reason: str) -> Figure:
    """Draw the reason, a sentence that fits on one line of `style.WIDTH` inches."""
    sheet = style.new_sheet(style.WIDTH, 0.5)
    layout.put(sheet, 0.1, 0.25, layout.drawable(reason), color=style.MUTED)
    return sheet
