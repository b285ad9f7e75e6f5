"""One audit less another: the intervals and tests of the literature, record by record or from estimates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, norm

import planted
from mia.evaluation import differences, intervals
from mia.evaluation.intervals import Estimate
from mia.history import (
    audit_differences,
)
from mia.history.revisions import Revision


@pytest.fixture
def pair(tmp_path: Path) -> list[Revision]:
    return planted.pair(tmp_path)


def test_records_are_the_same_only_by_name_and_class_and_membership(pair: list[Revision]) -> None:
    first, second = pair
    assert audit_differences.unlike(first, second) is None
    table = audit_differences.records(second)
    for changed, why in (
        (table.assign(name=table["name"].replace("digit 6", "digit 1000")), "they audited different records"),
        (table.assign(**{"class": table["class"].replace("one", "eins")}), "they audited different records"),
        (table.iloc[:-1], "they audited different records"),
        (
            table.assign(is_member=table["is_member"] ^ (table.index < 3)),
            "of the same records, 3 are members of one target and not of the other",
        ),
        ("gone", "whether both audited the same records is not known (fewer: gone)"),
    ):
        assert audit_differences.unlike(first, replace(second, exposure=changed)) == why


def test_p_values_of_many_pairs_are_adjusted(tmp_path: Path) -> None:
    pairs = audit_differences.compare([planted.audit(tmp_path / name, name, name) for name in planted.AUDITS], 0.01)
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert [pair.unlike is None for pair in pairs] == [True, True, False, True, False, False]
    tprs = [pair.tpr.p_value for pair in pairs if pair.tpr is not None]
    assert [pair.tpr_p for pair in pairs] == list(differences.holm(tprs)) != tprs
    right = [pair.accuracy.p_value for pair in pairs]
    assert [pair.accuracy_p for pair in pairs] == list(differences.holm(right)) != right
    aucs = [pair.auc.p_value for pair in pairs]
    assert [pair.auc_p for pair in pairs] == list(differences.holm(aucs)) != aucs


def wilson(successes: int, trials: int) -> Estimate:
    low, high = binomtest(successes, trials).proportion_ci(method="wilson")
    return Estimate(successes / trials, low, high)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 10), 0.6075, 1.0)],
)
def test_independent_shares_have_newcombes_interval(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10, contrasts (a), (b) and (h)."""
    difference = audit_differences.independent(wilson(*first), wilson(*second))
    assert (difference.low, difference.high) == pytest.approx((low, high), abs=6e-5)
    turned = audit_differences.independent(wilson(*second), wilson(*first))
    assert (turned.low, turned.high, turned.p_value) == pytest.approx((-high, -low, difference.p_value), abs=6e-5)


def test_p_of_independent_estimates_is_that_of_the_normal_and_agrees_with_the_interval() -> None:
    z = float(norm.isf(0.025))
    first, second = (Estimate(value, value - z * sd, value + z * sd) for value, sd in ((0.7, 0.03), (0.6, 0.04)))
    assert audit_differences.independent(first, second).p_value == pytest.approx(2 * norm.sf(0.1 / 0.05))
    assert audit_differences.independent(first, first).p_value == 1.0
    for at in np.linspace(0.4, 0.7, 61):
        difference = audit_differences.independent(wilson(round(200 * at), 200), wilson(110, 200))
        assert (difference.p_value < 0.05) == (difference.low > 0 or difference.high < 0)


def test_shares_of_the_same_records_are_mcnemars() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.2):
        a, b = rng.random(150) < 0.8, rng.random(150) < 0.8 - shift
        difference = audit_differences.paired(a, b)
        alone = int((a & ~b).sum()), int((b & ~a).sum())
        assert difference.difference == pytest.approx(a.mean() - b.mean())
        assert difference.p_value == pytest.approx(min(1, binomtest(alone[0], sum(alone)).pvalue))
        assert difference.low < difference.difference < difference.high
        turned = audit_differences.paired(b, a)
        assert (turned.low, turned.high) == pytest.approx((-difference.high, -difference.low))
    same = audit_differences.paired(a, a)
    assert (same.difference, same.p_value) == (0.0, 1.0)


def test_without_a_difference_one_in_twenty_is_told_apart_at_most() -> None:
    """Binomial shares, Clopper and Pearson's limits, which are wide: fewer than 5 %."""
    rng = np.random.default_rng(5)
    draws = rng.binomial(300, 0.1, size=(400, 2))
    lows, highs = intervals.clopper_pearson(draws, 300)
    p_values = []
    for world in range(400):
        pair = (Estimate(draws[world, side] / 300, lows[world, side], highs[world, side]) for side in range(2))
        p_values.append(audit_differences.independent(*pair).p_value)
    assert np.mean(np.array(p_values) < 0.05) < 0.05
