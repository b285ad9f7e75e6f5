"""BASE and BaVarIA against slow twins from their authors' formulas, their limits, and worlds with a known answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean, pvariance

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm, t

from mia.attacks import base, bavaria
from mia.attacks.evidence import Evidence, Moments
from mia.errors import InputError
from mia.evaluation import roc

Floats = NDArray[np.float64]
Attack = Callable[[Evidence], Floats]

EVERY: list[Attack] = [base.offline, bavaria.normal, bavaria.student]
ONLINE: list[Attack] = [base.online, bavaria.normal, bavaria.student]
BAVARIA: list[Attack] = [bavaria.normal, bavaria.student]


def named(target: Floats, references: Floats, is_in: NDArray[np.bool_]) -> Evidence:
    return Evidence(target, references, is_in, np.zeros(len(target), np.int64))


@st.composite
def evidences(draw: st.DrawFn, least: int = 1, in_models: bool = True) -> Evidence:
    """Margins with or without ties; every record has at least `least` models OUT, and IN if there are any IN models."""
    models, samples, views = draw(st.integers(4, 8)), draw(st.integers(3, 12)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    decimals, spread = draw(st.sampled_from([0, 12])), draw(st.sampled_from([0.3, 1.0, 4.0]))
    is_in = rng.random((models, samples)) < 0.5
    is_in[:least], is_in[least : 2 * least] = False, True
    is_in = rng.permuted(is_in, axis=0) & in_models
    references = rng.normal(0, spread, (samples, views)) + rng.normal(0, 1, (models, samples, views)) + is_in[..., None]
    target = rng.normal(0, spread, (samples, views))
    return named(target.round(decimals), references.round(decimals), is_in)


def margins(evidence: Evidence, is_in: bool, sample: int, view: int) -> list[float]:
    """What the models of one side gave one record and view."""
    models = zip(evidence.references, evidence.is_in, strict=True)
    return [float(one[sample, view]) for one, inside in models if inside[sample] == is_in]


def each_view(evidence: Evidence, score: Callable[[int, int], float]) -> Floats:
    samples, views = evidence.target.shape
    return np.array([math.fsum(score(i, v) for v in range(views)) for i in range(samples)])


def p(margin: float) -> float:
    return 1 / (1 + math.exp(-margin))


def base_online_twin(evidence: Evidence) -> Floats:
    """Lassila et al.'s BASE.run_attack before its sigmoid, the mean taken side by side."""

    def score(i: int, v: int) -> float:
        sides = [fmean(map(p, margins(evidence, is_in, i, v))) for is_in in (True, False)]
        return math.log(p(evidence.target[i, v])) - math.log(fmean(sides))

    return each_view(evidence, score)


def base_offline_twin(evidence: Evidence) -> Floats:
    def score(i: int, v: int) -> float:
        return math.log(p(evidence.target[i, v])) - 0.7 * math.log(fmean(map(p, margins(evidence, False, i, v))))

    return each_view(evidence, score)


def base_steps_twin(evidence: Evidence, *, per_record: bool) -> Floats:
    """Brännvall's BASE2* (variance 1) and base3 (each record's, pooled over both sides with their counts)."""

    def score(i: int, v: int) -> float:
        inside, outside = (margins(evidence, is_in, i, v) for is_in in (True, False))
        linear = (fmean(inside) - fmean(outside)) * (evidence.target[i, v] - (fmean(inside) + fmean(outside)) / 2)
        count = len(inside) + len(outside)
        variance = (len(inside) * pvariance(inside) + len(outside) * pvariance(outside)) / count
        return float(linear / max(variance, 1e-10) if per_record else linear)

    return each_view(evidence, score)


def all_margins(evidence: Evidence, is_in: bool, view: int) -> list[float]:
    return [m for i in range(len(evidence)) for m in margins(evidence, is_in, i, view)]


def posterior_twin(xs: list[float], pooled: list[float], alpha: float) -> tuple[float, float, float, float, float]:
    """Own mean, mu_n, kappa_n, alpha_n, beta_n of a normal-inverse-gamma prior of kappa 1, fitted on `pooled`."""
    mu, beta = fmean(pooled), max(pvariance(pooled), 1e-10)  # alpha is 1, or 2 and alpha - 1 is 1
    n, own = len(xs), fmean(xs) if xs else fmean(pooled)
    spread = math.fsum((x - own) ** 2 for x in xs)
    beta_n = beta + spread / 2 + n * (own - mu) ** 2 / (2 * (n + 1))
    return own, (mu + math.fsum(xs)) / (n + 1), n + 1, alpha + n / 2, beta_n


def normal_twin(evidence: Evidence) -> Floats:
    """Brännvall's bavaria_n; log CDF of the OUT side where no model is IN."""

    def law(is_in: bool, i: int, v: int) -> tuple[float, float]:
        own, _, _, alpha, beta = posterior_twin(margins(evidence, is_in, i, v), all_margins(evidence, is_in, v), 1.0)
        return own, math.sqrt(beta / (alpha - 1) if alpha > 1 else beta)

    def score(i: int, v: int) -> float:
        x = evidence.target[i, v]
        if not evidence.is_in.any():
            return float(norm.logcdf(x, *law(False, i, v)))
        return float(norm.logpdf(x, *law(True, i, v)) - norm.logpdf(x, *law(False, i, v)))

    return each_view(evidence, score)


def student_twin(evidence: Evidence) -> Floats:
    """Brännvall's bavaria_t; log CDF of the OUT side where no model is IN."""

    def law(is_in: bool, i: int, v: int) -> tuple[float, float, float]:
        _, mu, kappa, alpha, beta = posterior_twin(margins(evidence, is_in, i, v), all_margins(evidence, is_in, v), 2.0)
        return 2 * alpha, mu, math.sqrt(beta * (kappa + 1) / (alpha * kappa))

    def score(i: int, v: int) -> float:
        x = evidence.target[i, v]
        if not evidence.is_in.any():
            return float(t.logcdf(x, *law(False, i, v)))
        return float(t.logpdf(x, *law(True, i, v)) - t.logpdf(x, *law(False, i, v)))

    return each_view(evidence, score)


def assert_same(found: Floats, expected: Floats) -> None:
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@given(evidences())
def test_base_is_its_twin(evidence: Evidence) -> None:
    assert_same(base.online(evidence), base_online_twin(evidence))
    assert_same(base.offline(evidence), base_offline_twin(evidence))


@given(evidences())
def test_base_with_two_means_is_its_twin_with_one_variance_and_with_each_records(evidence: Evidence) -> None:
    assert_same(base.two_star(evidence), base_steps_twin(evidence, per_record=False))
    three, twin = base.three(evidence), base_steps_twin(evidence, per_record=True)
    agree = np.abs(twin) > 1e6  # references that agree to the last bit: the twin's sum rounds otherwise
    assert_same(three[~agree], twin[~agree])


@settings(max_examples=60)
@given(evidences(least=0) | evidences(in_models=False))
def test_bavaria_is_its_twin_also_for_records_without_a_side(evidence: Evidence) -> None:
    sides = evidence.is_in.sum(), (~evidence.is_in).sum()
    assume(1 not in sides and sides[1] > 0)
    assert_same(bavaria.normal(evidence), normal_twin(evidence))
    assert_same(bavaria.student(evidence), student_twin(evidence))


@settings(max_examples=50)
@given(evidences(), st.integers(0, 2**32 - 1), st.sampled_from(EVERY))
def test_order_of_models_and_records_does_not_matter(evidence: Evidence, seed: int, attack: Attack) -> None:
    rng = np.random.default_rng(seed)
    models, records = rng.permutation(len(evidence.references)), rng.permutation(len(evidence))
    scores = attack(evidence)
    assert_same(attack(named(evidence.target, evidence.references[models], evidence.is_in[models])), scores)
    moved = named(evidence.target[records], evidence.references[:, records], evidence.is_in[:, records])
    assert_same(attack(moved), scores[records])


@settings(max_examples=50)
@given(evidences(), st.sampled_from(EVERY))
def test_views_are_scored_alone_and_summed(evidence: Evidence, attack: Attack) -> None:
    views = range(evidence.target.shape[1])
    alone = [
        attack(named(evidence.target[:, [v]], evidence.references[..., [v]], evidence.is_in)).tolist() for v in views
    ]
    assert_same(attack(evidence), np.sum(alone, axis=0))


@settings(max_examples=50)
@given(evidences())
def test_base_online_ranks_as_rmia_with_gamma_1(evidence: Evidence) -> None:
    """RMIA's share of records z with (p(x) / mean p(x)) / (p(z) / mean p(z)) >= 1 never falls as BASE rises."""
    view = named(evidence.target[:, :1], evidence.references[..., :1], evidence.is_in)
    ratio = []
    for i in range(len(view)):
        sides = [fmean(map(p, margins(view, is_in, i, 0))) for is_in in (True, False)]
        ratio.append(p(view.target[i, 0]) / fmean(sides))
    share = [fmean(r >= z * (1 - 1e-12) for z in ratio) for r in ratio]
    assert np.all(np.diff(np.array(share)[np.argsort(base.online(view))]) >= 0)


def pooled(evidence: Evidence) -> list[tuple[Moments, Floats]]:
    """Each side with LiRA's pooled variance, one a view, of every margin of the side; IN comes first."""
    both = []
    for side, is_in in ((evidence.inside, True), (evidence.outside, False)):
        variance = [pvariance(all_margins(evidence, is_in, v)) for v in range(evidence.target.shape[1])]
        both.append((side, np.array(variance)))
    return both


@settings(max_examples=30)
@given(evidences())
def test_a_strong_prior_is_lira_with_pooled_variance(evidence: Evidence) -> None:
    for side, variance in pooled(evidence):
        mean, found = bavaria.normal_predictive(side, bavaria.fit_prior(side, alpha=1e12))
        np.testing.assert_array_equal(mean, side.mean)
        floor = 2 * bavaria.FLOOR / 1e12  # where all references agree
        np.testing.assert_allclose(found, np.broadcast_to(variance, found.shape), rtol=1e-9, atol=floor)


@settings(max_examples=30)
@given(evidences())
def test_no_prior_is_lira_with_variance_per_record(evidence: Evidence) -> None:
    """kappa = beta = 0: alpha = 1 leaves the variance over n, which LiRA has; alpha = 1 / 2 the one over n - 1."""
    for side, variance in pooled(evidence):
        for alpha, less in ((1.0, 0), (0.5, 1)):
            many = side.count > less
            _, found = bavaria.normal_predictive(side, bavaria.Prior(0 * variance, 0.0, alpha, 0 * variance))
            np.testing.assert_allclose(
                found[many], (side.squares / (side.count[:, None] - less + ~many[:, None]))[many]
            )


def test_the_variance_moves_from_the_pooled_to_the_records_own_as_models_are_added() -> None:
    rng = np.random.default_rng(0)
    own = np.array([0.3, 1.0, 3.0])
    distance = []
    for models in (4, 64, 4096):
        references = own[:, None] * rng.normal(size=(models, 3, 1))
        side = named(np.zeros((3, 1)), references, np.zeros((models, 3), bool)).outside
        _, variance = bavaria.normal_predictive(side, bavaria.fit_prior(side, bavaria.NORMAL_ALPHA))
        distance.append(float(np.abs(np.log(variance[:, 0] / own**2)).max()))
    assert distance[0] > distance[1] > distance[2]
    assert distance[2] < 0.1


@pytest.mark.parametrize("df", [0.7, 5.0, 68.0, 500.0])
@pytest.mark.parametrize("z", [-1e6, -1e3, -60.0, -3.0, 0.0, 2.0])
def test_student_log_cdf_is_the_integral_of_the_density(df: float, z: float) -> None:
    """In units of the density at z, over a length on which it decays, so that no tail is lost."""
    length = (df + z * z) / (df + 1) / max(abs(z), 1) if z < 0 else 1.0
    top = t.logpdf(z, df)
    area = quad(lambda u: math.exp(t.logpdf(z - u * length, df) - top), 0, np.inf, epsabs=0, epsrel=1e-10, limit=500)
    found = bavaria.student_log_cdf(np.array([z]), np.array([df]))
    np.testing.assert_allclose(found, top + math.log(area[0] * length), rtol=1e-8)


def test_student_log_cdf_ties_no_scores() -> None:
    z = np.sort(np.concatenate([-np.geomspace(1e-3, 1e7, 2000), np.geomspace(1e-3, 1e4, 2000)]))
    assert np.all(np.diff(bavaria.student_log_cdf(z, np.array(68.0))) > 0)


@pytest.mark.parametrize("attack", EVERY)
@pytest.mark.parametrize("share", [0.5, 0.0])
@pytest.mark.parametrize("height", [0.0, 1e3])
def test_references_that_agree_and_margins_of_a_thousand_stay_finite(
    attack: Attack, share: float, height: float
) -> None:
    models, samples = 128, 6
    is_in = np.arange(models)[:, None] < np.full(samples, share * models)
    everyone_agrees = np.full((models, samples, 1), height)
    one_agrees = np.random.default_rng(0).normal(height, 1, (models, samples, 1))
    one_agrees[:, 0] = height
    target = np.array([-1e3, -1.0, 0.0, 1.0, 40.0, 1e3])[:, None]
    for references in (everyone_agrees, one_agrees):
        scores = attack(named(target, references, is_in))
        assert np.isfinite(scores).all(), scores


@pytest.mark.parametrize("attack", [base.two_star, base.three])
def test_two_means_find_a_planted_leak_and_none_where_there_is_none(attack: Attack) -> None:
    assert auc(attack, world(8, 1.0, seed=12)) > 0.57
    assert auc(attack, world(4, 0.0, seed=11)) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("attack", [base.online, base.offline, base.two_star, base.three])
def test_base_refuses_records_that_lack_a_side(attack: Attack) -> None:
    is_in = np.array([[True, True, False], [True, False, False]])
    evidence = named(np.zeros((3, 1)), np.zeros((2, 3, 1)), is_in)
    side = "OUT" if attack is base.offline else "IN"
    with pytest.raises(InputError, match=rf"at least one {side} reference model a record, got none for 1 of 3"):
        attack(evidence)


@pytest.mark.parametrize("attack", BAVARIA)
@pytest.mark.parametrize(("in_count", "side", "found"), [(6, "OUT", 0), (5, "OUT", 1), (1, "IN", 1)])
def test_bavaria_refuses_a_side_it_cannot_fit(attack: Attack, in_count: int, side: str, found: int) -> None:
    is_in = (np.arange(6) < in_count).reshape(2, 3)
    with pytest.raises(InputError, match=rf"at least 2 {side} margins over all records .*, got {found}; train more"):
        attack(named(np.zeros((3, 1)), np.zeros((2, 3, 1)), is_in))


def world(per_side: int, leak: float, seed: int, online: bool = True) -> tuple[Evidence, NDArray[np.bool_]]:
    """4,000 records, hard ones and easy ones; a model's margin spreads by the record's own, and training adds `leak`.

    Offline, `per_side` models are OUT and none is IN. The second value is whether the target was trained on the record.
    """
    rng = np.random.default_rng(seed)
    samples, models = 4000, per_side * (1 + online)
    difficulty, spread = rng.normal(0, 3, samples), np.exp(rng.normal(0, 0.7, samples))
    is_in = rng.permuted(np.tile((np.arange(models) >= per_side)[:, None], samples), axis=0)
    is_member = rng.random(samples) < 0.5
    margin = difficulty + spread * (rng.normal(size=(models + 1, samples)) + leak * np.vstack([is_member, is_in]))
    return named(margin[0, :, None], margin[1:, :, None], is_in), is_member


def auc(attack: Attack, world: tuple[Evidence, NDArray[np.bool_]]) -> float:
    return roc.auc(roc.curve(attack(world[0]), world[1]))


def per_record(evidence: Evidence) -> Floats:
    """LiRA online with each record's own variance, over n, and no prior."""
    sides = evidence.inside, evidence.outside
    log = [norm.logpdf(evidence.target, s.mean, np.sqrt(s.squares / s.count[:, None])).sum(axis=1) for s in sides]
    difference: Floats = log[0] - log[1]
    return difference


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("attack", EVERY)
def test_no_leak_has_auc_one_half(attack: Attack, online: bool) -> None:
    evidence, is_member = world(4, 0.0, seed=11, online=online)
    m, n = is_member.sum(), (~is_member).sum()
    error = math.sqrt((m + n + 1) / (12 * m * n))
    assert auc(attack, (evidence, is_member)) == pytest.approx(0.5, abs=4 * error)


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("attack", EVERY)
def test_a_planted_leak_is_found(attack: Attack, online: bool) -> None:
    assert auc(attack, world(8, 1.0, seed=12, online=online)) > 0.57


@pytest.mark.parametrize("attack", BAVARIA)
def test_bavaria_beats_variance_per_record_with_few_models(attack: Attack) -> None:
    """Of records that differ in difficulty and in spread, 4 IN and 4 OUT models each."""
    for seed in range(3):
        few = world(4, 1.0, seed)
        assert auc(attack, few) >= auc(per_record, few)
        tpr = [roc.tpr_at(roc.curve(a(few[0]), few[1]), 0.01) for a in (attack, per_record)]
        assert tpr[0] >= tpr[1]
