"""The exact test: equal to a slow twin and to all the ways there are, and rarely wrong where nothing leaks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mia.errors import InputError
from mia.evaluation import permutation, roc, strongest, verdict

pytestmark = pytest.mark.long

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def best_of(scores: Floats, is_member: Bools, fprs: list[float]) -> tuple[list[float], list[list[float]]]:
    """Of each attack, by the library's own curves: how far its AUC is from 0.5, and its TPR at each FPR."""
    curves = [roc.curve(row, is_member) for row in scores]
    spread = [max(1e-12, float(np.var([np.mean(row < v) + np.mean(row <= v) for v in row])) ** 0.5) for row in scores]
    far = [round(abs(roc.auc(one) - 0.5) / sd, 9) for one, sd in zip(curves, spread, strict=True)]
    return far, [[roc.tpr_at(one, fpr) for fpr in fprs] for one in curves]


def twin(scores: Floats, is_member: Bools, fprs: list[float], draws: list[Bools]) -> tuple[list[float], list[float]]:
    """P-values by definition, draw by draw; of the AUC (attacks,) and of the TPR (attacks * fprs,)."""
    far, tprs = best_of(scores, is_member, fprs)
    drawn = [best_of(scores, draw, fprs) for draw in draws]
    by_auc = [(1 + sum(max(other) >= mine for other, _ in drawn)) / (1 + len(draws)) for mine in far]
    by_tpr = [
        (1 + sum(max(row[at] for row in other) >= mine for _, other in drawn)) / (1 + len(draws))
        for row in tprs
        for at, mine in enumerate(row)
    ]
    return by_auc, by_tpr


@given(
    st.integers(2, 8), st.integers(2, 12), st.integers(1, 4), st.sampled_from([0, 1, 9]), st.integers(0, 2**31),
    st.sampled_from([[0.5], [1.0, 0.5], []]),
)  # fmt: skip
def test_p_values_are_those_of_a_slow_twin(
    n_member: int, n_nonmember: int, attacks: int, decimals: int, seed: int, fprs: list[float]
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(attacks, n_member + n_nonmember)).round(decimals)
    is_member = rng.permutation(np.arange(n_member + n_nonmember) < n_member)
    found = permutation.p_values(scores, is_member, fprs=fprs, rng=np.random.default_rng(1), permutations=30)
    again = np.random.default_rng(1).permuted(np.tile(is_member, (30, 1)), axis=1)
    by_auc, by_tpr = twin(scores, is_member, fprs, list(again))
    assert found.auc.tolist() == by_auc
    assert found.tpr.ravel().tolist() == by_tpr


def test_many_draws_are_all_the_ways_there_are() -> None:
    scores = np.array([[5.0, 4.0, 3.0, 2.0, 1.0, 1.0, 0.0], [0.0, 9.0, 9.0, 1.0, 2.0, 8.0, 3.0]])
    is_member = np.array([True, True, False, True, False, False, False])
    ways = []
    for rows in combinations(range(7), 3):
        ways.append(np.isin(np.arange(7), rows))
    by_auc, by_tpr = twin(scores, is_member, [0.25], ways)
    found = permutation.p_values(scores, is_member, fprs=[0.25], rng=np.random.default_rng(0), permutations=20_000)
    exact = [(p * 36 - 1) / 35 for p in (*by_auc, *by_tpr)]  # every way once, none added
    assert [*found.auc, *found.tpr.ravel()] == pytest.approx(exact, abs=0.012)  # 3.5 standard deviations


def test_only_as_many_records_are_looked_at_as_needed_and_that_changes_nothing() -> None:
    """Members first, and in hundreds: the non-member that ends the search stands far down."""
    score = np.r_[np.linspace(2, 3, 3000), np.linspace(0, 1, 60)][None]
    is_member = np.arange(3060) < 3000
    assert permutation._Sorted(score[0]).members_found(is_member[None], [0, 5, 59, 60]).ravel().tolist() == [3000] * 4
    assert permutation._Sorted(-score[0]).members_found(is_member[None], [0, 59, 60]).ravel().tolist() == [0, 0, 3000]


def test_a_planted_leak_is_found_among_attacks_that_know_nothing() -> None:
    rng = np.random.default_rng(3)
    is_member = np.arange(400) < 200
    scores = rng.normal(size=(10, 400))
    scores[4] += is_member
    found = permutation.p_values(scores, is_member, fprs=[0.1], rng=rng, permutations=499)
    assert (found.auc[4], found.tpr[4, 0]) == (1 / 500, 1 / 500)
    assert sorted(found.auc)[1] > 0.05
    assert permutation.p_values(-scores, is_member, fprs=[], rng=rng, permutations=499).auc[4] == 1 / 500  # either side


def test_an_attack_with_few_values_is_measured_by_its_own_spread() -> None:
    """Eleven of 400 non-members are wrong and no member: an AUC of .514, which guessing never has."""
    rng = np.random.default_rng(0)
    is_member = np.arange(800) < 400
    right = np.ones(800)
    right[-11:] = 0
    scores = np.stack([right, *rng.normal(size=(9, 800)), np.zeros(800)])
    found = permutation.p_values(scores, is_member, fprs=[0.1], rng=rng, permutations=999)
    assert found.auc[0] < 0.02
    assert found.auc[-1] == 1


class Size(NamedTuple):
    """Of a world that knows nothing."""

    members: int
    nonmembers: int
    attacks: int
    tied: bool = False


@pytest.mark.statistics
@pytest.mark.parametrize(
    ("size", "worlds"),
    [
        (Size(20, 20, 24), 150),
        (Size(60, 60, 1), 400),
        (Size(120, 120, 24), 150),
        (Size(120, 120, 24, tied=True), 150),
        (Size(300, 60, 24), 150),
    ],
)
def test_a_leak_is_claimed_in_at_most_one_of_twenty_worlds_without_one(size: Size, worlds: int) -> None:
    """Correlated attacks; docs/results/null_worlds has more worlds, and larger ones.

    By the limits alone, as it was, 14 % of worlds with 120 records a side and 24 attacks were said to leak.
    """
    claims = 0
    for world in range(worlds):
        rng = np.random.default_rng([world, *size])
        samples = size.members + size.nonmembers
        scores = 0.7**0.5 * rng.normal(size=samples) + 0.3**0.5 * rng.normal(size=(size.attacks, samples))
        scores = scores.round() if size.tied else scores
        is_member = rng.permutation(np.arange(samples) < size.members)
        fprs = [fpr for fpr in (0.1, 0.01) if roc.resolvable(fpr, size.nonmembers)]
        chance = permutation.p_values(scores, is_member, fprs=fprs, rng=rng, permutations=199)
        found = strongest.verdict_numbers(
            dict(zip(map(str, range(size.attacks)), scores, strict=True)), is_member, fprs, chance
        )
        claims += verdict.recognises(found) or verdict.ranks(found)
    assert claims <= (0.05 + 2 * (0.05 * 0.95 / worlds) ** 0.5) * worlds


ONE: tuple[Any, Any] = [[0.1, 0.2, 0.3]], [True, False, True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda rng: permutation.p_values([0.1, 0.2], [True, False], fprs=[], rng=rng),
            "scores: expected shape (attacks, samples), at least one attack, got (2,)",
        ),
        (
            lambda rng: permutation.p_values(*ONE, fprs=[], rng=rng, permutations=0),
            "permutations: expected at least 1, got 0",
        ),
        (
            lambda rng: permutation.p_values(*ONE, fprs=[0.5], rng=rng),
            "fpr: 1 non-members resolve 1 or more, got 0.5; choose a higher FPR or bring at least 2 non-members",
        ),
    ],
)
def test_bad_input_is_refused(call: Callable[[np.random.Generator], object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        call(np.random.default_rng(0))
    assert str(caught.value) == message


def test_limits_hold_guessing_where_the_test_does_not_exclude_it() -> None:
    assert permutation.limited(0.52, 0.6, 0.5, 0.05) == (0.52, 0.6)
    assert permutation.limited(0.52, 0.6, 0.5, 0.051) == (0.5, 0.6)
    assert permutation.limited(0.4, 0.48, 0.5, 0.2) == (0.4, 0.5)
