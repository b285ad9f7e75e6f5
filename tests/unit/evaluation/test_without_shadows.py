"""If the members are known, and the TNR of the loss: numbers with a slow twin, and no leak where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from mia.arrays import Bools, Floats
from mia.evaluation import members_known, tail
from mia.report import without_shadows

FPRS = (0.1, 0.01, 0.001)


def world(leak: float, records: int = 1200) -> tuple[Floats, Bools]:
    """Features, and membership that moves members towards 0 in two of them: no threshold on one of them finds all."""
    rng = np.random.default_rng(5)
    is_member = rng.permutation(records) < records // 2
    features = rng.normal(size=(records, 4))
    features[is_member, :2] *= 1 - leak
    return features, is_member


def cross_fitted(features: Floats, is_member: Bools) -> Floats:
    half = members_known.halves(is_member, np.random.default_rng(1))
    score = np.empty(len(half))
    score[half] = members_known.unseen(features, is_member, ~half)
    score[~half] = members_known.unseen(features, is_member, half)
    return score


def test_halves_hold_as_many_members_and_nonmembers() -> None:
    _, is_member = world(0, records=103)
    half = members_known.halves(is_member, np.random.default_rng(0))
    for side in (is_member, ~is_member):
        assert abs(int((half & side).sum()) - int((~half & side).sum())) <= 1


def test_the_members_known_finds_a_leak_that_no_threshold_does_and_none_where_there_is_none() -> None:
    features, is_member = world(0.9)
    found = members_known.numbers(cross_fitted(features, is_member), is_member, FPRS)
    assert found["auc_low"] > 0.8
    assert found["fpr"] == 0.1 or found["fpr"] == 0.01
    assert found["tpr_low"] > found["fpr"]
    features, is_member = world(0)
    none = members_known.numbers(cross_fitted(features, is_member), is_member, FPRS)
    assert none["auc_low"] <= 0.5 <= none["auc_high"]
    assert none["tpr_low"] <= none["fpr"]


def test_who_is_a_member_of_the_half_that_is_asked_about_changes_no_score() -> None:
    features, is_member = world(0.5)
    half = members_known.halves(is_member, np.random.default_rng(1))
    other = is_member.copy()
    other[half] = ~other[half]
    np.testing.assert_array_equal(
        members_known.unseen(features, is_member, ~half), members_known.unseen(features, other, ~half)
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_tnr_is_that_of_its_definition(seed: int) -> None:
    """At most a share of the members above; the lowest such threshold; the share of non-members above it."""
    rng = np.random.default_rng(seed)
    loss, is_member = rng.integers(0, 10, 220), rng.random(220) < 0.5
    measured = tail.numbers(loss.astype(float), is_member, [0.1])
    members, nonmembers = loss[is_member], loss[~is_member]
    if len(members) < 100:
        assert measured == {}
        return
    thresholds = [t for t in range(-1, 10) if (members > t).mean() <= 0.1]
    assert measured["tnr"] == pytest.approx((nonmembers > min(thresholds)).mean(), abs=1e-5)
    assert measured["tnr_low"] <= measured["tnr"] <= measured["tnr_high"]


def test_the_sentences_say_what_the_numbers_are_not() -> None:
    of_worst = {"auc": 0.8123, "auc_low": 0.8, "auc_high": 0.82, "fpr": 0.01, "tpr": 0.2, "tpr_low": 0.1}
    measured = {
        "members_known": {**of_worst, "tpr_high": 0.3},
        "loss_tnr": {"fnr": 0.01, "tnr": 0.25, "tnr_low": 0.2, "tnr_high": 0.31},
    }
    assert without_shadows.sentences(measured, "record") == [
        (
            "Beside the attacks: a classifier that is told the membership of half of the records, which no attacker "
            "knows, recognises 20 % (10 to 30) of the members at 1 % FPR and has an AUC of .812 (.800–.820) on the "
            "other half. This is no ceiling: attacks with shadow models can recognise more."
        ),
        (
            "Forecast of what shadow models would find: 1 % of the members have a loss above some level, and 25 % (20 "
            "to 31) of the non-members have one. Without a leak, both shares are 1 %. The larger the second share, the "
            "more records attacks with shadow models recognise. It is no TPR."
        ),
    ]
    assert without_shadows.sentences({}, "record") == []
    assert without_shadows.sentences({"members_known": measured["members_known"], "loss_tnr": {}}, "record") != []
