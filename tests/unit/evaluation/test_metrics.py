"""Rates and intervals against slow twins, scikit-learn, and simulations where the truth is known."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta, binom, binomtest, norm
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
)

from mia.errors import InputError
from mia.evaluation import bootstrap, classifier, decisions, epsilon, intervals, measurement, metrics, roc
from mia.evaluation.intervals import Estimate

pytestmark = pytest.mark.long

FPRS = [0.1, 0.01, 0.001, 0.0001]
Attack = tuple[NDArray[np.float64], NDArray[np.bool_]]


@st.composite
def attacks(draw: st.DrawFn) -> Attack:
    """Scores of few distinct values, so that ties abound, or of many; both sides, of any sizes, mixed."""
    score = draw(st.sampled_from([st.integers(0, 3), st.integers(-5, 5), st.floats(-1e3, 1e3)]))
    members = draw(st.lists(score, min_size=1, max_size=20))
    nonmembers = draw(st.lists(score, min_size=1, max_size=20))
    both = draw(st.permutations([(s, True) for s in members] + [(s, False) for s in nonmembers]))
    return np.array([s for s, _ in both], dtype=np.float64), np.array([m for _, m in both])


def normal_attack(n_member: int, n_nonmember: int, shift: float, rng: np.random.Generator) -> Attack:
    is_member = rng.permutation(n_member + n_nonmember) < n_member
    return rng.normal(size=is_member.size) + shift * is_member, is_member


def holds(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


# ---- Clopper-Pearson


@given(st.integers(1, 300), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_clopper_pearson_limits_are_where_the_tails_hold_half_the_error(
    n: int, data: st.DataObject, level: float
) -> None:
    k = data.draw(st.integers(0, n))
    low, high = (float(limit) for limit in intervals.clopper_pearson(k, n, level))
    assert low == 0 if k == 0 else binom.sf(k - 1, n, low) == pytest.approx((1 - level) / 2)
    assert high == 1 if k == n else binom.cdf(k, n, high) == pytest.approx((1 - level) / 2)
    by_scipy = binomtest(k, n).proportion_ci(level, method="exact")
    assert (low, high) == pytest.approx((by_scipy.low, by_scipy.high), abs=1e-9)


def test_clopper_pearson_takes_arrays_and_no_trials() -> None:
    low, high = intervals.clopper_pearson([0, 0, 5, 3], [0, 5, 5, 7])
    assert (low[0], high[0]) == (0, 1)
    assert (low[1], high[1]) == (0, pytest.approx(1 - 0.025 ** (1 / 5)))
    assert (low[2], high[2]) == (pytest.approx(0.025 ** (1 / 5)), 1)
    for i, (k, n) in enumerate([(0, 0), (0, 5), (5, 5), (3, 7)]):
        assert (low[i], high[i]) == intervals.clopper_pearson(k, n)
    assert intervals.clopper_pearson([1, 2], [[3], [4], [5]])[0].shape == (3, 2)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (1.5, 5), (0, -1), (math.nan, 5)])
def test_clopper_pearson_refuses_impossible_counts(k: float, n: int) -> None:
    with pytest.raises(InputError, match=f"expected whole numbers in 0..trials, got {k} of {n}"):
        intervals.clopper_pearson([0, k], [1, n])


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_level_out_of_range_is_refused(level: float) -> None:
    with pytest.raises(InputError, match=r"level: expected a number in \(0, 1\)"):
        intervals.clopper_pearson(1, 2, level)


@pytest.mark.parametrize("n", [1, 10, 57])
def test_clopper_pearson_never_covers_less_than_its_level(n: int) -> None:
    """Exact, by enumeration: P(limits hold p) for many p, by both sides apart and together."""
    k = np.arange(n + 1)
    low, high = intervals.clopper_pearson(k, n)
    for p in np.linspace(0.001, 0.999, 101):
        weight = binom.pmf(k, n, p)
        assert weight[(low <= p) & (p <= high)].sum() >= 0.95
        assert min(weight[low <= p].sum(), weight[p <= high].sum()) >= 0.975


# ---- a hard decision


def decision_twin(predicted: NDArray[np.bool_], is_member: NDArray[np.bool_]) -> dict[str, int]:
    names = {(True, True): "tp", (True, False): "fp", (False, False): "tn", (False, True): "fn"}
    counts = dict.fromkeys(("tp", "fp", "tn", "fn"), 0)
    for p, m in zip(predicted.tolist(), is_member.tolist(), strict=True):
        counts[names[p, m]] += 1
    return counts


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_decision_matches_its_twin_and_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    predicted, is_member = np.array([p for p, _ in pairs]), np.array([m for _, m in pairs])
    found, twin = decisions.decision(predicted, is_member), decision_twin(predicted, is_member)
    assert {name: getattr(found, name) for name in twin} == twin
    assert (found.n_member, found.n_nonmember) == (is_member.sum(), (~is_member).sum())
    assert found.accuracy.value == pytest.approx(accuracy_score(is_member, predicted))
    if predicted.any():
        assert found.precision.value == pytest.approx(precision_score(is_member, predicted))
    if is_member.any():
        assert found.recall.value == pytest.approx(recall_score(is_member, predicted))
    if not is_member.all():
        assert found.fpr.value == pytest.approx(recall_score(~is_member, predicted))
    if predicted.any() or is_member.any():
        assert found.f1.value == pytest.approx(f1_score(is_member, predicted))
    if is_member.any() and not is_member.all():
        assert found.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(is_member, predicted))
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "fpr", "f1"):
        rate = getattr(found, name)
        assert math.isnan(rate.value) or -1e-12 <= rate.low <= rate.value <= rate.high <= 1 + 1e-12, name


def test_decision_intervals_come_from_the_right_counts() -> None:
    predicted = np.repeat([True, False, True, False], [30, 10, 5, 25])  # tp, fn, fp, tn
    is_member = np.repeat([True, True, False, False], [30, 10, 5, 25])
    found = decisions.decision(predicted, is_member, level=0.9)
    for rate, k, n in (
        (found.accuracy, 55, 70),
        (found.precision, 30, 35),
        (found.recall, 30, 40),
        (found.fpr, 5, 30),
    ):
        assert rate == Estimate(k / n, *(float(x) for x in intervals.clopper_pearson(k, n, 0.9)))
    recall, fpr, middle = found.recall, found.fpr, (30 / 40 + 25 / 30) / 2
    assert found.balanced_accuracy.value == pytest.approx(middle)
    below = np.sqrt((0.75 - recall.low) ** 2 + (fpr.high - 5 / 30) ** 2) / 2
    above = np.sqrt((0.75 - recall.high) ** 2 + (fpr.low - 5 / 30) ** 2) / 2
    assert found.balanced_accuracy.low == pytest.approx(middle - below)
    assert found.balanced_accuracy.high == pytest.approx(middle + above)
    low, high = (float(limit) for limit in intervals.clopper_pearson(30, 45, 0.9))
    limits = (60 / 75, 2 / (1 + 1 / low), 2 / (1 + 1 / high))
    assert (found.f1.value, found.f1.low, found.f1.high) == pytest.approx(limits)


def test_undefined_rates_are_nan_with_limits_that_say_nothing() -> None:
    nobody = decisions.decision(np.zeros(4, dtype=bool), np.array([True, True, False, False]))
    assert math.isnan(nobody.precision.value)
    assert (nobody.precision.low, nobody.precision.high) == (0, 1)
    assert (nobody.tp + nobody.fp, nobody.f1.value, nobody.recall.value) == (0, 0, 0)
    no_member = decisions.decision(np.array([False, False]), np.array([False, False]))
    assert no_member.accuracy.value == 1
    nothing = decisions.decision(np.array([], dtype=bool), np.array([], dtype=bool))
    for rate in (
        no_member.recall,
        no_member.balanced_accuracy,
        no_member.f1,
        decisions.decision(np.array([True]), np.array([True])).fpr,
        nothing.accuracy,
    ):
        assert math.isnan(rate.value)
        assert (rate.low, rate.high) == (0, 1)


def test_bad_decisions_are_refused() -> None:
    with pytest.raises(InputError, match=r"got \(2,\) and \(1,\)"):
        decisions.decision(np.array([True, False]), np.array([True]))
    with pytest.raises(InputError, match="got int64 and bool"):
        decisions.decision(np.array([1, 0]), np.array([True, False]))


@pytest.mark.parametrize(("M", "N"), [(10, 10), (30, 30), (20, 100)])
def test_balanced_accuracy_covers_as_its_docstring_says(M: int, N: int) -> None:
    """Exact, by enumeration of every (tp, fp): 0.96 on average over (tpr, fpr), 0.925 at worst."""
    tp, fp = np.arange(M + 1), np.arange(N + 1)
    low, high = np.empty((M + 1, N + 1)), np.empty((M + 1, N + 1))
    for k in tp:
        for j in fp:
            predicted = np.repeat([True, False, True, False], [k, M - k, j, N - j])
            found = decisions.decision(predicted, np.arange(M + N) < M).balanced_accuracy
            low[k, j], high[k, j] = found.low, found.high
    rates = np.concatenate([np.linspace(0.0005, 0.02, 5), np.linspace(0.05, 0.95, 19), [0.98, 0.99, 0.9995]])
    coverage = []
    for tpr in rates:
        for fpr in rates:
            truth = (tpr + 1 - fpr) / 2
            held = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
            coverage.append(binom.pmf(tp, M, tpr) @ held @ binom.pmf(fp, N, fpr))
    assert np.min(coverage) >= 0.925
    assert np.mean(coverage) >= 0.96


@pytest.mark.statistics
@pytest.mark.parametrize(("M", "N", "tpr", "fpr"), [(60, 60, 0.6, 0.4), (25, 80, 0.9, 0.3), (80, 25, 0.3, 0.1)])
def test_accuracy_precision_and_f1_cover_with_fixed_numbers_of_members(M: int, N: int, tpr: float, fpr: float) -> None:
    rng = np.random.default_rng(5)
    runs, is_member = 600, np.arange(M + N) < M
    truth = {
        "accuracy": (M * tpr + N * (1 - fpr)) / (M + N),
        "precision": M * tpr / (M * tpr + N * fpr),
        "f1": 2 * M * tpr / (M * tpr + N * fpr + M),
    }
    held = dict.fromkeys(truth, 0)
    for _ in range(runs):
        found = decisions.decision(rng.random(M + N) < np.where(is_member, tpr, fpr), is_member)
        for name, value in truth.items():
            held[name] += holds(getattr(found, name), value)
    assert min(held.values()) >= 0.95 * runs - 10, held


@given(st.integers(1, 50), st.integers(1, 50))
def test_always_member_is_the_decision_that_accuses_everybody(M: int, N: int) -> None:
    found = decisions.always_member(M, N)
    everybody = decisions.decision(np.ones(M + N, dtype=bool), np.arange(M + N) < M)
    assert sorted(found) == ["accuracy", "balanced_accuracy", "f1", "precision", "recall"]
    for name, value in found.items():
        assert value == pytest.approx(getattr(everybody, name).value), name


def test_always_member_needs_both_sides() -> None:
    with pytest.raises(InputError, match="got 0 members and 3 non-members"):
        decisions.always_member(0, 3)


# ---- bootstrap


def bootstrap_twin(
    attack: Attack, fprs: list[float], replicates: int, rng: np.random.Generator, level: float
) -> dict[str, list[float]]:
    """Draw records, build each replicate's ROC afresh, score by score."""
    scores, is_member = attack
    members, nonmembers = np.sort(scores[is_member])[::-1], np.sort(scores[~is_member])[::-1]
    labels = np.arange(scores.size) < members.size

    def difference(values: NDArray[np.float64], threshold: float) -> float:
        called = values >= threshold
        return float(called[labels].mean() - called[~labels].mean())

    data = np.concatenate([members, nonmembers])
    areas, gaps, tprs = [], [], []
    for _ in range(replicates):
        drawn = np.concatenate(
            [
                members[rng.integers(members.size, size=members.size)],
                nonmembers[rng.integers(nonmembers.size, size=nonmembers.size)],
            ]
        )
        replicate = roc.curve(drawn, labels)
        areas.append(roc.auc(replicate))
        tprs.append([roc.tpr_at(replicate, fpr) for fpr in fprs])
        gaps.append(max(abs(difference(drawn, t) - difference(data, t)) for t in set(scores.tolist())))
    tails = [(1 - level) / 2, (1 + level) / 2]
    advantage = max(0.0, *(difference(data, t) for t in scores))
    band = float(np.quantile(gaps, level))
    found = {
        "auc": [roc.auc(roc.curve(*attack)), *np.quantile(areas, tails)],
        "advantage": [advantage, max(0.0, advantage - band), min(1.0, advantage + band)],
    }
    for i, fpr in enumerate(fprs):
        value = roc.tpr_at(roc.curve(*attack), fpr)
        fixed = binomtest(round(value * members.size), members.size).proportion_ci(level, method="exact")
        low, high = np.quantile([row[i] for row in tprs], tails)
        found[metrics.fpr_key(fpr)] = [value, min(low, fixed.low), max(high, fixed.high)]
    return found


@settings(max_examples=40)
@given(attacks(), st.integers(0, 99), st.sampled_from([0.8, 0.9]))
def test_bootstrap_matches_drawing_records_one_replicate_at_a_time(attack: Attack, seed: int, level: float) -> None:
    asked = [1.0, 0.5, 0.3, 0.1]
    fprs = [f for f in asked if roc.resolvable(f, int((~attack[1]).sum()))]
    found = bootstrap.estimates(*attack, fprs=asked, replicates=21, rng=np.random.default_rng(seed), level=level)
    twin = bootstrap_twin(attack, fprs, 21, np.random.default_rng(seed), level)
    assert list(found) == list(twin)
    for name, (value, low, high) in twin.items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-9), name


@pytest.mark.statistics
def test_bootstrap_covers_the_truth() -> None:
    """200 attacks on 150 members and 100 non-members, by how far members' scores are shifted."""
    rng = np.random.default_rng(11)
    runs = 200
    for shift in (0.0, 1.0):
        truth = {
            "auc": norm.cdf(shift / np.sqrt(2)),
            "advantage": 2 * norm.cdf(shift / 2) - 1,
            "tpr_at_fpr_0_1": norm.sf(norm.isf(0.1) - shift),
        }
        held = dict.fromkeys(truth, 0)
        for _ in range(runs):
            found = bootstrap.estimates(*normal_attack(150, 100, shift, rng), fprs=[0.1], replicates=200, rng=rng)
            for name, value in truth.items():
                held[name] += holds(found[name], value)
        assert held["auc"] / runs == pytest.approx(0.95, abs=0.035), (shift, held)
        assert held["advantage"] >= 0.95 * runs, (shift, held)
        assert held["tpr_at_fpr_0_1"] >= 0.91 * runs, (shift, held)


@pytest.mark.statistics
def test_advantage_is_biased_upward_without_a_leak() -> None:
    """As the docstring says: a maximum over noise, about 0.63 sqrt(1 / M + 1 / N) on average."""
    rng = np.random.default_rng(3)
    values = [
        bootstrap.estimates(*normal_attack(400, 300, 0, rng), fprs=[], replicates=40, rng=rng)["advantage"].value
        for _ in range(200)
    ]
    assert np.mean(values) == pytest.approx(0.63 * np.sqrt(1 / 400 + 1 / 300), rel=0.1)


def test_bootstrap_leaves_out_what_cannot_be_resolved_and_repeats_with_its_rng() -> None:
    attack = normal_attack(500, 120, 1.0, np.random.default_rng(0))

    def run(seed: int) -> dict[str, Estimate]:
        return bootstrap.estimates(*attack, fprs=FPRS, replicates=50, rng=np.random.default_rng(seed))

    assert list(run(0)) == ["auc", "advantage", "tpr_at_fpr_0_1", "tpr_at_fpr_0_01"]
    assert run(0) == run(0)
    assert run(0) != run(1)
    order = np.random.default_rng(1).permutation(620)
    shuffled = bootstrap.estimates(
        attack[0][order], attack[1][order], fprs=FPRS, replicates=50, rng=np.random.default_rng(0)
    )
    assert shuffled == run(0)


def test_a_tpr_of_zero_still_has_an_upper_limit() -> None:
    attack = np.repeat([0.0, 1.0], [30, 40]), np.repeat([True, False], [30, 40])
    found = bootstrap.estimates(*attack, fprs=[0.1], replicates=40, rng=np.random.default_rng(0))
    zero = found["tpr_at_fpr_0_1"]
    assert (zero.value, zero.low) == (0, 0)
    assert zero.high == pytest.approx(1 - 0.025 ** (1 / 30))


def test_too_few_replicates_are_refused() -> None:
    attack = normal_attack(5, 5, 0, np.random.default_rng(0))
    bootstrap.estimates(*attack, fprs=[], replicates=40, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match=r"a 0\.95 interval needs at least 40, got 39"):
        bootstrap.estimates(*attack, fprs=[], replicates=39, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("fpr", "key"),
    [(0.1, "0_1"), (0.001, "0_001"), (0.00001, "0_00001"), (1.0, "1"), (0.25, "0_25")],
)
def test_fpr_key(fpr: float, key: str) -> None:
    assert metrics.fpr_key(fpr) == f"tpr_at_fpr_{key}"


# ---- epsilon


def epsilon_twin(tp: float, M: int, fp: float, N: int, level: float, delta: float) -> float:
    tail = (1 - level) / 2
    tpr_low = beta.ppf(tail, tp, M - tp + 1) if tp > 0 else 0.0
    fpr_high = beta.isf(tail, fp + 1, N - fp) if fp < N else 1.0
    bounds = [0.0]
    if tpr_low > delta:
        bounds.append(math.log((tpr_low - delta) / fpr_high))
    if 1 - fpr_high > delta:
        bounds.append(math.log((1 - fpr_high - delta) / (1 - tpr_low)))
    return max(bounds)


@given(st.integers(0, 200), st.integers(0, 200), st.data(), st.sampled_from([0.0, 0.01, 0.5]))
def test_epsilon_is_the_formula_of_its_docstring(M: int, N: int, data: st.DataObject, delta: float) -> None:
    tp, fp = data.draw(st.integers(0, M)), data.draw(st.integers(0, N))
    found = epsilon.lower_bound(tp, M, fp, N, level=0.9, delta=delta)
    assert found == pytest.approx(epsilon_twin(tp, M, fp, N, 0.9, delta), abs=1e-9)
    assert found >= 0
    if M == 0 or N == 0:
        assert found == 0


def test_epsilon_of_a_perfect_rule_is_limited_by_the_counts() -> None:
    """Either inequality alone can give the bound: accusing few for certain, or clearing few for certain."""
    perfect = 0.025 ** (1 / 100)  # the TPR at which 100 of 100 has probability 0.025; 1 - it, the FPR of 0
    assert epsilon.lower_bound(100, 100, 0, 100) == pytest.approx(math.log(perfect / (1 - perfect)))
    accusing = epsilon.lower_bound(100, 1000, 0, 1000)
    assert accusing == pytest.approx(math.log(beta.ppf(0.025, 100, 901) / (1 - 0.025 ** (1 / 1000))))
    assert epsilon.lower_bound(1000, 1000, 900, 1000) == pytest.approx(accusing)
    assert epsilon.lower_bound(0, 1000, 1000, 1000) == 0  # a wrong sign is no evidence


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((6, 5, 0, 5), {}, "got 6 of 5 and 0 of 5"),
        ((0, 5, -1, 5), {}, "got 0 of 5 and -1 of 5"),
        ((1, 5, 1, 5), {"delta": 1.0}, r"delta: expected a number in \[0, 1\)"),
        ((1, 5, 1, 5), {"level": 1.0}, "level: expected"),
    ],
)
def test_epsilon_refuses_bad_input(arguments: tuple[int, int, int, int], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        epsilon.lower_bound(*arguments, **options)


def claim(attack: Attack, threshold: float, level: float = 0.95) -> float:
    scores, is_member = attack
    called, M = scores >= threshold, int(is_member.sum())
    tp, fp = int(called[is_member].sum()), int(called[~is_member].sum())
    return epsilon.lower_bound(tp, M, fp, is_member.size - M, level=level)


@pytest.mark.statistics
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_without_a_leak_epsilon_is_rarely_claimed(level: float) -> None:
    """With the threshold from independent shadow scores, in at most 1 - level of the runs."""
    rng = np.random.default_rng(17)
    claims = 0
    for _ in range(300):
        shadows, target = normal_attack(200, 200, 0, rng), normal_attack(150, 170, 0, rng)
        threshold = epsilon.best_threshold(*shadows, n_member=150, n_nonmember=170, level=level)
        claims += claim(target, threshold, level) > 0
    assert claims <= (1 - level) * 300


@pytest.mark.statistics
def test_a_threshold_picked_on_the_target_breaks_the_level_of_epsilon() -> None:
    """Why `evaluate` must pick it on shadows: without a leak, at level 0.8, over a fifth of the runs claim one."""
    rng = np.random.default_rng(17)
    claims = 0
    for _ in range(200):
        target = normal_attack(150, 170, 0, rng)
        claims += claim(target, epsilon.best_threshold(*target, level=0.8), 0.8) > 0
    assert claims > 0.2 * 200


@pytest.mark.statistics
@pytest.mark.parametrize("threshold", [-1.5, 0.0, 1.5])
def test_without_a_leak_any_fixed_threshold_is_safe(threshold: float) -> None:
    """A sharper check than the one above, whose threshold often is so extreme that it never claims."""
    rng = np.random.default_rng(23)
    claims = sum(claim(normal_attack(100, 100, 0, rng), threshold) > 0 for _ in range(400))
    assert claims <= 0.05 * 400


@pytest.mark.statistics
@pytest.mark.parametrize("true_epsilon", [0.5, 2.0])
def test_epsilon_of_randomised_response_is_bounded_and_approached(true_epsilon: float) -> None:
    """The score is the membership bit, flipped with probability 1 / (1 + e^epsilon): epsilon exactly."""
    rng = np.random.default_rng(29)

    def responses(n: int) -> Attack:
        is_member = np.arange(2 * n) < n
        return np.where(rng.random(2 * n) < 1 / (1 + math.exp(true_epsilon)), ~is_member, is_member) * 1.0, is_member

    claims = [claim(responses(400), epsilon.best_threshold(*responses(400))) for _ in range(300)]
    assert np.mean(np.array(claims) <= true_epsilon) >= 0.95
    many = claim(responses(200_000), epsilon.best_threshold(*responses(1000)))
    assert 0.95 * true_epsilon <= many <= true_epsilon


@given(attacks(), st.sampled_from([0.0, 0.1]), st.sampled_from([None, 50]))
def test_epsilon_threshold_is_the_best_of_all_thresholds(attack: Attack, delta: float, target: int | None) -> None:
    scores, is_member = attack
    found = epsilon.best_threshold(scores, is_member, n_member=target, n_nonmember=target, level=0.8, delta=delta)
    M, N = int(is_member.sum()), int((~is_member).sum())
    bounds = {}
    for t in scores.tolist():
        called = scores >= t
        tpr, fpr = float(called[is_member].mean()), float(called[~is_member].mean())
        m, n = target or M, target or N
        bounds[t] = epsilon_twin(tpr * m, m, fpr * n, n, 0.8, delta)
    assert bounds[found] == pytest.approx(max(bounds.values()), abs=1e-9)


def test_epsilon_threshold_looks_at_the_size_of_the_target() -> None:
    """20,000 shadow records show that 1 % of members give themselves away; 100 a side cannot confirm it."""
    member, nonmember = [2.0] * 100 + [1.0] * 6000 + [0.0] * 3900, [1.0] * 2000 + [0.0] * 8000
    scores, is_member = np.array(member + nonmember), np.arange(20_000) < 10_000
    assert epsilon.best_threshold(scores, is_member) == 2.0
    assert epsilon.best_threshold(scores, is_member, n_member=100, n_nonmember=100) == 1.0


def test_epsilon_threshold_refuses_bad_input() -> None:
    with pytest.raises(InputError, match="n_member, n_nonmember: expected at least 1, got 0 and 1"):
        epsilon.best_threshold([1.0, 0.0], [True, False], n_member=0)
    with pytest.raises(InputError, match="delta"):
        epsilon.best_threshold([1.0, 0.0], [True, False], delta=-0.1)
    with pytest.raises(InputError, match="1 NaN"):
        epsilon.best_threshold([1.0, math.nan], [True, False])


def test_the_band_is_the_interval_of_the_tpr_at_each_point_and_moves_no_other_number() -> None:
    attack = normal_attack(300, 200, 1.0, np.random.default_rng(5))
    points = [0, 2, 2, 10, 20, 200]  # of 200 non-members; two at one FPR
    plain, none = measurement.attack_metrics(*attack, **OPTIONS, rng=np.random.default_rng(0))
    numbers, band = measurement.attack_metrics(*attack, **OPTIONS, rng=np.random.default_rng(0), band_fps=points)
    assert numbers == plain
    assert none.low.size == none.high.size == 0
    at = bootstrap.estimates(*attack, fprs=[0.01, 0.05, 0.1], replicates=100, rng=np.random.default_rng(0))
    for places, key in (((1, 2), "tpr_at_fpr_0_01"), ((3,), "tpr_at_fpr_0_05"), ((4,), "tpr_at_fpr_0_1")):
        for place in places:
            assert (band.low[place], band.high[place]) == pytest.approx((at[key].low, at[key].high))
    drawn = roc.curve(*attack)
    sure = int(drawn.tp[drawn.fp == 0][-1])
    low, high = intervals.clopper_pearson(sure, 300)
    assert band.low[0] <= low <= sure / 300 <= high <= band.high[0]
    assert (band.low[-1] > 0.98, band.high[-1]) == (True, 1.0)


OPTIONS: dict[str, Any] = {
    "thresholds": measurement.Thresholds(0.5, 1.5),
    "fprs": [0.1],
    "replicates": 100,
}


# ---- the summaries


def summary(attack: Attack, **changed: Any) -> dict[str, float | int]:
    options: dict[str, Any] = {
        "threshold": 0.5,
        "epsilon_threshold": 1.5,
        "fprs": FPRS,
        "replicates": 100,
        "rng": np.random.default_rng(0),
    }
    options |= changed
    thresholds = measurement.Thresholds(options.pop("threshold"), options.pop("epsilon_threshold"))
    return measurement.attack_metrics(*attack, thresholds=thresholds, **options).numbers


def test_attack_metrics_is_flat_json_of_the_parts() -> None:
    attack = normal_attack(900, 1100, 1.0, np.random.default_rng(2))
    found = summary(attack)
    with_limits = ["auc", "advantage", "tpr_at_fpr_0_1", "tpr_at_fpr_0_01", "tpr_at_fpr_0_001"]
    with_limits += ["accuracy", "balanced_accuracy", "precision", "recall", "fpr", "f1"]
    keys = [key + end for key in with_limits for end in ("", "_low", "_high")]
    keys += ["epsilon_lower", "threshold", "epsilon_threshold", "n_member", "n_nonmember"]
    keys += ["tp", "fp", "tn", "fn", "epsilon_tp", "epsilon_fp"]
    assert list(found) == keys
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    scores, is_member = attack
    parts: dict[str, Any] = dict(bootstrap.estimates(*attack, fprs=FPRS, replicates=100, rng=np.random.default_rng(0)))
    hard = decisions.decision(scores >= 0.5, is_member)
    for name in with_limits:
        part = parts[name] if name in parts else getattr(hard, name)
        decimals = 5 if name.startswith("tpr_at_fpr_0_0") else 4
        expected = [round(part.value, decimals), round(part.low, decimals), round(part.high, decimals)]
        assert [found[name], found[f"{name}_low"], found[f"{name}_high"]] == expected, name
    assert [found[n] for n in ("tp", "fp", "tn", "fn")] == [hard.tp, hard.fp, hard.tn, hard.fn]
    assert found["epsilon_tp"] == np.sum(scores[is_member] >= 1.5)
    assert found["epsilon_fp"] == np.sum(scores[~is_member] >= 1.5)
    assert found["epsilon_lower"] == round(claim(attack, 1.5), 4) > 0
    assert found["auc_low"] > 0.5
    assert (found["n_member"], found["n_nonmember"]) == (900, 1100)


def test_attack_metrics_leaves_out_what_is_undefined() -> None:
    attack = normal_attack(60, 60, 0.0, np.random.default_rng(2))
    found = summary(attack, threshold=99.0)
    assert not [key for key in found if key.startswith(("precision", "tpr_at_fpr_0_01"))]
    assert (found["tp"], found["fp"], found["recall"], found["f1"]) == (0, 0, 0, 0)
    assert "tpr_at_fpr_0_1_low" in found


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["threshold", "epsilon_threshold"])
def test_attack_metrics_refuses_a_threshold_that_is_no_number(name: str, bad: float) -> None:
    attack = normal_attack(5, 5, 0.0, np.random.default_rng(2))
    with pytest.raises(InputError, match=f"^{name}: expected a finite number"):
        summary(attack, **{name: bad})


def test_a_threshold_calls_ties_members() -> None:
    attack = np.array([1.0, 1.0, 0.0, 0.0]), np.array([True, False, True, False])
    found = summary(attack, threshold=1.0, epsilon_threshold=0.0, fprs=[])
    assert [found[n] for n in ("tp", "fp", "tn", "fn", "epsilon_tp", "epsilon_fp")] == [1, 1, 1, 1, 2, 2]


def test_json_ready_rounds_by_key_and_drops_what_json_lacks() -> None:
    int_like: Any = np.int64(1_234_567)
    found = metrics.json_ready(
        {
            "auc": 0.123456,
            "tpr_at_fpr_0_0001_low": 0.000123456,
            "tpr_at_fpr_0_1": 0.123456,
            "threshold": 0.0000123456789,
            "epsilon_threshold": -1234.56789,
            "precision": math.nan,
            "loss": math.inf,
            "tp": int_like,
            "recall": np.float64(0.5),
        }
    )
    assert found == {
        "auc": 0.1235,
        "tpr_at_fpr_0_0001_low": 0.00012,
        "tpr_at_fpr_0_1": 0.1235,
        "threshold": 0.0000123457,
        "epsilon_threshold": -1234.57,
        "tp": 1_234_567,
        "recall": 0.5,
    }
    assert {type(value) for value in found.values()} == {int, float}


def macro_twin(predicted: list[int], labels: list[int]) -> dict[str, float]:
    pairs = list(zip(predicted, labels, strict=True))
    rates: dict[str, list[Fraction]] = {"macro_precision": [], "macro_recall": [], "macro_f1": []}
    for c in set(predicted) | set(labels):
        tp = sum(p == c == y for p, y in pairs)
        fp, fn = sum(p == c != y for p, y in pairs), sum(y == c != p for p, y in pairs)
        rates["macro_precision"].append(Fraction(tp, tp + fp) if tp + fp else Fraction(0))
        rates["macro_recall"].append(Fraction(tp, tp + fn) if tp + fn else Fraction(0))
        rates["macro_f1"].append(Fraction(2 * tp, 2 * tp + fp + fn))
    return {name: float(sum(values, Fraction(0)) / len(values)) for name, values in rates.items()}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(0, 20)), min_size=1, max_size=40))
def test_classifier_metrics_match_twin_and_scikit_learn(records: list[tuple[int, int, float]]) -> None:
    predicted, labels, loss = ([r[i] for r in records] for i in range(3))
    found = classifier.quality(predicted, labels, loss, 7)
    twin = macro_twin([int(p) for p in predicted], [int(y) for y in labels])
    assert list(found) == ["accuracy", *twin, "loss"]
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert found["loss"] == pytest.approx(sum(loss) / len(loss))
    options: dict[str, Any] = {"average": "macro", "zero_division": 0}
    for score, name in ((precision_score, "precision"), (recall_score, "recall"), (f1_score, "f1")):
        assert found[f"macro_{name}"] == pytest.approx(twin[f"macro_{name}"])
        assert found[f"macro_{name}"] == pytest.approx(score(labels, predicted, **options))


@pytest.mark.parametrize(
    ("predicted", "labels", "loss", "message"),
    [
        ([], [], [], r"at least one record, got \(0,\)"),
        ([0, 1], [0], [0.0, 0.0], r"got \(2,\), \(1,\) and \(2,\)"),
        ([0, 3], [0, 1], [0.0, 0.0], r"predicted: expected classes in 0\.\.2, got 0 to 3"),
        ([0, 1], [-1, 1], [0.0, 0.0], r"labels: expected classes in 0\.\.2, got -1 to 1"),
        ([0.0, 1.0], [0, 1], [0.0, 0.0], "predicted: expected whole numbers, got dtype float64"),
        ([0, 1], [0, 1], [0.0, math.nan], "loss: expected finite numbers, got 1 NaN or infinite among 2"),
    ],
)
def test_classifier_metrics_refuse_bad_input(
    predicted: list[int], labels: list[int], loss: list[float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        classifier.quality(predicted, labels, loss, 3)


def test_over_models_is_the_mean_and_the_extremes_of_test_accuracy() -> None:
    qualities = [{"test_accuracy": value, "gap": 1 - value} for value in (0.5, 0.75, 1.0)]
    assert classifier.over_models(qualities) == {
        "models": 3,
        "test_accuracy": 0.75,
        "gap": 0.25,
        "test_accuracy_min": 0.5,
        "test_accuracy_max": 1.0,
    }
