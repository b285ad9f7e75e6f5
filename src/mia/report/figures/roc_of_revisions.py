"""ROC curves of several revisions in one panel."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from mia.report.figures import curves as roc_curves
from mia.report.figures import layout, style


@style.applied()
def figure(curves: pd.DataFrame, *, n_nonmember: int, log: bool) -> Figure:
    """Draw up to seven revisions: a colour and dashes each, which `keys` describes.

    curves: revision, role ("strongest" or "loss"), fpr, tpr, tpr_low, tpr_high; a row a threshold, from strict to lax.
    The strongest attack of each is thick, with its limits as a band, one FPR at a time; loss is thin. Drawn as
    `roc.figure` draws. n_nonmember: the most that a revision has, whose smallest FPR is where log axes begin.
    """
    revisions = list(dict.fromkeys(curves["revision"]))
    assert 1 <= len(revisions) <= style.MOST, "one colour a revision"
    sheet = style.new_sheet(4.4, 4.2)
    axes = layout.add_axes(sheet, 0.66, 0.52, 3.4, 3.4)
    start = 1.0 / n_nonmember if log else 0.0
    roc_curves.draw_frame(axes, n_nonmember=n_nonmember, start=start)
    for role in ("loss", "strongest"):
        for place, revision in reversed(list(enumerate(revisions))):
            points = curves[(curves["revision"] == revision) & (curves["role"] == role)]
            if points.empty:
                continue
            thick = role == "strongest"
            look = roc_curves.look_at(place, few=False)
            look |= {"linewidth": 1.8 if thick else 0.8, "zorder": 2 + 0.2 * thick}
            roc_curves.draw_curve(axes, points, start=start, band=thick, look=look)
    return sheet


def keys(revisions: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return colour and dashes, as `curves.svg_key`, of each revision, as `figure` draws them."""
    return {
        revision: roc_curves.svg_key(roc_curves.look_at(place, few=False)) for place, revision in enumerate(revisions)
    }
