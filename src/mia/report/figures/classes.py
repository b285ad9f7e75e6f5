"""Which classes does the model reveal? A row a class: AUC of the best attack, the loss in grey beside it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mia.evaluation import wording
from mia.report.figures import layout, rows, style

FEW = 20  # of more than twice as many classes, so many of the most and of the least exposed
BOTTOM, TOP = 0.55, 0.86  # inches below and above the rows
COLUMNS = (1.55, 0.7, 0.9)  # inches: AUC, members, non-members

Attacks = Mapping[str, Mapping[str, float]]
Drawn = Sequence[tuple[str, str, str]]  # attack, colour, marker


@dataclass(frozen=True)
class Ranked:
    """The classes that are drawn, most exposed first: a row each.

    places: the row of each class. count: rows, one for what is left out among them. left_out: classes.
    """

    classes: pd.DataFrame
    places: Sequence[int]
    count: int
    left_out: int

    @property
    def pitch(self) -> float:
        """The height of a row in inches."""
        return 0.22 if len(self.classes) > 12 else 0.27

    @property
    def high(self) -> float:
        """The height of all rows in inches."""
        return self.pitch * self.count

    def middle(self, at: float) -> float:
        """The middle of the row `at`, inches from the bottom of the sheet."""
        return BOTTOM + self.pitch * (self.count - at - 0.5)


@style.applied()
def figure(by_class: pd.DataFrame, attacks: Attacks) -> Figure:
    """Draw every class; of more than 40 the 20 most exposed and the 20 least.

    by_class: attack, class, n_member, n_nonmember, auc, auc_low, auc_high; the last three NaN where a class has only
    members or only non-members. attacks: attack -> auc (over all classes, drawn as a line) and, where known,
    classes_alike_p.
    """
    best = max(attacks, key=lambda attack: attacks[attack]["auc"])
    ranked = _ranked(by_class[by_class["attack"] == best])
    drawn = [(best, style.BLUE, "o")]
    if best != "loss" and (by_class["attack"] == "loss").any():
        drawn.append(("loss", style.MUTED, "D"))
    sheet = style.new_sheet(style.WIDTH, BOTTOM + ranked.high + TOP)
    left = 0.2 + layout.widest([*map(_named, ranked.classes["class"]), "class"], 8.5)
    width = style.WIDTH - left - sum(COLUMNS) - 0.15
    axes = rows.panel(sheet, (left, BOTTOM, width, ranked.high), ranked.count)
    rows.draw_guessing(axes, 0.5)
    axes.axvline(attacks[best]["auc"], color=style.BLUE, linewidth=0.9, zorder=1.4)
    for at in ranked.places[::2]:
        axes.axhspan(at - 0.5, at + 0.5, color=style.PALE, linewidth=0, zorder=0)
    _draw_classes(axes, by_class, ranked, drawn)
    _put_columns(sheet, ranked, best, left=left, width=width)
    if ranked.left_out > 0:
        text = f"{ranked.left_out} classes between them are left out: plots/classes.csv has all"
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        middle = left + width / 2, ranked.middle(FEW)
        layout.put(sheet, *middle, text, ha="center", fontsize=8, color=style.MUTED, bbox=paper)
    _put_keys(sheet, drawn, attacks[best])
    return sheet


def _named(name: object) -> str:
    return layout.shortened(layout.drawable(str(name)))


def _ranked(of_best: pd.DataFrame) -> Ranked:
    """Sort the rows of the best attack, and leave out the middle of very many."""
    ranked = of_best.sort_values("auc", ascending=False, kind="stable")
    if len(ranked) <= 2 * FEW:
        return Ranked(ranked, list(range(len(ranked))), len(ranked), 0)
    measured = ranked[ranked["auc"].notna()]
    ends = pd.concat([measured.head(FEW), measured.iloc[FEW:].tail(FEW)])
    places = [at + (at >= FEW) for at in range(len(ends))]
    return Ranked(ends, places, len(ends) + 1, len(of_best) - len(ends))


def _draw_classes(axes: Axes, by_class: pd.DataFrame, ranked: Ranked, drawn: Drawn) -> None:
    """Draw AUC and limits of each attack, a little apart, and fit the axis to them."""
    reach = [0.48, 0.52]
    for order, (attack, colour, marker) in enumerate(drawn):
        of_class = by_class[by_class["attack"] == attack].set_index("class")
        apart = 0.0 if len(drawn) == 1 else (-0.16, 0.2)[order]
        size, thickness = ((5.0, 1.8), (3.2, 1.1))[order]
        for at, name in zip(ranked.places, ranked.classes["class"], strict=True):
            auc, low, high = (float(of_class.loc[name, column]) for column in ("auc", "auc_low", "auc_high"))
            if not np.isfinite(auc):
                continue
            rows.draw_estimate(
                axes,
                at + apart,
                (auc, low, high),
                guess=0.5,
                colour=colour,
                marker=marker,
                size=size,
                edge=1.2,
                thickness=thickness,
                lift=-0.1 * order,
            )
            reach += [*layout.finite([low, auc, high])]
    axes.set_xlim(max(min(reach) - 0.01, 0.0), min(max(reach) + 0.01, 1.0))
    layout.number_axis(axes.xaxis, 6)
    axes.set_xlabel("AUC within the class")


def _put_columns(sheet: Figure, ranked: Ranked, best: str, *, left: float, width: float) -> None:
    """Write each class's name, its AUC and its counts, with a head above each column."""
    ends = [float(end) for end in np.cumsum([left + width, *COLUMNS])]
    head = BOTTOM + ranked.high + 0.14
    layout.put(sheet, left - 0.1, head, "class", ha="right", color=style.MUTED, fontsize=8)
    for end, title in zip(ends[1:], (f"{wording.words(best)} (95 %)", "members", "non-members"), strict=True):
        layout.put(sheet, end, head, title, ha="right", color=style.MUTED, fontsize=8)
    for at, row in zip(ranked.places, ranked.classes.to_dict("records"), strict=True):
        y, known = ranked.middle(at), np.isfinite(row["auc"])
        estimate = row["auc"], row["auc_low"], row["auc_high"]
        text = wording.with_limits(estimate, wording.decimals(3), form=wording.FRACTION) if known else only(row)
        layout.put(sheet, left - 0.1, y, _named(row["class"]), ha="right")
        layout.put(sheet, ends[1], y, text, ha="right", fontsize=8, color=style.INK if known else style.MUTED)
        for end, name in zip(ends[2:], ("n_member", "n_nonmember"), strict=True):
            layout.put(sheet, end, y, f"{row[name]:,}", ha="right", fontsize=8)


def _put_keys(sheet: Figure, drawn: Drawn, best: Mapping[str, float]) -> None:
    """Write what the marks are, and what is known of all classes. best: of the best attack over all classes."""
    y, x = layout.height(sheet) - 0.2, 0.15
    for order, (attack, colour, marker) in enumerate(drawn):
        layout.key(sheet, x, y, color=colour, linewidth=1.8)
        layout.dot(sheet, x + 0.19, y, color=colour, marker=marker)
        text = f"{wording.words(attack)}{', the best attack over all' if order == 0 else ''}"
        layout.put(sheet, x + 0.46, y, text)
        x += 0.46 + layout.text_width(sheet, text, 8.5) + 0.3
    notes = ["dashed line: guessing", f"blue line: all classes ({wording.decimals(3)(best['auc'])})"]
    alike = best.get("classes_alike_p")
    if alike is not None and np.isfinite(alike):
        notes.append(f"all classes leak equally: p {wording.p_value(alike)}")
    notes.append("filled: interval above guessing")
    layout.put(sheet, 0.15, y - 0.24, "      ".join(notes), color=style.MUTED, fontsize=8)


def only(row: Mapping[Hashable, Any]) -> str:
    """Say why a class has no AUC. row: n_member, n_nonmember, one of which is 0."""
    return "only members" if row["n_member"] else "only non-members"
