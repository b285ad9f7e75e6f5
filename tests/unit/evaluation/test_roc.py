"""ROC curves against slow twins in exact arithmetic, scikit-learn, and what each docstring promises."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from mia.errors import InputError
from mia.evaluation import roc

FPRS = ["1", "0.5", "0.29", "0.1", "0.07", "0.01", "0.001"]  # as text: Fraction("0.1") is exact

Attack = tuple[NDArray[np.float64], NDArray[np.bool_]]


@st.composite
def attacks(draw: st.DrawFn) -> Attack:
    """Scores of few distinct values, so that ties abound, or of many; both sides, of any sizes, mixed."""
    score = draw(st.sampled_from([st.integers(0, 3), st.integers(-5, 5), st.floats(-1e3, 1e3)]))
    members = draw(st.lists(score, min_size=1, max_size=25))
    nonmembers = draw(st.lists(score, min_size=1, max_size=25))
    both = draw(st.permutations([(s, True) for s in members] + [(s, False) for s in nonmembers]))
    return np.array([s for s, _ in both], dtype=np.float64), np.array([m for _, m in both])


def normal_attack(n: int, shift: float, seed: int = 0) -> Attack:
    rng = np.random.default_rng(seed)
    is_member = rng.permutation(2 * n) < n
    return rng.normal(size=2 * n) + shift * is_member, is_member


def points_twin(scores: NDArray[np.float64], is_member: NDArray[np.bool_]) -> list[tuple[float, int, int]]:
    """Every (threshold, tp, fp), counted one record at a time."""
    points = []
    for threshold in [np.inf, *sorted(set(scores.tolist()), reverse=True)]:
        tp = sum(1 for s, m in zip(scores, is_member, strict=True) if s >= threshold and m)
        fp = sum(1 for s, m in zip(scores, is_member, strict=True) if s >= threshold and not m)
        points.append((threshold, tp, fp))
    return points


def auc_twin(scores: NDArray[np.float64], is_member: NDArray[np.bool_]) -> Fraction:
    """Mann-Whitney over all pairs."""
    pairs = [(m, n) for m in scores[is_member] for n in scores[~is_member]]
    return sum((Fraction(int(m > n) * 2 + int(m == n), 2) for m, n in pairs), Fraction(0)) / len(pairs)


@given(attacks())
def test_curve_is_one_point_per_distinct_score(attack: Attack) -> None:
    scores, is_member = attack
    found = roc.curve(scores, is_member)
    assert list(zip(found.thresholds, found.tp, found.fp, strict=True)) == points_twin(scores, is_member)
    assert (found.n_member, found.n_nonmember) == (is_member.sum(), (~is_member).sum())
    np.testing.assert_array_equal(found.tpr, found.tp / found.n_member)
    np.testing.assert_array_equal(found.fpr, found.fp / found.n_nonmember)
    assert (found.fpr[0], found.tpr[0], found.fpr[-1], found.tpr[-1]) == (0, 0, 1, 1)
    assert found.tp.dtype == found.fp.dtype == np.int64
    assert found.fpr.dtype == found.tpr.dtype == found.thresholds.dtype == np.float64


@given(attacks())
def test_curve_and_auc_match_scikit_learn(attack: Attack) -> None:
    scores, is_member = attack
    found = roc.curve(scores, is_member)
    fpr, tpr, thresholds = roc_curve(is_member, scores, drop_intermediate=False)
    np.testing.assert_array_equal(found.thresholds, thresholds)
    np.testing.assert_allclose(found.fpr, fpr)
    np.testing.assert_allclose(found.tpr, tpr)
    assert roc.auc(found) == pytest.approx(roc_auc_score(is_member, scores), abs=1e-12)


@given(attacks())
def test_auc_is_the_exact_share_of_pairs(attack: Attack) -> None:
    scores, is_member = attack
    assert roc.auc(roc.curve(scores, is_member)) == float(auc_twin(scores, is_member))
    assert roc.auc(roc.curve(-scores, ~is_member)) == roc.auc(roc.curve(scores, is_member))


def test_a_planted_leak_has_auc_above_a_half() -> None:
    """Catches a flipped sign anywhere between the scores and the area."""
    leak = roc.auc(roc.curve(*normal_attack(2000, 1.0)))
    assert leak == pytest.approx(0.7602, abs=0.02)  # Phi(1 / sqrt(2))
    assert roc.auc(roc.curve(*normal_attack(2000, 0.0))) == pytest.approx(0.5, abs=0.03)


def test_equal_scores_and_one_record_a_side() -> None:
    equal = roc.curve(np.zeros(7), np.arange(7) < 3)
    assert (equal.fpr.tolist(), equal.tpr.tolist()) == ([0, 1], [0, 1])
    assert roc.auc(equal) == 0.5
    assert roc.auc(roc.curve([2.0, 1.0], [True, False])) == 1.0
    assert roc.auc(roc.curve([1.0, 2.0], [True, False])) == 0.0


@given(attacks(), st.sampled_from(FPRS))
def test_tpr_at_is_the_best_point_within_the_fpr(attack: Attack, text: str) -> None:
    scores, is_member = attack
    found, exact = roc.curve(scores, is_member), Fraction(text)
    enough = found.n_nonmember * exact >= 1
    assert roc.resolvable(float(text), found.n_nonmember) == enough
    if enough:
        within = [tp for _, tp, fp in points_twin(scores, is_member) if Fraction(fp, found.n_nonmember) <= exact]
        assert roc.tpr_at(found, float(text)) == max(within) / found.n_member
    else:
        with pytest.raises(InputError):
            roc.tpr_at(found, float(text))


def test_tpr_at_does_not_interpolate_through_a_tie() -> None:
    """Half the members and half the non-members share the top score: no threshold has FPR in (0, 0.5)."""
    tied = roc.curve([1.0] * 10 + [0.0] * 10, [True, False] * 10)
    assert roc.tpr_at(tied, 0.4) == 0.0
    assert roc.tpr_at(tied, 0.5) == 0.5


def test_tpr_at_refuses_what_the_nonmembers_cannot_resolve_and_says_the_numbers() -> None:
    found = roc.curve(*normal_attack(999, 1.0))
    with pytest.raises(InputError, match=r"999 non-members resolve 0\.001 or more, got 0\.001.* 1000 non-mem"):
        roc.tpr_at(found, 0.001)
    assert roc.tpr_at(roc.curve(*normal_attack(1000, 1.0)), 0.001) >= 0


@given(st.integers(1, 100_000))
def test_one_nonmember_is_always_resolvable(n: int) -> None:
    """49 * (1 / 49) < 1 in floating point."""
    assert roc.resolvable(1 / n, n)
    assert not roc.resolvable(1 / n, n - 1)


@given(st.integers(1, 100_000), st.integers(1, 9999))
@example(100, 2900)  # 0.29 * 100 < 29 in floating point
def test_false_positives_allowed_is_exact_for_decimal_fprs(n: int, ten_thousandths: int) -> None:
    exact = Fraction(ten_thousandths, 10_000)
    assert roc.false_positives_allowed(ten_thousandths / 10_000, n) == exact * n // 1


@pytest.mark.parametrize("fpr", [0.0, -0.1, 1.1, float("nan")])
def test_fpr_out_of_range_is_refused(fpr: float) -> None:
    with pytest.raises(InputError, match=r"fpr: expected a number in \(0, 1\]"):
        roc.resolvable(fpr, 100)


@given(attacks())
def test_best_threshold_is_the_highest_that_maximises_youden(
    attack: Attack,
) -> None:
    scores, is_member = attack
    M, N = int(is_member.sum()), int((~is_member).sum())
    finite = points_twin(scores, is_member)[1:]
    gains = [Fraction(tp, M) - Fraction(fp, N) for _, tp, fp in finite]
    best = max(t for (t, _, _), gain in zip(finite, gains, strict=True) if gain == max(gains))
    assert roc.best_threshold(scores, is_member) == best


def test_best_threshold_breaks_ties_upwards() -> None:
    # 3: one member of two; 2: one non-member of two; 1: both sides again. J = .5 at 3 and at 1.
    scores, is_member = np.array([3.0, 2.0, 1.0, 0.0]), np.array([True, False, True, False])
    assert roc.best_threshold(scores, is_member) == 3.0
    assert roc.best_threshold([1.0, 1.0], [True, False]) == 1.0


@pytest.mark.parametrize("shift", [0.0, 0.5, 6.0])
def test_thin_keeps_true_points_dense_in_both_views(shift: float) -> None:
    full = roc.curve(*normal_attack(20_000, shift))
    few = roc.thin(full)
    assert few.fpr.size <= 250
    at = np.flatnonzero(np.isin(full.thresholds, few.thresholds))
    for name in ("fpr", "tpr", "thresholds", "tp", "fp"):
        np.testing.assert_array_equal(getattr(few, name), getattr(full, name)[at])
    assert (few.n_member, few.n_nonmember) == (full.n_member, full.n_nonmember)
    last_at_zero = np.flatnonzero(full.fp == 0)[-1]
    assert {0, last_at_zero, last_at_zero + 1, full.fpr.size - 1} <= set(at.tolist())
    assert np.flatnonzero(full.fp == 1)[-1] in at
    assert np.diff(few.fpr + few.tpr).max() < 0.03
    for fpr in (0.1, 0.01, 0.001, 0.0001):
        assert roc.tpr_at(few, fpr) == roc.tpr_at(full, fpr)
        decade = (few.fpr >= fpr * 0.99) & (few.fpr <= fpr * 10.01)
        assert decade.sum() >= 10, (fpr, decade.sum())


def test_thin_keeps_both_ends_of_the_lowest_fpr_above_zero() -> None:
    """1,000 tied non-members come first, then five members: a step that no even spacing would hit."""
    nonmembers = np.append(np.full(1000, 100_000.0), np.arange(19_000.0))
    members = np.append(99_000.0 + np.arange(5), np.arange(19_995.0) * 0.9 - 0.5)
    full = roc.curve(np.append(nonmembers, members), np.arange(40_000) >= 20_000)
    few = roc.thin(full, 32)
    assert few.tp[few.fp == 1000].tolist() == [0, 5]


@given(attacks(), st.integers(32, 60))
def test_thin_never_exceeds_its_points_and_leaves_a_short_curve_whole(attack: Attack, points: int) -> None:
    full = roc.curve(*attack)
    few = roc.thin(full, points)
    if full.fpr.size <= points:
        assert few is full
    assert few.fpr.size <= points
    assert np.isin(few.thresholds, full.thresholds).all()
    assert np.all(np.diff(few.thresholds) < 0)
    assert (few.fpr[0], few.tpr[0], few.fpr[-1], few.tpr[-1]) == (0, 0, 1, 1)


def test_thin_of_too_few_points_is_refused() -> None:
    with pytest.raises(InputError, match="points: expected at least 32, got 31"):
        roc.thin(roc.curve([1.0, 2.0], [True, False]), 31)


@pytest.mark.parametrize(
    ("scores", "is_member", "message"),
    [
        ([np.nan, 1.0, np.nan], [True, False, True], "got 2 NaN, 0 infinite of 3"),
        ([np.inf, 1.0, 0.0], [True, False, True], "got 0 NaN, 1 infinite of 3"),
        ([1.0, 2.0], [True, True], "got 2 members and 0 non-members"),
        ([1.0, 2.0], [False, False], "got 0 members and 2 non-members"),
        ([1.0, 2.0], [1, 0], "expected dtype bool, got int64"),
        ([1.0, 2.0], [True], r"got \(2,\) and \(1,\)"),
        ([[1.0, 2.0]], [[True, False]], r"got \(1, 2\) and \(1, 2\)"),
    ],
)
def test_bad_scores_are_refused(scores: list[float], is_member: list[bool], message: str) -> None:
    with pytest.raises(InputError, match=message):
        roc.curve(np.array(scores), np.array(is_member))
