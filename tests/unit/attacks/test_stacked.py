"""The stacked attack: what it sees is finite and the same of shadow and target, and it finds what the others find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mia import seeds
from mia.attacks import evidence, lira, reference, stacked
from mia.attacks.evidence import Answers, Evidence
from mia.evaluation import roc

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
CANDIDATES: dict[str, dict[str, Any]] = {
    "logistic_regression": {"C": 1.0, "max_iter": 1000},
    "hist_gradient_boosting": {"max_iter": 12, "learning_rate": 0.3, "min_samples_leaf": 100, "max_leaf_nodes": 8},
}
MODELS, SAMPLES, CLASSES = 8, 2000, 4
quick = settings(max_examples=40)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine threads that wait for each other take ten times as long as one that works."""
    with threadpool_limits(1):
        yield


def world(leak: float, seed: int, *, paired: bool) -> tuple[dict[str, Answers], Bools]:
    """Margins = difficulty + leak * member + noise, and the target's members. Half of the records are hard.

    paired: shadows are trained on complementary halves of the population. Else each on a share of half of the
    attacker's own.
    """
    rng = np.random.default_rng(seed)
    half = rng.permuted(np.tile(np.arange(SAMPLES) % 2 == 0, (MODELS // 2, 1)), axis=1)
    complements = np.stack([half, ~half], axis=1).reshape(MODELS, SAMPLES)
    member = rng.permutation(SAMPLES) < SAMPLES // 2

    def said(is_in: Bools, of_target: Bools) -> Answers:
        difficulty = rng.normal(1, 3, (SAMPLES, 1))
        return Answers(
            np.arange(1, MODELS + 1),
            difficulty + leak * of_target[:, None] + rng.normal(0, 1, (SAMPLES, 1)),
            difficulty + leak * is_in[:, :, None] + rng.normal(0, 1, (MODELS, SAMPLES, 1)),
            is_in,
            rng.integers(0, CLASSES, SAMPLES),
            design="paired" if paired else "apart",
        )

    nobody = np.zeros_like(complements)
    if paired:
        return {"population": said(complements, member)}, member
    slices = np.arange(SAMPLES) % (2 * MODELS) == np.arange(MODELS)[:, None]  # half of the records are held out
    return {"population": said(nobody, member), "attacker": said(slices, nobody[0])}, member


@cache
def attacked(leak: float, seed: int, paired: bool) -> tuple[Evidence, Bools, Floats, Floats, Bools]:
    """The target's evidence and membership, the attack's scores of it, and those of shadows with their membership."""
    answers, member = world(leak, seed, paired=paired)
    played = evidence.plays(answers, MODELS, 500, lambda number: seeds.generator(seed, "played", number))
    use_in = all(stacked.online(play.evidence) for play in played)
    assert use_in == paired
    described = [stacked.features(play.evidence, CLASSES, use_in=use_in) for play in played]
    known = np.concatenate([play.is_member for play in played])
    model, unseen, _ = stacked.fit(
        CANDIDATES,
        described[0][0],
        np.concatenate([values for _, values in described]),
        known,
        np.concatenate([np.full(len(play.rows), play.fold) for play in played]),
        seed,
        0.1,
    )
    target = answers["population"].of_target()
    assert not stacked.misled(target, [play.evidence for play in played])
    names, values = stacked.features(target, CLASSES, use_in=use_in)
    assert {one for one, _ in described} == {names}  # the same columns of every shadow and of the target
    values = values[:, [names.index(name) for name in model.feature_names]]
    return target, member, model.scores(values, target.labels), unseen, known


def auc(score: Floats, member: Bools) -> float:
    return roc.auc(roc.curve(score, member))


def band(member: Bools, width: float) -> float:
    """So many standard errors of the AUC of scores that say nothing."""
    sides = int(member.sum()), int((~member).sum())
    return width * float(np.sqrt((len(member) + 1) / (12 * sides[0] * sides[1])))


@pytest.mark.parametrize("paired", [True, False])
def test_members_of_hard_records_are_found_as_well_as_by_the_best_attack_that_has_references(paired: bool) -> None:
    target, member, score, unseen, known = attacked(2.0, 1, paired)
    plain = auc(target.target[:, 0], member)
    best = auc(lira.online(target, variance="pooled") if paired else reference.calibrated(target), member)
    assert plain < 0.72
    assert best > plain + 0.1
    assert auc(score, member) > best - 0.02
    assert auc(unseen, known) > best - 0.05  # references are fewer by one or two


@pytest.mark.parametrize("paired", [True, False])
def test_nothing_is_claimed_without_a_leak_of_the_target_nor_of_its_shadows(paired: bool) -> None:
    _, member, score, unseen, known = attacked(0.0, 1, paired)
    assert abs(auc(score, member) - 0.5) < band(member, 3.5)
    assert abs(auc(unseen, known) - 0.5) < band(known, 4.5)  # shadows share records: wider


# -- features --------------------------------------------------------------------------------------------------------


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """At least two references on each side of each record, margins up to a thousand times what a model gives."""
    n_models, n_samples, n_views = draw(st.integers(4, 7)), draw(st.integers(2, 9)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    is_in = rng.permuted(np.arange(n_models)[:, None] < rng.integers(2, n_models - 1, n_samples), axis=0)
    scale = draw(st.sampled_from([0.0, 1e-9, 1.0, 30.0, 1e4]))
    margins = rng.normal(0, 1, (n_models + 1, n_samples, n_views)) * scale + draw(st.sampled_from([-1e4, 0.0, 1e4]))
    return Evidence(margins[0], margins[1:], is_in, rng.integers(0, 3, n_samples))


@quick
@given(evidences())
def test_every_feature_is_a_number_however_extreme_the_margins_are(seen: Evidence) -> None:
    assert stacked.online(seen)
    for use_in in (False, True):
        names, values = stacked.features(seen, 3, use_in=use_in)
        assert values.shape == (len(seen), len(names))
        assert np.isfinite(values).all()
    assert len(set(names)) == len(names)


@quick
@given(evidences())
def test_a_record_that_no_reference_was_trained_on_gives_the_offline_features_alone(seen: Evidence) -> None:
    blind = replace(seen, blind=True)
    assert not stacked.online(blind)
    names, values = stacked.features(blind, 3, use_in=False)
    assert names == (
        *("margin", "difficulty", "calibrated", "spread", "tail", "ratio", "damped"),
        "class_0",
        "class_1",
        "class_2",
    )
    np.testing.assert_array_equal(values, stacked.features(seen, 3, use_in=False)[1])


def test_features_are_what_their_names_say() -> None:
    """One record and view, by hand: OUT margins 1 and 3, IN margins 5 and 9, the target's 4, a second record beside."""
    seen = Evidence(
        np.array([[4.0], [0.0]]),
        np.array([[[1.0], [0.0]], [[3.0], [0.0]], [[5.0], [0.0]], [[9.0], [0.0]]]),
        np.array([[False, False], [False, False], [True, True], [True, True]]),
        np.array([1, 0]),
    )
    names, values = stacked.features(seen, 2, use_in=True)
    got = dict(zip(names, np.sign(values[0]) * np.expm1(np.abs(values[0])), strict=True))
    out, inside = np.sqrt((2 + 4 * 1) / 5), np.sqrt((8 + 4 * 4) / 5)  # squares + 4 pooled variances, of 1 + 4
    p = 1 / (1 + np.exp(-np.array([4.0, 1.0, 3.0, 5.0, 9.0])))
    expected = {
        "margin": 4,
        "difficulty": 2,
        "calibrated": 2,
        "spread": np.log(out),
        "tail": 2 / out,
        "ratio": np.log(p[0] / p[1:3].mean()),
        "damped": np.log(p[0] / ((p[1:3].mean() + 1) / 2)),
        "gain": 5,
        "position": (4 - 4.5) * 5 / (out * inside),
        "likelihood": ((2 / out) ** 2 - (3 / inside) ** 2) / 2 - np.log(inside / out),
        "ratio_both": np.log(p[0] / (p[1:3].mean() + p[3:5].mean()) * 2),
    }
    assert {name: got[name] for name in expected} == pytest.approx(expected)
    assert names[len(expected) :] == ("class_0", "class_1")
    assert values[:, len(expected) :].tolist() == [[0, 1], [1, 0]]


def test_views_are_averaged() -> None:
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(5, 6, 3))
    is_in = np.repeat([[False], [False], [True], [True]], 6, axis=1)
    names, values = stacked.features(Evidence(margins[0], margins[1:], is_in, np.zeros(6, np.int64)), 1, use_in=True)
    calibrated = (margins[0] - margins[1:3].mean(axis=0)).mean(axis=1)
    found = values[:, names.index("calibrated")]
    np.testing.assert_allclose(np.sign(found) * np.expm1(np.abs(found)), calibrated)


def doubled(seen: Evidence) -> Evidence:
    return replace(
        seen,
        references=np.concatenate([seen.references] * 2),
        is_in=np.concatenate([seen.is_in] * 2),
    )


@quick
@given(evidences())
def test_twice_as_many_references_that_say_the_same_change_no_mean(seen: Evidence) -> None:
    """Numbers of references are no feature: what is left of them is the degrees of freedom of a spread."""
    names, before = stacked.features(seen, 3, use_in=True)
    _, after = stacked.features(doubled(seen), 3, use_in=True)
    for name, old, new in zip(names, before.T, after.T, strict=True):
        if name not in ("spread", "tail", "position", "likelihood"):  # all but the last in units of the first
            np.testing.assert_allclose(new, old, rtol=1e-6, atol=1e-6, err_msg=name)


def test_twice_as_many_references_change_no_feature_where_there_were_many() -> None:
    rng = np.random.default_rng(0)
    many = Evidence(
        rng.normal(size=(50, 1)),
        rng.normal(size=(400, 50, 1)),
        np.repeat(np.arange(400)[:, None] % 2 == 0, 50, axis=1),
        np.zeros(50, np.int64),
    )
    for use_in in (False, True):
        _, few = stacked.features(many, 3, use_in=use_in)
        np.testing.assert_allclose(stacked.features(doubled(many), 3, use_in=use_in)[1], few, atol=0.02)


def test_a_class_is_a_feature_up_to_a_hundred_of_them() -> None:
    seen = Evidence(np.zeros((3, 1)), np.ones((2, 3, 1)), np.zeros((2, 3), bool), np.array([0, 99, 5]))
    names, values = stacked.features(seen, 100, use_in=False)
    assert names[-100:] == tuple(f"class_{label}" for label in range(100))
    assert values[:, -100:].argmax(axis=1).tolist() == [0, 99, 5]
    assert values[:, -100:].sum() == 3
    names, values = stacked.features(seen, 101, use_in=False)
    assert not [name for name in names if name.startswith("class_")]
    assert values.shape == (3, 7)


# -- the choice of a classifier --------------------------------------------------------------------------------------


def records(seed: int = 0, count: int = 1200) -> tuple[Floats, Bools, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 2)), rng.random(count) < 0.5, np.arange(count) % 4


def test_shadows_scores_are_of_models_that_did_not_see_the_shadow() -> None:
    """Features that name the record and a classifier that learns them by heart: perfect in the sample, else nothing."""
    values, member, played = records()
    model, unseen, merits = stacked.fit(
        {"k_neighbors": {"n_neighbors": 1}}, ("a", "b"), values, member, played, 0, None
    )
    assert auc(model.scores(values, np.zeros(len(values), np.int64)), member) > 0.99  # the fault would look like this
    assert abs(auc(unseen, member) - 0.5) < band(member, 4)
    assert abs(merits["k_neighbors"]["auc"] - 0.5) < band(member, 4)


@pytest.mark.parametrize("turned", [False, True])
def test_the_candidate_that_does_better_on_unseen_shadows_is_taken(turned: bool) -> None:
    """Membership shows in one feature's size, not its sign: trees see it, a line does not. And the other way round."""
    values, _, played = records()
    rng = np.random.default_rng(5)
    for best, leaned in (
        ("hist_gradient_boosting", np.abs(values[:, 0]) - 0.67),
        ("logistic_regression", values @ [1, 1]),
    ):
        member = leaned + rng.normal(0, 0.5, len(values)) > 0
        order = reversed(CANDIDATES) if turned else CANDIDATES
        model, unseen, merits = stacked.fit(
            {family: CANDIDATES[family] for family in order}, ("a", "b"), values, member, played, 0, None
        )
        assert model.family == best == max(merits, key=lambda family: merits[family]["auc"])
        assert model.settings == CANDIDATES[best]
        assert set(merits) == set(CANDIDATES)
        by_shadow = [auc(unseen[played == one], member[played == one]) for one in range(4)]
        assert merits[best]["auc"] == pytest.approx(np.mean(by_shadow))


def test_the_same_seed_gives_the_same_scores() -> None:
    values, member, played = records()
    one, other = (stacked.fit(CANDIDATES, ("a", "b"), values, member, played, 3, 0.1)[1] for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("turned", [1, -1])
def test_an_input_that_is_better_on_unseen_shadows_than_every_candidate_is_the_attack(turned: int) -> None:
    """Classes that hide what one feature shows: the candidate of the fault knows the class alone."""
    rng = np.random.default_rng(0)
    played, member = np.arange(1200) % 4, rng.random(1200) < 0.5
    values = np.column_stack([rng.normal(size=1200) + 1.5 * turned * member, rng.normal(size=1200)])
    model, unseen, merits = stacked.fit({"dummy": {}}, ("damped", "class_0"), values, member, played, 0, 0.1)
    assert set(merits) == {"dummy", "damped"}
    if turned == 1:  # as an attack has it: higher is a member
        assert model.feature_names == ("damped",)
        score = model.scores(values[:, :1], np.zeros(1200, np.int64))
        assert (np.argsort(score, kind="stable") == np.argsort(values[:, 0], kind="stable")).all()
        assert auc(unseen, member) > 0.8
    else:
        assert model.family == "dummy"


def test_the_tpr_decides_where_two_have_the_same_auc() -> None:
    rng = np.random.default_rng(0)
    played, member = np.arange(8000) % 4, rng.random(8000) < 0.5
    sure = member & (rng.random(8000) < 0.3)  # three members of ten stand out, and nobody else
    values = np.column_stack([rng.normal(size=8000) + 0.6 * member, rng.normal(size=8000) + 9.0 * sure])
    for fpr, best in ((None, "margin"), (0.01, "damped")):
        model, _, merits = stacked.fit({"dummy": {}}, ("margin", "damped"), values, member, played, 0, fpr)
        assert merits["margin"]["auc"] > merits["damped"]["auc"]
        assert model.feature_names == (best,)


@pytest.mark.parametrize("harder", [0.0, -2.0])
def test_references_mislead_where_records_are_not_like_those_of_the_plays(harder: float) -> None:
    """Where the target's records are harder for every shadow, what it learned is not asked for."""
    answers, _ = world(2.0, 1, paired=False)
    played = evidence.plays(answers, MODELS, 500, lambda number: seeds.generator(1, "played", number))
    target = answers["population"].of_target()
    moved = replace(target, references=target.references + harder)
    assert stacked.misled(moved, [play.evidence for play in played]) == (harder != 0)


def test_the_cautious_score_is_the_smaller_rank_and_takes_one_where_there_is_one() -> None:
    target, member, *_ = attacked(2.0, 1, False)
    unlike = np.random.default_rng(0).normal(size=len(member)) + 1.5 * member
    both, alone = stacked.cautious(target, unlike), stacked.cautious(target, None)
    assert auc(both, member) > auc(alone, member)
    place = [np.searchsorted(np.sort(values), values) for values in (alone, unlike)]
    assert (np.searchsorted(np.sort(alone), both) <= np.maximum(*place) + 1).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_log_odds_keep_the_order_and_are_finite(probabilities: list[float]) -> None:
    p = np.sort(np.array(probabilities))
    odds = stacked.log_odds(p)
    assert np.isfinite(odds).all()
    assert (np.diff(odds) >= 0).all()


def test_one_reference_a_side_is_used_on_both_sides_and_spreads_are_a_nat() -> None:
    """Four shadows leave a shadow that plays the target one pair; without its IN side the attack was behind RMIA."""
    margins = np.array([[[2.0], [1.0]], [[5.0], [0.0]], [[1.0], [3.0]]])
    seen = Evidence(margins[0], margins[1:], np.array([[True, False], [False, True]]), np.zeros(2, np.int64))
    assert stacked.online(seen)
    names, values = stacked.features(seen, 1, use_in=True)
    found = dict(zip(names, values.T, strict=True))
    np.testing.assert_allclose(found["gain"], np.log1p([4.0, 3.0]))  # IN less OUT, by the signed logarithm
    np.testing.assert_allclose(found["spread"], 0)
    np.testing.assert_allclose(found["tail"], found["calibrated"])
