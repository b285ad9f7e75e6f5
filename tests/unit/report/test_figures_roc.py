"""ROC curves are drawn as measured, and colours tell attacks and revisions apart."""

from __future__ import annotations

import re

import numpy as np
import pytest

from figure_cases import (
    ATTACKS,
    EVERY,
    N_MEMBER,
    N_NONMEMBER,
    log_panel,
    of_revisions,
    points_of,
    roc_of,
    steps,
    summary,
    texts,
)
from mia.evaluation import wording
from mia.report.figures import (
    curves,
    roc,
    roc_of_revisions,
    style,
)


@pytest.mark.parametrize("n_nonmember", [600, 1000, 10_000])
def test_log_axes_start_at_the_smallest_fpr_that_can_be_seen(n_nonmember: int) -> None:
    figure = roc.figure(points_of(4), summary(4), fpr=0.01, n_member=N_MEMBER, n_nonmember=n_nonmember)
    axes = log_panel(figure)
    assert axes.get_xlim() == pytest.approx((1 / n_nonmember, 1))
    assert axes.get_ylim() == pytest.approx((1 / n_nonmember, 1))
    for line in axes.lines:  # an FPR of 0 is drawn on the edge, not lost
        assert np.min(np.asarray(line.get_data())) == pytest.approx(1 / n_nonmember)
    labels = {label.get_text() for label in axes.get_xticklabels()}
    assert ("1/600" in labels) == (n_nonmember == 600)
    assert {"0.01", "0.1", "1"} <= labels


@pytest.mark.parametrize("size", [6, EVERY])
def test_roc_curves_are_the_data_as_steps_and_carry_their_auc_and_tpr(size: int) -> None:
    figure = roc_of(size)
    drawn = [np.asarray(line.get_data()) for line in steps(figure)]
    assert len(drawn) == size
    for attack, part in points_of(size).groupby("attack"):
        assert sum(np.array_equal(line, part[["fpr", "tpr"]].T) for line in drawn) == 1, attack
    said = {text.get_text() for text in texts(figure)}
    best = summary(size)[ATTACKS[size - 1]]["auc"]
    assert {wording.fraction({"auc": best, "auc_low": best - 0.01, "auc_high": best + 0.01}, "auc"), "guessing"} <= said
    assert (".1080 (.0810–.1640)" in said) == (size == EVERY)
    assert any("1,197 members" in text and "600 non-members" in text for text in said)


def test_of_many_roc_curves_a_few_are_in_colour_and_over_the_others() -> None:
    figure = roc_of(EVERY)
    lines = steps(figure)
    coloured = [line for line in lines if line.get_color() != style.GREY]
    others = [line for line in lines if line.get_color() == style.GREY]
    assert (len(coloured), len(others)) == (6, EVERY - 6)
    assert len({line.get_color() for line in coloured}) == 6
    assert max(line.get_linewidth() for line in others) < min(line.get_linewidth() for line in coloured)
    assert max(line.get_zorder() for line in others) < min(line.get_zorder() for line in coloured)
    said = {text.get_text() for text in texts(figure)}
    assert f"{EVERY - 6} other attacks" in said
    assert sum(bool(re.fullmatch(r"\.\d+ to \.\d+", text)) for text in said) == 2


def test_the_chosen_are_the_best_what_a_reader_looks_for_and_then_the_next_best() -> None:
    many = summary(EVERY)
    many["entropy"]["tpr"] = 0.9  # the best at the low FPR
    assert curves.chosen(many) == [*ATTACKS[:-4:-1], "learned", "entropy", "loss"]
    many["population"] |= {"auc": 0.99}
    assert curves.chosen(many)[:2] == ["population", ATTACKS[-1]]
    assert curves.chosen({name: many[name] | {"tpr": np.nan} for name in many})[:2] == ["population", ATTACKS[-1]]
    assert curves.chosen(summary(7)) == ATTACKS[6::-1]


def test_loss_learned_and_stacked_keep_their_colours_and_no_two_attacks_look_alike() -> None:
    looks: dict[str, int] = {}
    for attacks in (
        ["loss"],
        ["entropy", "stacked", "loss"],
        ["loss", "learned"],
        ATTACKS[:7],
        curves.chosen(summary(EVERY)),
    ):
        places = curves.colour_places(attacks)
        assert len(set(places.values())) == len(attacks)
        for attack in {"loss", "learned", "stacked"} & set(attacks):
            assert looks.setdefault(attack, places[attack]) == places[attack]
    assert len(looks) == 3


def test_curves_of_revisions_have_a_colour_and_dashes_each_and_loss_is_thin() -> None:
    figure = of_revisions(7)
    lines = steps(figure)
    looks = {(str(line.get_color()), str(line._dash_pattern[1] and len(line._dash_pattern[1]))) for line in lines}  # type: ignore[attr-defined]
    assert len({colour for colour, _ in looks}) == len(looks) == 7
    assert {round(line.get_linewidth(), 1) for line in lines} == {0.8, 1.8}
    assert len(figure.axes[0].collections) == 7  # a band for the strongest of each, none for loss
    assert {colour for colour, _ in roc_of_revisions.keys([f"rev {at}" for at in range(1, 8)]).values()} == {
        colour for colour, _ in looks
    }
    for at, attack in enumerate(ATTACKS[1:8]):
        part = points_of(8)[lambda frame, attack=attack: frame["attack"] == attack]
        drawn = [line for line in lines if str(line.get_color()) == style.COLOURS[at]]
        for line in drawn:
            x, y = np.asarray(line.get_data())
            assert list(x) == pytest.approx(list(np.maximum(part["fpr"], 1 / N_NONMEMBER)))
            assert list(y) == pytest.approx(list(np.maximum(part["tpr"], 1 / N_NONMEMBER)))
