"""Scores, decisions, learning curves and comparisons are drawn as given."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from figure_cases import (
    ATTACKS,
    box,
    history,
    pairs,
    points,
    texts,
)
from mia.evaluation import wording
from mia.report.figures import (
    comparison,
    confusion,
    learning,
    scores,
    style,
)


def test_confusion_gives_counts_and_shares_of_the_row() -> None:
    table = pd.DataFrame(
        [
            ("loss", "member", "member", 900),
            ("loss", "member", "non-member", 100),
            ("loss", "non-member", "member", 50),
        ],
        columns=["attack", "actual", "predicted", "count"],
    )
    said = {text.get_text() for text in texts(confusion.figure(table.assign(attack="loss")))}
    assert {"900", "100", "50", "0", "TPR 90.0 %", "10.0 %", "FPR 100.0 %", "0.0 %"} <= said


def test_scores_are_drawn_as_given() -> None:
    table = pd.DataFrame({"attack": "loss", "left": [0.0, 1.0], "right": [1.0, 2.0], "members": [0.25, 0.75],
                          "nonmembers": [0.6, 0.4]})  # fmt: skip
    stairs = [patch.get_data() for patch in scores.figure(table).axes[0].patches]  # type: ignore[attr-defined]
    assert [list(s.values) for s in stairs] == [[0.25, 0.75], [0.25, 0.75], [0.6, 0.4]]
    assert all(list(s.edges) == [0, 1, 2] for s in stairs)


def test_scores_of_one_value_have_a_panel() -> None:
    table = pd.DataFrame({"attack": ["loss"], "left": 1.0, "right": 1.0, "members": 1.0, "nonmembers": 1.0})
    low, high = scores.figure(table).axes[0].get_xlim()
    assert low < 1 < high


@pytest.mark.parametrize("shadows", [1, 40])
def test_learning_draws_every_shadow_thin_and_the_target_bold(shadows: int) -> None:
    figure = learning.figure(history(shadows))
    for axes, curves_a_model in zip(figure.axes, (2, 1), strict=True):
        threads = [c for c in axes.collections if isinstance(c, LineCollection)]
        assert [len(c.get_segments()) for c in threads] == [shadows] * curves_a_model
        thin = max(float(np.max(c.get_linewidth())) for c in threads)
        bold = [line for line in axes.lines if line.get_color() in (style.BLUE, style.VERMILION)]
        assert len(bold) == curves_a_model
        assert min(line.get_linewidth() for line in bold) > 2 * thin
    gap = 0.4 * (1 - np.exp(-30 / 8))
    assert any(f"{gap:+.3f}" in text.get_text() for text in texts(figure))


def test_comparison_has_a_cell_a_pair_and_a_ring_where_it_is_not_sure() -> None:
    figure = comparison.figure(pairs(4))
    cells: dict[tuple[float, float], Any] = {patch.get_xy(): patch for patch in figure.axes[0].patches}  # type: ignore[attr-defined]
    assert set(cells) == {(column, row) for row, column in combinations(range(4), 2)}
    shade = {place: cell.get_facecolor()[3] for place, cell in cells.items()}  # the more opaque, the bluer
    assert shade[3, 0] > shade[2, 0] > shade[1, 0]
    assert shade[1, 0] == shade[2, 1] == shade[3, 2]
    rings = {points(line)[0] for line in figure.axes[0].lines}
    assert rings == {(1.5, 0.5), (2.5, 1.5), (3.5, 2.5)}
    said = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert said == {(2.5, 0.5): ".04", (3.5, 0.5): ".06", (3.5, 1.5): ".04"}


def test_comparison_names_the_better_attack_left_of_its_row_and_the_worse_one_under_its_column() -> None:
    figure = comparison.figure(pairs(5))
    boxes = {text.get_text(): box(text) for text in texts(figure)}
    transform = figure.axes[0].transData
    for place, attack in enumerate(reversed(ATTACKS[:5])):  # the best first
        (left, bottom), (right, top) = transform.transform([(place, place + 1), (place + 1, place)])
        assert bottom < (boxes[wording.words(attack)].y0 + boxes[wording.words(attack)].y1) / 2 < top
        assert left < boxes[wording.words(attack)].x1 < right


def test_comparison_of_a_difference_too_small_to_write_does_not_say_zero() -> None:
    frame = pairs(2).assign(auc_difference=0.004, auc_p_holm=0.001)
    assert [text.get_text() for text in comparison.figure(frame).axes[0].texts] == ["<.01"]
