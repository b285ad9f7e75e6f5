"""Comparisons, power and per-class leakage against slow twins and in worlds where the truth is known."""

import math
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, chi2, mannwhitneyu, norm, rankdata

from mia.errors import InputError
from mia.evaluation import by_class, detectable, differences, metrics, roc
from mia.evaluation.differences import Placements

pytestmark = pytest.mark.long

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Attacks = tuple[Floats, Bools]


@st.composite
def attacks(draw: st.DrawFn, count: int = 2, smallest: int = 1) -> Attacks:
    """Scores (count, samples) of the same records, of few distinct values or of many; sides of any sizes, mixed."""
    score = draw(st.sampled_from([st.integers(0, 3), st.integers(-5, 5), st.floats(-1e3, 1e3)]))
    record = st.lists(score, min_size=count, max_size=count)
    members = draw(st.lists(record, min_size=smallest, max_size=12))
    nonmembers = draw(st.lists(record, min_size=smallest, max_size=12))
    both = draw(st.permutations([(s, True) for s in members] + [(s, False) for s in nonmembers]))
    return np.array([s for s, _ in both], dtype=np.float64).T, np.array([m for _, m in both])


def correlated(n_member: int, n_nonmember: int, shifts: tuple[float, ...], rng: np.random.Generator) -> Attacks:
    """Attacks with normal scores, 0.7 of the noise in common, members' scores shifted by as much as said."""
    is_member = rng.permutation(n_member + n_nonmember) < n_member
    noise = np.sqrt(0.7) * rng.normal(size=is_member.size) + np.sqrt(0.3) * rng.normal(
        size=(len(shifts), is_member.size)
    )
    return noise + np.array(shifts)[:, None] * is_member, is_member


def placed(attack: Attacks) -> list[Placements]:
    return [differences.placements(row, attack[1]) for row in attack[0]]


# ---- DeLong


def psi(member: float, nonmember: float) -> float:
    return 1.0 if member > nonmember else 0.5 if member == nonmember else 0.0


def delong_twin(score: Floats, is_member: Bools) -> tuple[list[float], list[float]]:
    """V10 and V01 of the 1988 paper, pair by pair."""
    members, nonmembers = score[is_member].tolist(), score[~is_member].tolist()
    v10 = [sum(psi(x, y) for y in nonmembers) / len(nonmembers) for x in members]
    v01 = [sum(psi(x, y) for x in members) / len(members) for y in nonmembers]
    return v10, v01


def covariance_twin(a: list[float], b: list[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    return sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / (len(a) - 1)


def contrast_twin(attack: Attacks) -> tuple[float, float, float, float]:
    """AUC of the first, of the second, the first's variance, that of the difference: S10 / M + S01 / N, L S L'."""
    v = [delong_twin(row, attack[1]) for row in attack[0]]
    M, N = len(v[0][0]), len(v[0][1])
    s = [[covariance_twin(r[0], c[0]) / M + covariance_twin(r[1], c[1]) / N for c in v] for r in v]
    return sum(v[0][0]) / M, sum(v[1][0]) / M, s[0][0], s[0][0] - 2 * s[0][1] + s[1][1]


@given(attacks(count=1))
def test_placements_match_every_pair_counted(attack: Attacks) -> None:
    found, (v10, v01) = placed(attack)[0], delong_twin(attack[0][0], attack[1])
    assert found.v10 == pytest.approx(v10, abs=1e-12)
    assert found.v01 == pytest.approx(v01, abs=1e-12)
    assert found.auc == pytest.approx(roc.auc(roc.curve(attack[0][0], attack[1])), abs=1e-12)
    assert found.v01.mean() == pytest.approx(found.auc, abs=1e-12)


@given(attacks(smallest=2), st.sampled_from([0.8, 0.95]))
def test_compare_auc_matches_the_covariance_of_1988(attack: Attacks, level: float) -> None:
    a, b = placed(attack)
    found = differences.compare_auc(a, b, level=level)
    auc_a, auc_b, of_a, variance = contrast_twin(attack)
    assert differences.auc_variance(a) == pytest.approx(of_a, abs=1e-9)
    assert found.difference == pytest.approx(auc_a - auc_b, abs=1e-9)
    least = 2 / math.comb(attack[1].size, int(attack[1].sum()))
    if variance > 1e-12:
        reach = norm.ppf((1 + level) / 2) * math.sqrt(variance)
        p = 2 * norm.sf(abs(auc_a - auc_b) / math.sqrt(variance))
        assert found.low == pytest.approx(max(-1, auc_a - auc_b - reach), abs=1e-9)
        assert found.high == pytest.approx(min(1, auc_a - auc_b + reach), abs=1e-9)
        assert found.p_value == pytest.approx(min(1, max(p, least)), abs=1e-7)
    back = differences.compare_auc(b, a, level=level)
    assert (back.difference, back.low, back.high, back.p_value) == pytest.approx(
        (-found.difference, -found.high, -found.low, found.p_value)
    )


@given(attacks(count=1, smallest=2))
def test_equal_rankings_differ_by_nothing(attack: Attacks) -> None:
    ranks = rankdata(attack[0][0])  # rises where the scores rise
    a, b = placed((np.stack([attack[0][0], 7 * ranks**3 - 2]), attack[1]))
    found = differences.compare_auc(a, b)
    reach = 1 - 0.025 ** (1 / min(a.v10.size, a.v01.size))
    assert astuple(found) == pytest.approx((0, -reach, reach, 1))
    assert (found.difference, found.p_value) == (0, 1)


def test_no_variance_is_no_certainty() -> None:
    is_member = np.array([True, True, False, False])
    perfect = differences.placements([1.0, 1.0, 0.0, 0.0], is_member)
    reversed_, constant = (
        differences.placements([0.0, 0.0, 1.0, 1.0], is_member),
        differences.placements([3.0] * 4, is_member),
    )
    assert differences.compare_auc(perfect, reversed_).p_value == pytest.approx(2 / 6)  # C(4, 2) rankings
    found = differences.compare_auc(perfect, constant)
    assert astuple(found) == pytest.approx((0.5, 0.5 - (1 - 0.025**0.5), 1, 2 / 6))
    assert [differences.auc_variance(one) for one in (perfect, reversed_, constant)] == [0, 0, 0]
    # every placement of the second is a third lower, up to rounding (1 - 2/3 > 2/3 - 1/3)
    steps = [differences.placements([x + 1.0, x + 3.0, x + 5.0, 0.0, 2.0, 4.0], np.arange(6) < 3) for x in (0, -2)]
    reach = 1 - 0.025 ** (1 / 3)
    assert astuple(differences.compare_auc(*steps)) == pytest.approx((1 / 3, 1 / 3 - reach, 1, 2 / 20))
    many = np.arange(2000) < 1000
    a, b = differences.placements(many.astype(float), many), differences.placements(np.zeros(2000), many)
    assert differences.compare_auc(a, b).p_value < 1e-300


@given(attacks(count=1))
def test_auc_interval_is_delong_on_the_logit_scale(attack: Attacks) -> None:
    one = placed(attack)[0]
    found, variance = differences.auc_interval(one, level=0.9), differences.auc_variance(one)
    assert 0 <= found.low <= found.value <= found.high <= 1
    if min(one.v10.size, one.v01.size) < 2:
        assert math.isnan(variance)
    elif variance > 0:
        for limit, sign in ((found.low, -1), (found.high, 1)):
            logit = math.log(one.auc / (1 - one.auc)) + sign * norm.ppf(0.95) * math.sqrt(variance) / one.auc / (
                1 - one.auc
            )
            assert limit == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-9)


def test_auc_interval_without_variance_rests_on_disjoint_pairs() -> None:
    for n_member, n_nonmember in ((1, 1), (1, 5), (7, 5), (40, 60)):
        m, is_member = min(n_member, n_nonmember), np.arange(n_member + n_nonmember) < n_member
        best = differences.auc_interval(differences.placements(is_member.astype(float), is_member))
        worst = differences.auc_interval(differences.placements(-is_member.astype(float), is_member))
        assert astuple(best) == pytest.approx((1, 0.025 ** (1 / m), 1))
        assert astuple(worst) == pytest.approx((0, 0, 1 - 0.025 ** (1 / m)))
    flat = differences.auc_interval(differences.placements(np.zeros(16), np.arange(16) < 8))
    exact = binomtest(4, 8).proportion_ci(0.95, method="exact")
    assert astuple(flat) == pytest.approx((0.5, exact.low, exact.high))


@pytest.mark.statistics
@pytest.mark.parametrize(("n", "shift"), [(10, 1.5), (50, 2.5), (300, 0.3)])
def test_auc_interval_covers_the_truth(n: int, shift: float) -> None:
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        found = differences.auc_interval(placed(correlated(n, n, (shift,), rng))[0])
        held += found.low <= norm.cdf(shift / math.sqrt(2)) <= found.high
    assert 0.92 <= held / 400 <= 0.99


@pytest.mark.statistics
def test_equally_good_attacks_differ_in_5_percent_of_runs_and_a_better_one_always() -> None:
    rng = np.random.default_rng(7)
    found = [differences.compare_auc(*placed(correlated(120, 150, (0.8, 0.8), rng))) for _ in range(400)]
    assert 0.02 <= np.mean([one.p_value < 0.05 for one in found]) <= 0.09
    assert 0.91 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.98
    better = [differences.compare_auc(*placed(correlated(300, 300, (1.5, 0.5), rng))) for _ in range(20)]
    assert max(one.p_value for one in better) < 1e-3
    assert min(one.low for one in better) > 0


# ---- TPR


def drawn_twin(attack: Attacks, fprs: list[float], replicates: int, rng: np.random.Generator) -> Floats:
    """Draw records as the docstring says, and build every attack's ROC on them afresh."""
    members, nonmembers = np.flatnonzero(attack[1]), np.flatnonzero(~attack[1])
    tprs = np.empty((len(attack[0]), len(fprs), replicates))
    for r in range(replicates):
        i, j = rng.integers(members.size, size=members.size), rng.integers(nonmembers.size, size=nonmembers.size)
        rows = np.concatenate([members[i], nonmembers[j]])
        for a, score in enumerate(attack[0]):
            curve = roc.curve(score[rows], attack[1][rows])
            tprs[a, :, r] = [roc.tpr_at(curve, fpr) for fpr in fprs]
    return tprs


@settings(max_examples=60)
@given(attacks(count=3), st.integers(0, 99))
def test_replicates_are_tpr_at_on_the_records_drawn(attack: Attacks, seed: int) -> None:
    fprs = [fpr for fpr in (1.0, 0.5, 0.3, 0.1) if roc.resolvable(fpr, int((~attack[1]).sum()))]
    found = differences.replicate_tprs(*attack, fprs=fprs, replicates=9, rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(found, drawn_twin(attack, fprs, 9, np.random.default_rng(seed)))


@settings(max_examples=40)
@given(attacks(), st.integers(0, 99), st.sampled_from([1.0, 0.5, 0.2]))
def test_compare_tpr_matches_its_twin(attack: Attacks, seed: int, fpr: float) -> None:
    assume(roc.resolvable(fpr, int((~attack[1]).sum())))
    (a, b), is_member = attack
    found = differences.compare_tpr(a, b, is_member, fpr=fpr, replicates=60, rng=np.random.default_rng(seed), level=0.9)
    tprs = drawn_twin(attack, [fpr], 60, np.random.default_rng(seed))
    gaps = [float(x) for x in tprs[0, 0] - tprs[1, 0]]
    curves = [roc.curve(score, is_member) for score in (a, b)]
    assert found.difference == pytest.approx(roc.tpr_at(curves[0], fpr) - roc.tpr_at(curves[1], fpr))
    calls = []
    for score, curve in zip((a, b), curves, strict=True):
        threshold = curve.thresholds[np.flatnonzero(curve.fpr <= fpr)[-1]]
        calls.append([score_ >= threshold for score_ in score[is_member]])
    a_alone = sum(x and not y for x, y in zip(*calls, strict=True))
    b_alone = sum(y and not x for x, y in zip(*calls, strict=True))
    by_bootstrap = 2 * (1 + min(sum(g <= 0 for g in gaps), sum(g >= 0 for g in gaps))) / 61
    by_sign = binomtest(a_alone, a_alone + b_alone).pvalue if a_alone + b_alone else 1.0
    assert found.p_value == pytest.approx(min(1.0, max(by_bootstrap, by_sign)))
    M = len(calls[0])
    low_a, high_a = binomtest(a_alone, M).proportion_ci(0.9, method="exact")
    low_b, high_b = binomtest(b_alone, M).proportion_ci(0.9, method="exact")
    low = found.difference - math.sqrt((a_alone / M - low_a) ** 2 + (high_b - b_alone / M) ** 2)
    high = found.difference + math.sqrt((high_a - a_alone / M) ** 2 + (b_alone / M - low_b) ** 2)
    assert found.low == pytest.approx(max(-1, min(low, np.quantile(gaps, 0.05))), abs=1e-9)
    assert found.high == pytest.approx(min(1, max(high, np.quantile(gaps, 0.95))), abs=1e-9)


def test_equal_attacks_have_equal_tprs_and_a_better_one_is_found() -> None:
    (a, b), is_member = correlated(400, 500, (2.0, 0.5), np.random.default_rng(1))
    options: dict[str, Any] = {"fpr": 0.1, "replicates": 2000, "rng": np.random.default_rng(2)}
    same = differences.compare_tpr(a, np.exp(a), is_member, **options)
    assert (same.difference, same.p_value) == (0, 1)
    assert same.low == -same.high < 0
    better = differences.compare_tpr(a, b, is_member, **options)
    assert better.p_value == pytest.approx(2 / 2001)
    assert 0 < better.low < better.difference < better.high


@pytest.mark.statistics
def test_equal_tprs_are_seldom_called_different() -> None:
    """On the wide side, as the docstring says: at most 5 % of p below 0.05."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        (a, b), is_member = correlated(150, 200, (1.0, 1.0), rng)
        found.append(differences.compare_tpr(a, b, is_member, fpr=0.05, replicates=100, rng=rng))
    assert np.mean([one.p_value < 0.05 for one in found]) <= 0.05
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= 0.95


@pytest.mark.parametrize(("a_alone", "b_alone"), [(0, 0), (5, 0), (0, 5), (3, 8), (40, 40)])
def test_the_sign_test_is_twice_the_smaller_tail(a_alone: int, b_alone: int) -> None:
    n, least = a_alone + b_alone, min(a_alone, b_alone)
    tail = sum(math.comb(n, k) for k in range(least + 1)) / 2**n
    assert differences.sign_test(a_alone, b_alone) == pytest.approx(min(1, 2 * tail))


def test_five_members_are_not_enough() -> None:
    """The replicates alone would say p = 0.014."""
    a, b, is_member = np.zeros(400), np.zeros(400), np.arange(400) < 200
    a[:5] = 1
    found = differences.compare_tpr(a, b, is_member, fpr=0.01, replicates=5000, rng=np.random.default_rng(0))
    assert (found.difference, found.p_value) == pytest.approx((0.025, 2 / 2**5))


# ---- many attacks


def test_holm_by_hand() -> None:
    # 0.01 x 4; 0.015 x 3 = 0.045; 0.03 x 2 = 0.06; 0.04 x 1, not below the one before: 0.06
    assert differences.holm([0.03, 0.01, 0.04, 0.015]) == pytest.approx([0.06, 0.04, 0.06, 0.045])
    assert differences.holm([0.5, 0.9, 0.4]) == pytest.approx([1, 1, 1])
    assert differences.holm([0.2]) == pytest.approx([0.2])
    assert differences.holm([]).shape == (0,)


@given(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.05, 0.3, 1.0]), max_size=8))
def test_holm_rejects_what_stepping_down_rejects(p_values: list[float]) -> None:
    """At 0.05: the smallest against 0.05 / n, the next against 0.05 / (n - 1), ..., until one fails."""
    rejected: set[int] = set()
    for step, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[i] > 0.05 / (len(p_values) - step) + 1e-12:
            break
        rejected.add(i)
    assert {i for i, p in enumerate(differences.holm(p_values)) if p <= 0.05 + 1e-12} == rejected


def test_table_is_every_pair_from_one_set_of_replicates() -> None:
    values, is_member = correlated(150, 120, (0.3, 1.5, 0.8, 0.8), np.random.default_rng(6))
    scores = dict(zip(("weak", "strong", "middle", "twin"), values, strict=True))
    scores["twin"] = np.exp(scores["middle"])
    fprs, options = [0.1, 0.05, 0.001], {"replicates": 80}
    found = differences.table(scores, is_member, fprs=fprs, rng=np.random.default_rng(9), **options)
    ends = ("difference", "low", "high", "p")
    assert list(found.columns) == [
        *("attack_a", "attack_b", "auc_difference", "auc_low", "auc_high", "auc_p", "auc_p_holm"),
        *(f"tpr_at_fpr_0_1_{end}" for end in ends),
        *(f"tpr_at_fpr_0_05_{end}" for end in ends),
    ]
    pairs = list(zip(found["attack_a"], found["attack_b"], strict=True))
    assert pairs == [
        *(("strong", "middle"), ("strong", "twin"), ("strong", "weak")),
        *(("middle", "twin"), ("middle", "weak"), ("twin", "weak")),
    ]
    p_values = []
    for row, (a, b) in zip(found.to_dict("records"), pairs, strict=True):
        both = scores[a], scores[b]
        by_auc = differences.compare_auc(*(differences.placements(one, is_member) for one in both))
        p_values.append(by_auc.p_value)
        assert row["auc_difference"] == round(by_auc.difference, 4) >= 0
        assert (row["auc_low"], row["auc_high"]) == (round(by_auc.low, 4), round(by_auc.high, 4))
        assert row["auc_p"] == float(f"{by_auc.p_value:.3g}")
        for fpr in (0.1, 0.05):  # draws do not depend on which attacks, nor on how many FPRs, are asked for
            one = differences.compare_tpr(*both, is_member, fpr=fpr, rng=np.random.default_rng(9), **options)
            key = metrics.fpr_key(fpr)
            assert row[f"{key}_difference"] == pytest.approx(one.difference, abs=1e-6)
            assert (row[f"{key}_low"], row[f"{key}_high"]) == pytest.approx((one.low, one.high), abs=1e-6)
            assert row[f"{key}_p"] == float(f"{one.p_value:.3g}")
    assert found["auc_p_holm"].tolist() == [float(f"{p:.3g}") for p in differences.holm(p_values)]
    assert (found["auc_p"].to_list()[3], found["tpr_at_fpr_0_1_p"].to_list()[3]) == (1, 1)
    alone = differences.table({"weak": values[0]}, is_member, fprs=fprs, rng=np.random.default_rng(9), **options)
    assert alone.empty
    assert list(alone.columns) == list(found.columns)


TWO: dict[str, Any] = {"is_member": np.array([True, False, True, False])}
SCORE = np.array([0.1, 0.2, 0.3, 0.4])
DRAWS: dict[str, Any] = {"fprs": [0.5], "replicates": 40, "rng": np.random.default_rng(0)}
PLACED = differences.placements(SCORE, TWO["is_member"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: differences.placements([0.1, math.nan], [True, False]),
            "scores: expected finite numbers, got 1 NaN, 0 infinite of 2; mend the attack that wrote them",
        ),
        (lambda: differences.auc_interval(PLACED, level=95), "level: expected a number in (0, 1), got 95"),
        (lambda: differences.compare_auc(PLACED, PLACED, level=0), "level: expected a number in (0, 1), got 0"),
        (
            lambda: differences.compare_auc(PLACED, Placements(np.ones(2), np.ones(3))),
            "placements: expected both attacks on the same records, got 2 and 2 members, 2 and 3 non-members",
        ),
        (
            lambda: differences.compare_auc(*[Placements(np.ones(1), np.ones(3))] * 2),
            "placements: a difference needs at least 2 records a side, got 1 members and 3 non-members",
        ),
        (
            lambda: differences.replicate_tprs(SCORE, **TWO, **DRAWS),
            "scores: expected shape (attacks, samples), at least one attack, got (4,)",
        ),
        (
            lambda: differences.replicate_tprs([SCORE], **TWO, **(DRAWS | {"replicates": 0})),
            "replicates: expected at least 1, got 0",
        ),
        (
            lambda: differences.replicate_tprs([SCORE], **TWO, **(DRAWS | {"fprs": [0.5, 0.1]})),
            "fpr: 2 non-members resolve 0.5 or more, got 0.1; choose a higher FPR or bring at least 10 non-members",
        ),
        (
            lambda: differences.replicate_tprs([SCORE, SCORE * math.inf], **TWO, **DRAWS),
            "scores: expected finite numbers, got 0 NaN, 4 infinite of 4; mend the attack that wrote them",
        ),
        (
            lambda: differences.compare_tpr(SCORE, SCORE[:3], **TWO, fpr=0.5, replicates=40, rng=DRAWS["rng"]),
            "scores_a, scores_b: expected the same records, got shapes (4,) and (3,)",
        ),
        (
            lambda: differences.compare_tpr(SCORE, SCORE, **TWO, fpr=0.5, replicates=39, rng=DRAWS["rng"]),
            "replicates: a 0.95 interval needs at least 40, got 39",
        ),
        (
            lambda: differences.table({"a": SCORE}, **TWO, **(DRAWS | {"replicates": 9})),
            "replicates: a 0.95 interval needs at least 40, got 9",
        ),
        (lambda: differences.table({}, **TWO, **DRAWS), "scores: expected at least one attack, got none"),
        (
            lambda: differences.table({"a": SCORE, "b": SCORE[:2]}, **TWO, **DRAWS),
            "scores: 'b' has shape (2,), is_member (4,)",
        ),
        (lambda: differences.holm([[0.1]]), "p_values: expected shape (tests,), got (1, 1)"),
        (lambda: differences.holm([0.1, math.nan]), "p_values: expected numbers in [0, 1], got nan"),
        (lambda: differences.holm([0.1, 1.5]), "p_values: expected numbers in [0, 1], got 1.5"),
        (
            lambda: detectable.detectable_auc(0, 5),
            "counts: expected at least 1 a side, got 0 members and 5 non-members",
        ),
        (lambda: detectable.detectable_auc(5, 5, level=1), "level: expected a number in (0, 1), got 1"),
        (lambda: detectable.detectable_auc(5, 5, power=0), "power: expected a number in (0, 1), got 0"),
        (
            lambda: detectable.sentence(0.5, 0.6, 0.4, 5, 5),
            "auc, low, high: expected numbers in [0, 1] with low <= high, got 0.5, 0.6 and 0.4",
        ),
        (
            lambda: detectable.sentence(math.nan, 0.4, 0.6, 5, 5),
            "auc, low, high: expected numbers in [0, 1] with low <= high, got nan, 0.4 and 0.6",
        ),
        (
            lambda: by_class.auc_rows(SCORE, **TWO, labels=[1, 2], p_value=1.0),
            "labels: expected one a record, shape (4,), got (2,)",
        ),
        (
            lambda: by_class.homogeneity_p_value(SCORE, **TWO, labels=[1]),
            "labels: expected one a record, shape (4,), got (1,)",
        ),
    ],
)
def test_bad_input_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == message


# ---- power


@pytest.mark.statistics
@pytest.mark.parametrize(("n_member", "n_nonmember"), [(100, 100), (500, 2000)])
def test_the_detectable_auc_is_found_4_times_in_5(n_member: int, n_nonmember: int) -> None:
    rng = np.random.default_rng(8)
    smallest = detectable.detectable_auc(n_member, n_nonmember)
    runs, shift = 1500, math.sqrt(2) * norm.ppf(smallest)
    scores = rng.normal(size=(runs, n_member + n_nonmember))
    scores[:, :n_member] += shift
    rank_sums = rankdata(scores, axis=1)[:, :n_member].sum(axis=1)
    aucs = (rank_sums - n_member * (n_member + 1) / 2) / (n_member * n_nonmember)
    sd = math.sqrt((n_member + n_nonmember + 1) / (12 * n_member * n_nonmember))
    assert np.mean(np.abs(aucs - 0.5) > norm.ppf(0.975) * sd) == pytest.approx(0.8, abs=0.05)


def test_detectable_auc_by_hand() -> None:
    sd = math.sqrt(10_001 / 12 / 5_000**2)
    assert detectable.detectable_auc(5_000, 5_000) == pytest.approx(0.5 + (1.959964 + 0.841621) * sd)
    assert detectable.detectable_auc(5_000, 5_000, level=0.9, power=0.5) == pytest.approx(0.5 + 1.644854 * sd)
    assert math.isnan(detectable.detectable_auc(3, 4))


def test_verdicts() -> None:
    assert detectable.sentence(0.53, 0.51, 0.55, 5_000, 5_000) == "finds members"
    chance = "no better than guessing; an AUC of .516 or more would have been found 4 times in 5"
    assert detectable.sentence(0.50, 0.49, 0.51, 5_000, 5_000) == chance
    assert detectable.sentence(0.51, 0.50, 0.52, 5_000, 5_000) == chance
    assert detectable.sentence(0.49, 0.48, 0.50, 5_000, 5_000) == chance
    many = detectable.sentence(0.50, 0.49, 0.51, 5_000, 5_000, attacks=24)
    assert many == chance.replace(".516", ".523")
    assert detectable.sentence(0.4, 0.38, 0.42, 90, 90) == "ranks non-members first: its assumption is wrong here"
    few = "no better than guessing; the records are too few to find any AUC"
    assert detectable.sentence(0.6, 0.1, 0.9, 2, 2) == few


# ---- classes


def test_by_class_is_each_class_on_its_own() -> None:
    (score,), is_member = correlated(60, 90, (1.0,), np.random.default_rng(2))
    labels = np.random.default_rng(3).integers(0, 3, size=150)
    labels[np.flatnonzero(is_member)[:4]] = 7
    rows = by_class.auc_rows(score, is_member, labels, p_value=0.0, level=0.9)
    assert [row["label"] for row in rows] == [0, 1, 2, 7]
    p_values = []
    for row in rows[:3]:
        mine = labels == row["label"]
        area = differences.auc_interval(differences.placements(score[mine], is_member[mine]), level=0.9)
        assert list(row) == ["label", "n_member", "n_nonmember", "auc", "auc_low", "auc_high", "auc_p"]
        assert [row["n_member"], row["n_nonmember"]] == [np.sum(mine & is_member), np.sum(mine & ~is_member)]
        assert [row["auc"], row["auc_low"], row["auc_high"]] == [round(x, 4) for x in (area.value, area.low, area.high)]
        p_values.append(mannwhitneyu(score[mine & is_member], score[mine & ~is_member]).pvalue)
    assert [row["auc_p"] for row in rows[:3]] == np.round(differences.holm(p_values), 4).tolist()
    assert rows[3] == {"label": 7, "n_member": 4, "n_nonmember": 0}
    assert [type(row["label"]) for row in rows] == [int] * 4
    assert [r["label"] for r in by_class.auc_rows(score, is_member, labels.astype(str), p_value=0.0)] == [
        "0",
        "1",
        "2",
        "7",
    ]


def test_a_class_is_said_to_leak_only_where_the_attack_knows_anything() -> None:
    (score,), is_member = correlated(400, 400, (0.5,), np.random.default_rng(2))
    labels = np.arange(800) % 4
    assert all(row["auc_low"] > 0.5 for row in by_class.auc_rows(score, is_member, labels, p_value=0.001))
    for row in by_class.auc_rows(score, is_member, labels, p_value=0.06):
        assert (row["auc_low"], row["auc_p"]) == (0.5, 0.06)


@pytest.mark.statistics
def test_no_class_is_said_to_leak_in_more_than_one_of_twenty_worlds_without_a_leak() -> None:
    leaking, worlds, rng = 0, 200, np.random.default_rng(1)
    is_member = np.arange(800) < 400
    for _ in range(worlds):
        rows = by_class.auc_rows(rng.normal(size=800), is_member, rng.integers(20, size=800), p_value=0.0)
        leaking += any(row["auc_low"] > 0.5 or row["auc_high"] < 0.5 for row in rows)
    assert leaking <= 0.081 * worlds  # 5 % and two standard errors; each class's own limits: in 60 %


def test_alike_is_q_with_pooled_variances() -> None:
    (score,), is_member = correlated(40, 60, (1.0,), np.random.default_rng(5))
    score, labels = score.round(1), np.arange(100) % 4
    labels[is_member & (labels == 3)] = 2  # class 3 has no member left
    v = [delong_twin(score[labels == c], is_member[labels == c]) for c in range(3)]
    spread = [sum(covariance_twin(one[s], one[s]) * (len(one[s]) - 1) for one in v) for s in (0, 1)]
    s10, s01 = (spread[s] / sum(len(one[s]) - 1 for one in v) for s in (0, 1))
    weight = [1 / (s10 / len(one[0]) + s01 / len(one[1])) for one in v]
    area = [sum(one[0]) / len(one[0]) for one in v]
    mean = sum(w * a for w, a in zip(weight, area, strict=True)) / sum(weight)
    q = sum(w * (a - mean) ** 2 for w, a in zip(weight, area, strict=True))
    assert by_class.homogeneity_p_value(score, is_member, labels) == pytest.approx(chi2.sf(q, 2))


@pytest.mark.statistics
def test_classes_that_leak_alike_are_called_so_and_one_that_does_not_is_found() -> None:
    rng = np.random.default_rng(6)
    labels, is_member = np.repeat(np.arange(20), 60), np.tile(np.arange(60) < 30, 20)
    for shift in (0.0, 2.0):
        scores = [rng.normal(size=1200) + shift * is_member for _ in range(150)]
        p = [by_class.homogeneity_p_value(score, is_member, labels) for score in scores]
        assert np.mean(np.array(p) < 0.05) <= 0.10, shift
        assert 0.35 <= np.mean(p) <= 0.65, shift
    odd = rng.normal(size=1200) + 9 * (is_member & (labels == 3))
    assert by_class.homogeneity_p_value(odd, is_member, labels) < 1e-4


def test_alike_is_silent_without_two_classes_or_any_spread() -> None:
    is_member = np.array([True, True, False, False])
    assert math.isnan(by_class.homogeneity_p_value(SCORE, is_member, [1, 1, 1, 1]))
    assert math.isnan(by_class.homogeneity_p_value(SCORE, is_member, [1, 2, 1, 2]))  # one record a side
    four = (
        np.random.default_rng(0).normal(size=16),
        np.tile(is_member, 4),
        [1] * 8 + [2] * 8,
    )  # records a side and class
    assert math.isnan(by_class.homogeneity_p_value(*four))
    assert math.isnan(by_class.homogeneity_p_value(np.zeros(40), np.tile(is_member, 10), [1] * 20 + [2] * 20))
