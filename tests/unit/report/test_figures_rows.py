"""Figures with a row an attack, a class or an attack model are sorted, and say what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from figure_cases import (
    ATTACKS,
    BY_AUC,
    SIX,
    SUMMARY_KEYS,
    at,
    audits,
    board,
    box,
    by_class,
    dots,
    points,
    summary,
    texts,
    threat_models,
)
from mia.evaluation import wording
from mia.report.figures import (
    classes,
    leaderboard,
    leak,
    style,
)


def test_leaderboard_is_sorted_marks_the_chosen_and_turns_the_dummy_into_a_line() -> None:
    figure = leaderboard.figure(board(5), chosen="extra trees")
    rows = sorted((-box(text).y0, text.get_text()) for text in texts(figure))
    said = [text for _, text in rows]
    order = [name for name in said if name in set(board(5)["estimator"])]
    assert order == [
        "naive Bayes",
        "nearest neighbours",
        "histogram gradient boosting",
        "logistic regression",
        "extra trees",
    ]
    assert [text for text in said if "chosen" in text] == [".610 ± .010  chosen"]
    assert any(np.allclose(line.get_xdata(), 0.5) for line in figure.axes[0].lines)


def test_leak_fills_the_dot_only_when_the_interval_clears_guessing() -> None:
    rows = {"above": (0.6, 0.55, 0.65, 0.05, 0.03, 0.07), "level": (0.52, 0.48, 0.56, 0.012, 0.008, 0.016)}
    figure = leak.figure({k: dict(zip(SUMMARY_KEYS, v, strict=True)) for k, v in rows.items()}, fpr=0.01)
    for axes in figure.axes:
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        assert [dot.get_markerfacecolor() for dot in dots] == [style.BLUE, "white"]


def test_missing_evidence_is_said_and_not_drawn() -> None:
    said = [text.get_text() for text in texts(leak.figure(summary(6), fpr=0.01))]
    assert said.count("too few non-members") == 1
    assert not any("nan" in text for text in said)


def test_classes_are_sorted_by_the_best_attack_with_the_loss_beside_it() -> None:
    frame = by_class(5)
    turned = frame["attack"] == "loss"
    frame.loc[turned, ["auc", "auc_low", "auc_high"]] = 1 - frame.loc[turned, ["auc", "auc_low", "auc_high"]].to_numpy()
    figure = classes.figure(frame, BY_AUC)
    rows = sorted((-box(text).y0, text.get_text()) for text in texts(figure))
    assert [said for _, said in rows if said in set(frame["class"])] == ["4", "3", "2", "1", "5"]
    assert dots(figure, 0, style.BLUE) == pytest.approx({0: 0.86, 1: 0.77, 2: 0.68, 3: 0.59})  # class 5 has none
    assert dots(figure, 0, style.MUTED) == pytest.approx({0: 0.14, 1: 0.23, 2: 0.32, 3: 0.41})
    said = [text for _, text in rows]
    assert {".860 (.810–.910)", "only non-members", "1,004", "all classes leak equally: p = .012"} <= {
        part for text in said for part in text.split("      ")
    }
    assert not any("nan" in text for text in said)
    assert at(list(figure.axes[0].lines)) == [0.5, 0.7]


def test_of_many_classes_the_most_and_the_least_exposed_are_drawn() -> None:
    figure = classes.figure(by_class(100), BY_AUC)
    said = [text.get_text() for text in texts(figure)]
    drawn = [int(text) for text in said if text in set(by_class(100)["class"])]
    assert {name for name in drawn if name > 50} >= set(range(80, 100))
    assert len(dots(figure, 0, style.BLUE)) == len(dots(figure, 0, style.MUTED)) == 40
    values = sorted(dots(figure, 0, style.BLUE).values())
    assert values == pytest.approx([0.5 + 0.45 * at / 100 for at in [*range(1, 21), *range(80, 100)]])
    assert any(text.startswith("60 classes between them are left out") for text in said)


def test_classes_without_a_better_attack_are_those_of_the_loss_alone() -> None:
    figure = classes.figure(by_class(4, ("loss",)), {"loss": BY_AUC["loss"]})
    assert len(dots(figure, 0, style.BLUE)) == 3
    assert dots(figure, 0, style.MUTED) == {}


def test_threat_models_have_a_row_an_attack_by_its_best_auc_and_a_colour_each() -> None:
    labels = "first", "second", "third"
    given = audits(*labels)
    given["first"][0] |= {"auc": 0.99, "auc_high": 0.995}  # correctness, the worst elsewhere
    figure = threat_models.figure(given, fpr=0.01)
    rows = sorted((-box(text).y0, text.get_text()) for text in texts(figure))
    named = {wording.words(attack): attack for attack in ATTACKS}
    order = [named[said] for _, said in rows if said in named]
    assert len(order) == len(ATTACKS)
    assert order == ["correctness", *reversed(ATTACKS[1:])]
    for label, colour in zip(labels, style.COLOURS, strict=False):
        auc = {order.index(one["attack"]): one["auc"] for one in given[label]}
        assert dots(figure, 0, colour) == pytest.approx(auc)
        tpr = {order.index(one["attack"]): one.get("tpr_at_fpr_0_01") for one in given[label]}
        start = figure.axes[1].get_xlim()[0]
        known = {at: max(value, start) for at, value in tpr.items() if value is not None}
        assert dots(figure, 1, colour) == pytest.approx(known)
    missing = order.index(ATTACKS[1]), order.index(ATTACKS[2])
    assert missing[0] not in dots(figure, 0, style.BLUE)
    assert missing[0] in dots(figure, 0, style.VERMILION)
    assert missing[1] not in dots(figure, 1, style.BLUE)
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "log"]
    for axes, guess in zip(figure.axes, (0.5, 0.01), strict=True):
        assert at(list(axes.lines)) == [guess]


def test_a_tpr_of_zero_is_an_arrow_at_the_edge_of_the_log_axis() -> None:
    figure = threat_models.figure(audits("population"), fpr=0.01)
    arrows = [line for line in figure.axes[1].lines if line.get_marker() == "<"]
    assert [points(line)[0][0] for line in arrows] == [figure.axes[1].get_xlim()[0]]


def test_threat_models_differ_in_more_than_colour() -> None:
    figure = threat_models.figure(audits(*SIX), fpr=0.01)
    markers = {str(line.get_marker()) for line in figure.axes[0].lines if len(points(line)) == 1}
    assert len(markers) == 6
