"""What did a grid of experiments find? A row of panels an attack: AUC, and TPR at a low FPR, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mia.evaluation import wording
from mia.report.figures import layout, style

LEFT, GAP, HEIGHT = 0.62, 0.75, 1.75  # inches: beside the panels; between two in a row; of a panel
NOTE = "dashed line: guessing      bar: 95 % interval"


@dataclass(frozen=True)
class Design:
    """What all panels share: the places on the x axis, and how each series looks, (colour, marker).

    x: what the axis is called. joined: the dots of a series are joined by a line.
    """

    places: Sequence[str]
    looks: Mapping[str, tuple[str, str]]
    x: str
    joined: bool

    @property
    def width(self) -> float:
        """The width of a panel in inches."""
        return (style.WIDTH - LEFT - GAP - 0.2) / 2

    @property
    def widest(self) -> float:
        """The width of the widest label of a place in inches."""
        return layout.widest(self.places, 8.0)

    @property
    def upright(self) -> bool:
        """Whether the labels of places would run into each other if they were not turned."""
        return self.widest + 0.1 > self.width / len(self.places)

    @property
    def shifts(self) -> Sequence[float]:
        """How far each series stands aside, so that dots of one place stand beside each other."""
        count = len(self.looks)
        return list((np.arange(count) - (count - 1) / 2) * min(0.12, 0.6 / count))


@style.applied()
def figure(experiments: pd.DataFrame, *, x: str, joined: bool, fpr: float) -> Figure:
    """Draw two panels an attack.

    experiments: attack, series, at, auc, auc_low, auc_high, tpr, tpr_low, tpr_high; a row an attack of an experiment.
    at: its place on the axis called `x`, a label; places are evenly spaced, in the order in which they come. series:
    what else tells experiments apart, a colour and a marker each; joined: by a line too, where places are numbers.
    What is NaN (the experiment failed; too few non-members) has no dot.
    """
    experiments = experiments.assign(**{name: experiments[name].map(layout.drawable) for name in ("series", "at")})
    attacks, series, places = (list(dict.fromkeys(experiments[name])) for name in ("attack", "series", "at"))
    looks = {
        name: (style.COLOURS[at % style.MOST], style.MARKERS[(at + at // style.MOST) % style.MOST])
        for at, name in enumerate(series)
    }
    design = Design(places, looks, x, joined)
    lines = layout.legend_lines([name for name in series if name])
    legend = 0.2 * len(lines) * any(series)
    below = design.widest if design.upright else 0.1
    step, bottom = HEIGHT + 0.52 + below, 0.45 + below
    sheet = style.new_sheet(style.WIDTH, bottom + len(attacks) * step - 0.52 - below + legend + 0.62)
    for name, title, left, guess in (
        ("auc", "AUC", LEFT, 0.5),
        ("tpr", f"TPR at {layout.percent(fpr)} FPR", LEFT + design.width + GAP, fpr),
    ):
        limits = _limits(experiments, name, guess)
        for at, attack in enumerate(attacks):
            y = bottom + (len(attacks) - 1 - at) * step
            axes = layout.add_axes(sheet, left, y, design.width, HEIGHT)
            axes.set_title(f"{wording.words(attack)}: {title}")
            axes.set_ylim(*limits)
            axes.axhline(guess, color=style.INK, linewidth=1.0, dashes=(2, 1.5), zorder=1.5)
            _draw_panel(axes, experiments[experiments["attack"] == attack], name, design)
            if at == len(attacks) - 1:
                axes.set_xlabel(x)
    layout.put_legend(sheet, lines, looks)
    layout.put(sheet, 0.15, layout.height(sheet) - legend - 0.16, NOTE, color=style.MUTED, fontsize=8)
    return sheet


def _limits(experiments: pd.DataFrame, name: str, guess: float) -> tuple[float, float]:
    """From where to where the axis of a measure goes, the same for all attacks."""
    values = np.concatenate([experiments[f"{name}{end}"] for end in ("", "_low", "_high")])
    ends = layout.finite(values.tolist())
    low, high = min([guess, *ends]), max([guess, *ends])
    return max(low - 0.1 * (high - low), 0.0 if name == "tpr" else -1.0), high + 0.1 * (high - low)


def _draw_panel(axes: Axes, of_attack: pd.DataFrame, name: str, design: Design) -> None:
    """Draw one measure of one attack, a dot and a bar an experiment."""
    axes.set_xlim(-0.5, len(design.places) - 0.5)
    axes.set_xticks(range(len(design.places)), design.places, rotation=90 if design.upright else 0)
    axes.grid(False, axis="x")
    layout.number_axis(axes.yaxis, 6)
    measured = of_attack[of_attack[name].notna()]
    if measured.empty:
        axes.text(0.5, 0.5, "nothing measured", transform=axes.transAxes, color=style.MUTED, ha="center")
    for (series, (colour, marker)), shift in zip(design.looks.items(), design.shifts, strict=True):
        mine = measured[measured["series"] == series]
        at = np.array([design.places.index(place) for place in mine["at"]], np.float64) + shift
        axes.vlines(at, mine[f"{name}_low"], mine[f"{name}_high"], color=colour, linewidth=1.3, zorder=2)
        axes.plot(
            at,
            mine[name],
            color=colour,
            linewidth=0.8 if design.joined else 0,
            marker=marker,
            markersize=5.5,
            markeredgecolor="white",
            markeredgewidth=0.25,
            clip_on=False,
            zorder=3,
        )
