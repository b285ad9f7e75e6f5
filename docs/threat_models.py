"""Draw every attack over the threat models of docs/results/cifake-half, from the metrics files there.

python docs/threat_models.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mia.evaluation import metrics, wording
from mia.report.figures import layout, rows, style
from mia.store import metrics_files

FOLDER = Path(__file__).parent / "results" / "cifake-half"
FPR = 0.01
BOTTOM, GAP = 0.55, 0.3  # inches: below the panels; between them
NOTES = (
    "dashed line: guessing",
    "bar: 95 % interval",
    "arrow: below the axis",
    "no dot: cannot run, or too few non-members",
)

Audits = Mapping[str, Mapping[str, Mapping[str, Any]]]  # label of an audit -> attack -> its entry


def main() -> None:
    """Draw the figure of the audits with 16 shadows."""
    measured = {
        knowledge: metrics_files.read_json(FOLDER / f"{knowledge}-16" / "attacks.json")
        for knowledge in ("generated", "disjoint", "population")
    }
    style.save(figure(measured, fpr=FPR), FOLDER / "threat_models.png")


@style.applied()
def figure(measured: Mapping[str, Sequence[Mapping[str, Any]]], *, fpr: float) -> Figure:
    """Draw AUC, and TPR at a low FPR: one row an attack, one dot a threat model.

    measured: label of an audit ("generated", "disjoint, 16 shadows", ...) -> the entries of its
    metrics/attacks.json; at most seven. The rows are in the order of the best AUC that an attack has in any audit.
    An attack that an audit lacks has no dot for it. The right panel has no dot for an audit whose non-members cannot
    resolve `fpr`.
    """
    assert 1 <= len(measured) <= style.MOST, "one colour an audit"
    audits = {label: {str(entry["attack"]): entry for entry in entries} for label, entries in measured.items()}
    attacks = by_best_auc(audits)
    looks = {label: (style.COLOURS[at], style.MARKERS[at]) for at, label in enumerate(audits)}
    lines = layout.legend_lines(audits)
    high = max(0.25, 0.06 * len(audits) + 0.08) * len(attacks)
    sheet = style.new_sheet(style.WIDTH, BOTTOM + high + 0.62 + 0.2 * (len(lines) - 1) + 0.22)
    left = 0.2 + layout.widest([wording.words(attack) for attack in attacks], 8.5)
    width = (style.WIDTH - left - GAP - 0.2) / 2
    auc = rows.shaded_panel(sheet, (left, BOTTOM, width, high), len(attacks), 0.5)
    auc.set_title("AUC")
    auc.set_xlabel("probability that a member outscores a non-member", fontsize=8.5)
    ends = numbers(audits, "auc", ("_low", "_high"))
    auc.set_xlim(max(min(*ends, 0.48) - 0.01, 0.0), min(max(*ends, 0.6) + 0.01, 1.0))
    layout.number_axis(auc.xaxis, 6)
    draw_dots(auc, audits, looks, attacks, "auc")
    tpr = rows.shaded_panel(sheet, (left + width + GAP, BOTTOM, width, high), len(attacks), fpr)
    tpr.set_title(f"TPR at {layout.percent(fpr)} FPR")
    tpr.set_xlabel("share of members called members", fontsize=8.5)
    key = metrics.fpr_key(fpr)
    rates = [rate for rate in numbers(audits, key, ("", "_low")) if rate > 0]
    # A low limit far below guessing says no more than one that ends at the edge.
    layout.log_axis(tpr, "x", max(min([*rates, fpr]), fpr / 10) / 1.3)
    draw_dots(tpr, audits, looks, attacks, key)
    for at, attack in enumerate(attacks):
        layout.put(
            sheet, left - 0.1, BOTTOM + high * (1 - (at + 0.5) / len(attacks)), wording.words(attack), ha="right"
        )
    layout.put_legend(sheet, lines, looks)
    y = layout.height(sheet) - 0.2 * len(lines) - 0.2
    layout.put(sheet, 0.15, y, "      ".join(NOTES), color=style.MUTED, fontsize=8)
    return sheet


def by_best_auc(audits: Audits) -> list[str]:
    """Return the attacks by the best AUC that each has in any audit."""
    best: dict[str, float] = {}
    for entries in audits.values():
        for attack, entry in entries.items():
            best[attack] = max(best.get(attack, 0.0), float(entry["auc"]))
    return sorted(best, key=lambda attack: -best[attack])


def numbers(audits: Audits, name: str, ends: Sequence[str]) -> list[float]:
    """Return the numbers of that name, with these endings, of all attacks in all audits that have them."""
    return [
        float(entry[f"{name}{end}"])
        for entries in audits.values()
        for entry in entries.values()
        for end in ends
        if f"{name}{end}" in entry
    ]


def draw_dots(
    axes: Axes, audits: Audits, looks: Mapping[str, tuple[str, str]], attacks: Sequence[str], name: str
) -> None:
    """Draw a measure of every attack in every audit, a little apart; what lies beyond the axis is on its edge."""
    floor, models = axes.get_xlim()[0], len(audits)
    shifts = (np.arange(models) - (models - 1) / 2) * 0.8 / models
    for (label, entries), shift in zip(audits.items(), shifts, strict=True):
        colour, marker = looks[label]
        for at, attack in enumerate(attacks):
            entry = entries.get(attack, {})
            if name not in entry:
                continue
            value, low, high = wording.estimate(entry, name)
            y = at + float(shift)
            axes.plot([max(low, floor), max(high, floor)], [y, y], color=colour, linewidth=1.3, zorder=2)
            axes.plot(
                [max(value, floor)],
                [y],
                marker=marker if value >= floor else "<",  # the arrow: the value lies beyond the axis
                markersize=4.8,
                color=colour,
                markeredgecolor="white",
                markeredgewidth=0.25,
                clip_on=False,
                zorder=3,
            )


if __name__ == "__main__":
    main()
