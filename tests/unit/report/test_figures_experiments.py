"""Grids of experiments, and privacy against accuracy, are drawn as measured."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figure_cases import (
    cells,
    cross,
    points,
    texts,
    traded,
)
from mia.report.figures import (
    style,
    tradeoff,
)


def test_a_grid_is_drawn_as_measured_and_what_was_not_measured_has_no_dot() -> None:
    given = cells(3, 2)
    figure = cross(3, 2)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert list(panels) == [f"{a}: {m}" for m in ("AUC", "TPR at 1 % FPR") for a in ("stacked", "loss")]
    for (title, axes), key in zip(panels.items(), ("auc", "auc", "tpr", "tpr"), strict=True):
        part = given[given["attack"] == title.partition(":")[0]].dropna(subset=key)
        drawn = [dot for line in axes.lines if line.get_marker() != "None" for dot in points(line)]
        assert [round(x) for x, _ in drawn] == [int(at) // 10 - 1 for at in part["at"]]
        assert [y for _, y in drawn] == pytest.approx(list(part[key]))
        assert len({round(x, 6) for x, _ in drawn}) == len(drawn), "dots of one place stand beside each other"
        bars = [
            tuple(segment[:, 1])
            for one in axes.collections
            if isinstance(one, LineCollection)
            for segment in one.get_segments()
        ]
        assert bars == [pytest.approx(pair) for pair in zip(part[f"{key}_low"], part[f"{key}_high"], strict=True)]
        guess = [line for line in axes.lines if line.get_marker() == "None"]
        assert [points(line)[0][1] for line in guess] == [0.5 if key == "auc" else 0.01]
    said = [text.get_text() for text in texts(figure)]
    assert said.count("nothing measured") == 1
    assert [said.count(f"knowledge {one}") for one in range(3)] == [1, 1, 1]


def test_series_of_a_grid_differ_in_more_than_colour() -> None:
    lines = [line for line in cross(9, 2).axes[0].lines if line.get_marker() != "None"]
    assert len({(line.get_marker(), str(line.get_color())) for line in lines}) == 9
    assert len({line.get_marker() for line in lines[:7]}) == 7


def markers(figure: Figure) -> list[Line2D]:
    return [line for line in figure.axes[0].lines if str(line.get_marker()) != "None"]


def test_privacy_and_accuracy_are_drawn_as_measured_with_colour_and_marker_apart() -> None:
    given = traded(7)
    figure = tradeoff.figure(given)
    drawn = markers(figure)
    known = given.dropna()
    assert [points(line)[0] for line in drawn] == [
        pytest.approx(p) for p in zip(known["accuracy"], known["tpr"], strict=True)
    ]
    assert len({str(line.get_color()) for line in drawn}) == len({str(line.get_marker()) for line in drawn}) == 6
    bars = [points(line) for line in figure.axes[0].lines if len(points(line)) == 2 and line not in drawn]
    for row in known.to_dict("records"):
        x, y = row["accuracy"], row["tpr"]
        assert [(x, row["tpr_low"]), (x, row["tpr_high"])] in [[pytest.approx(p) for p in bar] for bar in bars]
        assert [(row["accuracy_low"], y), (row["accuracy_high"], y)] in [
            [pytest.approx(p) for p in bar] for bar in bars
        ]
    assert [(0, 0.01), (1, 0.01)] in bars  # guessing
    assert figure.axes[0].get_yscale() == "log"
    said = [text.get_text() for text in texts(figure)]
    assert [said.count(f"exp-{at}") for at in range(7)] == [1] * 6 + [0]
    assert "exp-6: not drawn, too few non-members" in said


@pytest.mark.parametrize("at", ["one place", "close"])
def test_markers_of_audits_as_accurate_stand_side_by_side(at: str) -> None:
    figure = tradeoff.figure(traded(7, at))
    figure.draw_without_rendering()
    places = sorted(float(line.get_transform().transform(points(line))[0][0]) for line in markers(figure))
    assert min(np.diff(places)) > 0.07 * style.DPI
    assert [points(line)[0][0] for line in markers(figure)] == list(traded(7, at)["accuracy"])  # the number stays


def test_a_tpr_below_the_axis_is_at_its_edge_and_written_out() -> None:
    given = traded(2, "close").assign(tpr=[0.0, 0.04], tpr_low=[0.0, 0.02])
    figure = tradeoff.figure(given)
    low, high = figure.axes[0].get_ylim()
    assert points(markers(figure)[0])[0][1] == pytest.approx(low)
    assert low > 0
    assert high < 1
    assert {"exp-0: 0 %", "exp-1"} <= {text.get_text() for text in texts(figure)}
