"""Attacks that read references: against slow twins from the papers, what they promise, worlds of known answer."""

import math
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mia.attacks import lira, reference, rmia
from mia.attacks.evidence import Evidence
from mia.errors import InputError
from mia.evaluation import roc

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Attack = Callable[[Evidence], Floats]
GAMMAS = [0.5, 1.0, 2.0, 8.0]
VARIANCES: list[lira.Variance] = ["auto", "record", "pooled"]
ATTACKS: dict[str, Attack] = {
    "population": reference.population,
    "reference": reference.reference,
    "calibrated": reference.calibrated,
    "lira_online_record": lambda e: lira.online(e, variance="record"),
    "lira_online_pooled": lambda e: lira.online(e, variance="pooled"),
    "lira_offline_record": lambda e: lira.offline(e, variance="record"),
    "lira_offline_pooled": lambda e: lira.offline(e, variance="pooled"),
    "rmia_online": lambda e: rmia.online(e, gamma=2.0),
    "rmia_offline": lambda e: rmia.offline(e, gamma=2.0, a=0.3),
}
OFFLINE = [name for name in ATTACKS if "online" not in name]
WITH_REFERENCES = [name for name in ATTACKS if name != "population"]
on_every_attack = pytest.mark.parametrize("name", ATTACKS)
quick = settings(max_examples=40)


@st.composite
def evidences(draw: st.DrawFn, ties: bool = False, balanced: bool | None = None) -> Evidence:
    """Records of unequal difficulty, at least two models on each side of each; ties: margins are whole numbers."""
    n_models, n_samples, n_views = draw(st.integers(4, 8)), draw(st.integers(3, 12)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if draw(st.booleans()) if balanced is None else balanced:
        n_in = np.full(n_samples, n_models // 2)
    else:
        n_in = rng.integers(2, n_models - 1, n_samples)
    is_in = rng.permuted(np.arange(n_models)[:, None] < n_in, axis=0)
    difficulty = rng.normal(0, 3, (n_samples, 1))
    references = difficulty + rng.normal(0, 1, (n_models, n_samples, n_views)) + is_in[:, :, None]
    target = difficulty + rng.normal(0, 2, (n_samples, n_views))
    if ties:
        references, target = references.round(), target.round()
    return Evidence(target, references, is_in, rng.integers(0, 3, n_samples))


def world(leak: float, seed: int = 0, n_models: int = 16, n_samples: int = 3000) -> tuple[Evidence, Bools]:
    """Hard records: margins = difficulty + leak * member + noise, models 2j and 2j + 1 on complementary halves."""
    rng = np.random.default_rng(seed)
    half = rng.permuted(np.tile(np.arange(n_samples) % 2 == 0, (n_models // 2, 1)), axis=1)
    is_in = np.stack([half, ~half], axis=1).reshape(n_models, n_samples)
    is_member = rng.permutation(n_samples) < n_samples // 2
    difficulty = rng.normal(1, 4, (n_samples, 1))
    references = difficulty + leak * is_in[:, :, None] + rng.normal(0, 1, (n_models, n_samples, 2))
    target = difficulty + leak * is_member[:, None] + rng.normal(0, 1, (n_samples, 2))
    return Evidence(target, references, is_in, np.zeros(n_samples, np.int64)), is_member


def auc(scores: Floats, is_member: Bools) -> float:
    return roc.auc(roc.curve(scores, is_member))


def subset(evidence: Evidence, models: Sequence[int] | slice, samples: Sequence[int] | slice = slice(None)) -> Evidence:
    return Evidence(
        evidence.target[samples],
        evidence.references[models][:, samples],
        evidence.is_in[models][:, samples],
        evidence.labels[samples],
    )


def first_view(evidence: Evidence) -> Evidence:
    return replace(evidence, target=evidence.target[:, :1], references=evidence.references[:, :, :1])


def sides(n_in: list[int], n_models: int = 4) -> Evidence:
    """References that all agree; record x is IN for the first n_in[x] of them."""
    is_in = np.arange(n_models)[:, None] < np.array(n_in)
    shape = n_models, len(n_in), 1
    return Evidence(np.zeros(shape[1:]), np.ones(shape), is_in, np.zeros(len(n_in), np.int64))


# Slow twins, one record at a time, in plain Python.


def side_twin(evidence: Evidence, x: int, view: int, inside: bool) -> list[float]:
    models = zip(evidence.references[:, x, view].tolist(), evidence.is_in[:, x].tolist(), strict=True)
    return [margin for margin, is_in in models if is_in == inside]


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def loss(margin: float) -> float:
    return math.log1p(math.exp(-margin))


def posterior(margin: float) -> float:
    return 1 / (1 + math.exp(-margin))


def squash(d: float) -> float:
    return (1 + d / (1 + abs(d))) / 2


def population_twin(evidence: Evidence) -> list[Fraction]:
    losses = [loss(margin) for margin in evidence.target[:, 0].tolist()]
    twice = [sum(2 * (other > own) + (other == own) for other in losses) for own in losses]
    return [Fraction(count, 2 * len(losses)) for count in twice]


def reference_share_twin(evidence: Evidence, x: int) -> tuple[int, int]:
    own = loss(float(evidence.target[x, 0]))
    losses = [loss(margin) for margin in side_twin(evidence, x, 0, False)]
    return sum(other >= own for other in losses), len(losses)


def reference_twin(evidence: Evidence) -> list[float]:
    scores = []
    for x in range(len(evidence)):
        count, K = reference_share_twin(evidence, x)
        d = float(evidence.target[x, 0]) - mean(side_twin(evidence, x, 0, False))
        scores.append((count + squash(d)) / (K + 1))
    return scores


def calibrated_twin(evidence: Evidence) -> list[float]:
    rows = [
        [float(t) - mean(side_twin(evidence, x, view, False)) for view, t in enumerate(evidence.target[x])]
        for x in range(len(evidence))
    ]
    return [mean(row) for row in rows]


def squares_twin(values: list[float]) -> float:
    return math.fsum((value - mean(values)) ** 2 for value in values)


def variance_twin(evidence: Evidence, x: int, view: int, inside: bool, variance: str) -> float:
    sides = [side_twin(evidence, record, view, inside) for record in range(len(evidence))]
    if variance == "auto":
        variance = "record" if min(len(side) for side in sides) >= 16 else "pooled"
    chosen = sides if variance == "pooled" else [sides[x]]
    value = math.fsum(squares_twin(side) for side in chosen) / sum(len(side) - 1 for side in chosen)
    return max(value, 1e-6)


def log_normal_twin(t: float, mu: float, s2: float) -> float:
    return -math.log(math.sqrt(2 * math.pi * s2)) - (t - mu) ** 2 / (2 * s2)


def log_phi_twin(z: float) -> float:
    if z < -25:  # beyond what erfc can hold soon; the asymptotic series is right to 1e-11 here
        series = 1 - 1 / z**2 + 3 / z**4 - 15 / z**6 + 105 / z**8
        return -(z**2) / 2 - math.log(-z * math.sqrt(2 * math.pi)) + math.log(series)
    if z > 0:
        return math.log1p(-math.erfc(z / math.sqrt(2)) / 2)
    return math.log(math.erfc(-z / math.sqrt(2)) / 2)


def lira_twin(evidence: Evidence, variance: str, online: bool) -> list[float]:
    scores = []
    for x in range(len(evidence)):
        terms = []
        for view, t in enumerate(evidence.target[x].tolist()):
            out = mean(side_twin(evidence, x, view, False)), variance_twin(evidence, x, view, False, variance)
            if online:
                into = mean(side_twin(evidence, x, view, True)), variance_twin(evidence, x, view, True, variance)
                terms.append(log_normal_twin(t, *into) - log_normal_twin(t, *out))
            else:
                terms.append(log_phi_twin((t - out[0]) / math.sqrt(out[1])))
        scores.append(math.fsum(terms))
    return scores


def ratio_twin(evidence: Evidence, x: int, view: int, a: float | None) -> float:
    """a: offline; None: online."""
    p_out = mean([posterior(margin) for margin in side_twin(evidence, x, view, False)])
    if a is None:
        p_bar = (mean([posterior(margin) for margin in side_twin(evidence, x, view, True)]) + p_out) / 2
    else:
        p_bar = ((1 + a) * p_out + (1 - a)) / 2
    return posterior(float(evidence.target[x, view])) / p_bar


def rmia_counts_twin(evidence: Evidence, gamma: float, a: float | None) -> list[int]:
    """The z that are dominated by at least half of x's views, one vote after another."""
    views, records = range(evidence.target.shape[1]), range(len(evidence))
    ratio = [[ratio_twin(evidence, x, view, a) for view in views] for x in records]
    return [
        sum(2 * sum(ratio[x][view] / ratio[z][0] >= gamma for view in views) >= len(views) for z in records)
        for x in records
    ]


def rmia_scores(evidence: Evidence, gamma: float, a: float | None) -> Floats:
    return rmia.online(evidence, gamma=gamma) if a is None else rmia.offline(evidence, gamma=gamma, a=a)


def deciding_log_ratios(evidence: Evidence, a: float | None) -> list[float]:
    """The highest log ratio that at least half of the views reach."""
    V = evidence.target.shape[1]
    rows = [[math.log(ratio_twin(evidence, x, view, a)) for view in range(V)] for x in range(len(evidence))]
    return [max(r for r in row if 2 * sum(other >= r for other in row) >= V) for row in rows]


@quick
@given(evidences() | evidences(ties=True))
def test_population_is_the_share_of_larger_losses(evidence: Evidence) -> None:
    assert reference.population(evidence).tolist() == pytest.approx([float(s) for s in population_twin(evidence)])


@quick
@given(evidences() | evidences(ties=True))
def test_reference_and_calibrated_match_their_twins(evidence: Evidence) -> None:
    np.testing.assert_allclose(reference.reference(evidence), reference_twin(evidence), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(reference.calibrated(evidence), calibrated_twin(evidence), rtol=1e-9, atol=1e-9)


@quick
@given(evidences(ties=True))
def test_reference_never_contradicts_the_share(evidence: Evidence) -> None:
    """Among records with as many OUT models; and every score stands beside its own share."""
    scores = reference.reference(evidence)
    shares = [reference_share_twin(evidence, x) for x in range(len(evidence))]
    for score, (count, K) in zip(scores, shares, strict=True):
        assert 0 < score < 1
        assert abs(score - count / K) < 1 / (K + 1) + 1e-12
        assert all(other > score for other, (c, k) in zip(scores, shares, strict=True) if k == K and c > count)


@quick
@given(evidences(), st.sampled_from(VARIANCES))
def test_lira_matches_its_twin(evidence: Evidence, variance: lira.Variance) -> None:
    for found, is_online in [(lira.online, True), (lira.offline, False)]:
        expected = lira_twin(evidence, variance, is_online)
        np.testing.assert_allclose(found(evidence, variance=variance), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("n_models", "n_in"), [(32, 16), (32, 17), (32, 15), (31, 16), (4, 2)])
def test_lira_auto_decides_for_each_side_by_its_least_count(n_models: int, n_in: int) -> None:
    """One record with one IN model less than the others: 16 must hold for it too."""
    evidence = subset(world(1.0, n_models=32, n_samples=6)[0], slice(n_models))
    is_in = np.arange(n_models)[:, None] < np.array([n_in + 1] * 5 + [n_in])
    evidence = replace(evidence, is_in=is_in)
    for found, is_online in [(lira.online, True), (lira.offline, False)]:
        np.testing.assert_allclose(found(evidence, variance="auto"), lira_twin(evidence, "auto", is_online), rtol=1e-9)
    one_a_record = [len(lira.side_variance(side, "", "auto")) == 6 for side in (evidence.inside, evidence.outside)]
    assert one_a_record == [n_in >= 16, n_models - n_in - 1 >= 16]


@pytest.mark.parametrize("variance", VARIANCES)
def test_lira_bounds_the_variance_of_references_that_agree(variance: lira.Variance) -> None:
    assert (lira.side_variance(sides([2, 2, 2]).outside, "OUT", variance) == 1e-6).all()


@quick
@given(evidences(), st.sampled_from(GAMMAS), st.sampled_from([None, 0.0, 0.3, 1.0]))
def test_rmia_counts_and_scores_match_the_twin(evidence: Evidence, gamma: float, a: float | None) -> None:
    counts = rmia_counts_twin(evidence, gamma, a)
    fractions = [squash(r) for r in deciding_log_ratios(evidence, a)]
    expected = [(c + f) / (len(evidence) + 1) for c, f in zip(counts, fractions, strict=True)]
    scores = rmia_scores(evidence, gamma, a)
    np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-9)
    assert np.floor(scores * (len(evidence) + 1)).tolist() == counts


@quick
@given(evidences(), st.sampled_from([None, 0.0, 0.7, 1.0]))
def test_rmia_ranks_as_the_log_ratio_for_every_gamma(evidence: Evidence, a: float | None) -> None:
    order = np.argsort(deciding_log_ratios(evidence, a))
    for gamma in [*GAMMAS, 1e-6, 1e6]:  # the last two: every z is dominated, or none
        scores = rmia_scores(evidence, gamma, a)
        assert np.argsort(scores).tolist() == order.tolist()
        assert len(np.unique(scores)) == len(scores)
        assert scores.min() > 0
        assert scores.max() < 1


def test_rmia_vote_of_two_views_needs_one() -> None:
    """Half of two views is one: the better view decides; of three, the middle one."""
    evidence, _ = world(1.0, n_samples=50)
    worse = replace(evidence, target=np.stack([evidence.target[:, 0], evidence.target[:, 0] - 50], axis=1))
    assert (rmia.online(worse, gamma=1.0) == rmia.online(first_view(worse), gamma=1.0)).all()


@on_every_attack
@quick
@given(evidence=evidences(), seed=st.integers(0, 2**32))
def test_the_order_of_models_and_records_does_not_matter(name: str, evidence: Evidence, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = ATTACKS[name](evidence)
    assert scores.dtype == np.float64
    assert scores.shape == (len(evidence),)
    models = rng.permutation(len(evidence.references)).tolist()
    np.testing.assert_allclose(ATTACKS[name](subset(evidence, models)), scores, rtol=1e-9, atol=1e-9)
    samples = rng.permutation(len(evidence)).tolist()
    moved = ATTACKS[name](subset(evidence, slice(None), samples))
    np.testing.assert_allclose(moved, scores[samples], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", OFFLINE)
@quick
@given(evidence=evidences())
def test_offline_attacks_rise_with_the_margin_and_never_read_an_in_model(name: str, evidence: Evidence) -> None:
    """Minus the log density of LiRA would fall from the left up to the OUT mean."""
    evidence = first_view(evidence)  # with more, a record is its own z in view 0 alone, and may cease to beat itself
    x, mu = 0, evidence.outside.mean[0]
    scores = []
    for step in np.linspace(-5, 5, 21):
        target = evidence.target.copy()
        target[x] = mu + step * np.sqrt(lira.side_variance(evidence.outside, "OUT", "record"))[0]
        scores.append(ATTACKS[name](replace(evidence, target=target))[x])
    rises = np.diff(scores)
    assert (rises >= 0).all()
    assert name == "population" or (rises > 0).all()

    other_in = np.where(evidence.is_in[:, :, None], -evidence.references + 7, evidence.references)
    assert (ATTACKS[name](replace(evidence, references=other_in)) == ATTACKS[name](evidence)).all()


@on_every_attack
def test_extreme_and_equal_margins_give_finite_scores(name: str) -> None:
    """References that all agree have no spread; margins of 1e3 have posteriors of 1 and of 0 in float64."""
    rng = np.random.default_rng(0)
    is_in = rng.permuted(np.arange(6)[:, None] < np.full(40, 3), axis=0)
    for _ in range(20):
        target, references = rng.choice([-1e3, 0.0, 1e3], (40, 2)), rng.choice([-1e3, 0.0, 1e3], (6, 40, 2))
        references[:, :20] = references[0, :20]
        assert np.isfinite(ATTACKS[name](Evidence(target, references, is_in, np.zeros(40, np.int64)))).all()


@pytest.mark.parametrize("name", WITH_REFERENCES)
def test_hard_records_are_told_from_non_members(name: str) -> None:
    """A leak of 1.5 nats under a difficulty that spreads by 4: references tell what the margin alone cannot."""
    evidence, is_member = world(1.5)
    plain = auc(evidence.target[:, 0], is_member)
    assert plain == pytest.approx(0.60, abs=0.03)
    assert auc(ATTACKS[name](evidence), is_member) > plain + 0.1
    assert auc(reference.population(evidence), is_member) == plain


def test_online_lira_is_the_best_where_its_model_is_true() -> None:
    """Two views of unit noise: Phi(leak / sigma) with sigma = 1, a little less for references that are few."""
    evidence, is_member = world(1.5, n_models=64)
    expected = (1 + math.erf(1.5 / math.sqrt(2))) / 2
    assert auc(lira.online(evidence, variance="pooled"), is_member) == pytest.approx(expected, abs=0.02)


@on_every_attack
def test_without_a_leak_no_attack_beats_a_coin(name: str) -> None:
    evidence, is_member = world(0.0, seed=1)
    n = len(evidence)
    error = math.sqrt((n + 1) / (12 * (n / 2) ** 2))  # of the Mann-Whitney share, members and non-members alike
    assert abs(auc(ATTACKS[name](evidence), is_member) - 0.5) < 4 * error


def shadows_in_the_targets_place(evidence: Evidence, count: int) -> tuple[list[Evidence], list[Bools]]:
    others = [[m for m in range(len(evidence.references)) if m != k] for k in range(count)]
    shadows = [
        replace(subset(evidence, rest), target=evidence.references[k])
        for k, rest in zip(range(count), others, strict=True)
    ]
    return shadows, [evidence.is_in[k] for k in range(count)]


@pytest.mark.parametrize(("leak", "scale"), [(0.5, 1.0), (4.0, 0.5), (6.0, 0.2)])
def test_choose_a_is_the_best_of_the_grid_on_shadows(leak: float, scale: float) -> None:
    grid = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    evidence, _ = world(leak, n_samples=400)
    shadows, memberships = shadows_in_the_targets_place(replace(evidence, references=evidence.references * scale), 3)
    means = [
        mean([auc(rmia.offline(e, gamma=2.0, a=a), m) for e, m in zip(shadows, memberships, strict=True)]) for a in grid
    ]
    assert rmia.choose_a(shadows, memberships) == grid[int(np.argmax(means))]


def test_choose_a_takes_the_lowest_of_equals() -> None:
    """One OUT mean for all records: every a ranks them as the target's margin does."""
    rng = np.random.default_rng(0)
    evidence = Evidence(rng.normal(size=(9, 1)), np.ones((4, 9, 1)), np.zeros((4, 9), bool), np.zeros(9, np.int64))
    assert rmia.choose_a([evidence], [np.arange(9) < 4]) == 0.0


def test_memory_does_not_grow_with_the_number_of_models() -> None:
    peaks = []
    for n_models in (40, 160):
        evidence, _ = world(1.0, n_models=n_models, n_samples=1000)
        tracemalloc.start()
        for attack in ATTACKS.values():
            attack(evidence)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2 * 120 * 1000  # bytes: booleans of who was IN, not margins


@pytest.mark.parametrize(
    ("attack", "evidence", "message"),
    [
        (
            reference.reference,
            sides([2, 4, 4]),
            "for every record, a model that was not trained on it, got none for 2 of 3 records",
        ),
        (reference.calibrated, sides([4]), "got none for 1 of 1 records"),
        (ATTACKS["rmia_online"], sides([2, 0]), "an IN model for every record, got none for 1 of 2"),
        (ATTACKS["rmia_online"], sides([2, 4]), "an OUT model for every record, got none for 1 of 2"),
        (ATTACKS["rmia_offline"], sides([4, 4]), "an OUT model for every record, got none for 2 of 2"),
        (
            ATTACKS["lira_online_pooled"],
            sides([2, 0]),
            "pooled needs at least 1 IN models a record, got 0 for record 1",
        ),
        (ATTACKS["lira_offline_pooled"], sides([2, 4]), "at least 1 OUT models a record, got 0 for record 1"),
        (ATTACKS["lira_online_pooled"], sides([1, 1]), "a record with at least 2 IN models, got 1 for each"),
        (
            ATTACKS["lira_online_record"],
            sides([2, 1]),
            "record needs at least 2 IN models a record, got 1 for record 1",
        ),
        (ATTACKS["lira_offline_record"], sides([0, 3]), "at least 2 OUT models a record, got 1 for record 1"),
        (lambda e: lira.offline(e, variance="all"), sides([2]), "one of auto, record, pooled, got 'all'"),  # type: ignore[arg-type]
        (lambda e: rmia.online(e, gamma=0.0), sides([2]), "gamma: expected a number above 0, got 0.0"),
        (lambda e: rmia.online(e, gamma=math.nan), sides([2]), "gamma: .* got nan"),
        (lambda e: rmia.offline(e, gamma=1.0, a=1.1), sides([2]), r"a: expected a number in \[0, 1\], got 1.1"),
        (lambda e: np.array(rmia.choose_a([], [])), sides([2]), "at least one shadow, got 0 shadows and 0"),
        (lambda e: np.array(rmia.choose_a([e], [])), sides([2]), "got 1 shadows and 0 memberships"),
    ],
)
def test_missing_models_and_bad_options_are_refused(attack: Attack, evidence: Evidence, message: str) -> None:
    with pytest.raises(InputError, match=message):
        attack(evidence)


def test_offline_attacks_need_no_in_model() -> None:
    evidence, _ = world(1.0, n_samples=20)
    alone = replace(evidence, is_in=np.zeros_like(evidence.is_in))
    for name in OFFLINE:
        assert np.isfinite(ATTACKS[name](alone)).all()
