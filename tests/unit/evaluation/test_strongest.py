"""The strongest of many attacks: limits by the bootstrap's own distribution, a verdict that the exact test decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mia.evaluation import bootstrap, differences, metrics, permutation, roc, strongest, verdict

Floats = NDArray[np.float64]


@pytest.mark.parametrize(("n_member", "n_nonmember", "fpr", "decimals"), [(80, 60, 0.1, 9), (40, 90, 0.3, 1)])
def test_limits_are_those_of_a_bootstrap_with_many_replicates(
    n_member: int, n_nonmember: int, fpr: float, decimals: int
) -> None:
    rng = np.random.default_rng(n_member)
    is_member = np.arange(n_member + n_nonmember) < n_member
    score = (rng.normal(size=is_member.size) + is_member).round(decimals)
    found = strongest.tpr_limits(score[is_member], score[~is_member], fpr=fpr, tail=0.025)
    drawn = bootstrap.estimates(score, is_member, fprs=[fpr], replicates=20_000, rng=rng)[metrics.fpr_key(fpr)]
    assert found.value == drawn.value == roc.tpr_at(roc.curve(score, is_member), fpr)
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=1.01 / n_member)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0, 1, exclude_min=True), st.integers(0, 2), st.integers(0, 99))
def test_limits_hold_the_value_and_grow_with_the_level(
    n_member: int, n_nonmember: int, share: float, decimals: int, seed: int
) -> None:
    fpr = max(share, 1 / n_nonmember)
    rng = np.random.default_rng(seed)
    members, nonmembers = rng.normal(size=n_member).round(decimals), rng.normal(size=n_nonmember).round(decimals)
    narrow, wide = (strongest.tpr_limits(members, nonmembers, fpr=fpr, tail=tail) for tail in (0.025, 0.001))
    assert 0 <= wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high <= 1


def worlds(leak: float, attacks: int = 3) -> tuple[dict[str, Floats], NDArray[np.bool_]]:
    rng = np.random.default_rng(7)
    is_member = np.arange(700) < 400
    scores = {f"attack {at}": rng.normal(size=700) + leak * at * is_member for at in range(attacks)}
    return scores, is_member


def test_limits_are_made_to_hold_for_all_attacks_at_once() -> None:
    scores, is_member = worlds(0.5)
    found = strongest.strongest_tpr(scores, is_member, fpr=0.1, p_value=0.001)
    each = [strongest.tpr_limits(s[is_member], s[~is_member], fpr=0.1, tail=0.025 / 3) for s in scores.values()]
    assert (found.attack, found.p_value) == ("attack 2", 0.001)
    assert found.estimate.value == max(one.value for one in each)
    assert (found.estimate.low, found.estimate.high) == (max(x.low for x in each), max(x.high for x in each))
    auc = strongest.strongest_auc(scores, is_member, p_value=0.001)
    areas = [
        differences.auc_interval(differences.placements(s, is_member), level=1 - 0.05 / 3) for s in scores.values()
    ]
    assert auc.estimate.value == areas[2].value
    assert (auc.estimate.low, auc.estimate.high) == (max(x.low for x in areas), max(x.high for x in areas))


@pytest.mark.parametrize("leak", [0.0, 0.05, 1.5])
def test_the_lower_limit_lies_on_the_side_of_guessing_that_the_exact_test_says(leak: float) -> None:
    scores, is_member = worlds(leak)
    for p_value, excluded in ((0.05, True), (0.0501, False)):
        tpr = strongest.strongest_tpr(scores, is_member, fpr=0.1, p_value=p_value).estimate
        auc = strongest.strongest_auc(scores, is_member, p_value=p_value).estimate
        for low, guess in ((tpr.low, 0.1), (auc.low, 0.5)):
            assert low >= guess if excluded else low <= guess


def test_the_verdict_has_two_claims_and_allows_for_both() -> None:
    scores, is_member = worlds(0.2)
    chance = permutation.PValues(np.array([0.5, 0.01, 0.03]), np.array([[0.9, 0.2], [0.02, 0.3], [0.7, 0.04]]))
    found = strongest.verdict_numbers(scores, is_member, [0.1, 0.01], chance)
    assert list(found) == [
        *("attacks", "n_member", "n_nonmember", "auc_attack", "auc", "auc_low", "auc_high", "auc_p"),
        *("fpr", "tpr_attack", "tpr", "tpr_low", "tpr_high", "tpr_p"),
    ]
    assert (found["fpr"], found["auc_p"], found["tpr_p"]) == (0.1, 0.02, 0.02)  # 300 non-members: 1 % is worth three


def of_one(score: list[float] | Floats, is_member: NDArray[np.bool_], **others: Floats) -> dict[str, Any]:
    scores = {"it": np.asarray(score, np.float64), **others}
    rng = np.random.default_rng(0)
    chance = permutation.p_values(np.stack(list(scores.values())), is_member, fprs=[0.1], rng=rng)
    return strongest.verdict_numbers(scores, is_member, [0.1], chance)


def test_an_attack_that_is_turned_round_is_no_claim_and_its_limits_stay_in_order() -> None:
    is_member = np.arange(40) < 20
    found = of_one(-is_member.astype(float), is_member)
    assert found["auc_low"] <= found["auc"] == 0 <= found["auc_high"]
    assert not verdict.ranks(found)
    found = of_one(-is_member.astype(float), is_member, noise=np.random.default_rng(1).normal(size=40).round(2))
    assert found["auc_p"] > 0.05
    assert not verdict.ranks(found)


def test_ties_that_leave_the_tpr_below_guessing_are_no_claim() -> None:
    """Twenty members and nobody else score 1: rarer than chance would have it, and fewer than guessing finds."""
    is_member = np.arange(800) < 400
    found = of_one((np.arange(800) < 20).astype(float), is_member)
    assert (found["tpr"], found["fpr"]) == (0.05, 0.1)
    assert found["tpr_low"] <= found["tpr"] <= found["tpr_high"]
    assert not verdict.recognises(found)


def test_with_few_non_members_there_is_one_claim() -> None:
    rng = np.random.default_rng(0)
    is_member = np.arange(60) < 40
    chance = permutation.PValues(np.array([0.03]), np.array([[0.001]]))
    found = strongest.verdict_numbers({"loss": rng.normal(size=60) + is_member}, is_member, [0.1], chance)
    assert "fpr" not in found
    assert found["auc_p"] == 0.03


def test_an_auc_of_exactly_one_half_is_no_claim_however_it_is_rounded() -> None:
    """The mean of these placements is 0.5 and a last bit."""
    score = np.array([1, 2, 0, 1, 0, 2, 2, 1, 3, 2, 0, 0, 1, 2, 3, 1, 2, 0], np.float64)
    is_member = np.arange(18) < 11
    assert roc.auc(roc.curve(score, is_member)) == 0.5 < differences.placements(score, is_member).auc
    chance = permutation.PValues(np.array([0.001]), np.array([[0.001]]))
    assert strongest.verdict_numbers({"loss": score}, is_member, [0.2], chance)["auc_p"] == 1
