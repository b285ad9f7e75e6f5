"""Membership: drawn apart for every model, halves are halves, and no twin stands on the other side of a line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from mia import seeds
from mia.data import splits
from mia.errors import InputError
from mia.evaluation import roc

Bools = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def rng_of(number: int) -> np.random.Generator:
    return seeds.generator(7, "test", number)


def shadow(
    group: np.ndarray[tuple[int], np.dtype[np.int64]], index: int, sizes: tuple[int, int] = (6, 3)
) -> tuple[set[int], set[int]]:
    every = np.arange(len(group))
    train, heldout = splits.draw_shadow(
        group, every, every, index=index, train_size=sizes[0], heldout_size=sizes[1], rng_of=rng_of
    )
    return set(train.tolist()), set(heldout.tolist())


@given(st.integers(2, 300), st.integers(0, 2**32))
def test_half_of_distinct_records_are_members(count: int, seed: int) -> None:
    member = splits.draw_half(np.arange(count), np.random.default_rng(seed))
    assert member.sum() == count // 2


@given(st.lists(st.integers(0, 8), min_size=4, max_size=60), st.integers(0, 2**32))
def test_a_group_of_twins_is_never_cut(groups: list[int], seed: int) -> None:
    group = np.array(groups)
    member = splits.draw_half(group, np.random.default_rng(seed))
    assert not splits.crossing_twins(group, member).any()
    assert member.sum() <= len(group) // 2


def test_every_record_is_a_member_half_of_the_time() -> None:
    counts = sum(splits.draw_half(np.arange(101), rng_of(j)).astype(int) for j in range(2000))
    assert np.abs(np.asarray(counts) / 2000 - 50 / 101).max() < 0.05  # 4.5 standard deviations


def test_a_nonmember_twin_of_a_member_is_found() -> None:
    group, member = np.array([0, 1, 1, 3, 3]), np.array([True, True, False, False, False])
    assert splits.crossing_twins(group, member).tolist() == [False, False, True, False, False]


def test_shadows_share_no_record_while_the_pool_allows() -> None:
    group = np.arange(30)  # three shadows of nine fit
    drawn = [shadow(group, index) for index in range(3)]
    records = [train | heldout for train, heldout in drawn]
    assert sum(map(len, records)) == len(set().union(*records)) == 27
    again = shadow(group, 3)  # the fourth opens a second permutation
    assert again[0] not in [train for train, _ in drawn]


def test_published_pools_are_kept_apart() -> None:
    train_pool, heldout_pool = np.arange(20), np.arange(20, 30)
    for index in range(5):
        train, heldout = splits.draw_shadow(
            np.arange(30), train_pool, heldout_pool, index=index, train_size=6, heldout_size=3, rng_of=rng_of
        )
        assert set(train) <= set(train_pool)
        assert set(heldout) <= set(heldout_pool)
        assert (len(train), len(heldout)) == (6, 3)


@given(st.data())
def test_no_heldout_record_is_a_twin_of_a_training_record(data: st.DataObject) -> None:
    """Pools as CIFAKE's: pairs of byte-identical files, many across the published line."""
    pairs = data.draw(st.integers(0, 10))
    group = np.arange(40)
    group[30 : 30 + min(pairs, 10)] = np.arange(min(pairs, 10))  # a twin in the other pool
    for index in range(3):
        train, heldout = splits.draw_shadow(
            group, np.arange(30), np.arange(30, 40), index=index, train_size=10, heldout_size=3, rng_of=rng_of
        )
        assert not set(group[train]) & set(group[heldout])
        assert (len(set(train)), len(set(heldout))) == (10, 3)


def test_exchanging_twins_leaves_the_heldout_parts_disjoint() -> None:
    group = np.arange(40)
    group[30:36] = np.arange(6)
    heldout = [
        splits.draw_shadow(
            group, np.arange(30), np.arange(30, 40), index=index, train_size=10, heldout_size=3, rng_of=rng_of
        )[1]
        for index in range(3)
    ]
    assert len(set(np.concatenate(heldout))) == 9


def test_twins_that_no_exchange_can_part_are_refused() -> None:
    group = np.zeros(9, np.int64)
    with pytest.raises(InputError, match="byte-identical to a record its shadow is trained on"):
        shadow(group, 0)


def test_a_pool_too_small_is_refused_with_the_numbers() -> None:
    with pytest.raises(
        InputError, match=r"train_size \+ heldout_size = 6 \+ 3 records, but the attacker holds 8 to train"
    ):
        shadow(np.arange(8), 0)


def test_streams_of_randomness_depend_on_seed_purpose_and_number_alone() -> None:
    draws = {
        (seed, purpose, number): seeds.integer(seed, purpose, number)
        for seed in range(3)
        for purpose in ("initial weights", "training order")
        for number in range(50)
    }
    assert len(set(draws.values())) == len(draws)
    assert draws[1, "training order", 3] == seeds.integer(1, "training order", 3)


# -- the population design -------------------------------------------------------------------------------------------


def shadow_rows(count: int, group: np.ndarray[tuple[int], np.dtype[np.int64]], seed: int = 7) -> Bools:
    """The shadows' membership, (models, samples), drawn as `train_shadows` draws it."""

    def stream(number: int) -> np.random.Generator:
        return seeds.generator(seed, "shadow records", number)

    return np.stack([splits.draw_shadow_half(group, index=index, rng_of=stream) for index in range(count)])


@given(st.integers(1, 6), st.integers(2, 100), st.integers(0, 2**31))
def test_every_record_is_in_exactly_half_of_an_even_number_of_shadows(pairs: int, samples: int, seed: int) -> None:
    rows = shadow_rows(2 * pairs, np.arange(samples), seed)
    assert (rows.sum(axis=0) == pairs).all()
    assert (rows[0::2] == ~rows[1::2]).all()  # partners are complements
    assert (rows[0::2].sum(axis=1) == samples // 2).all()


def test_a_shadows_half_depends_on_its_number_alone() -> None:
    few, many = shadow_rows(4, np.arange(50)), shadow_rows(10, np.arange(50))
    np.testing.assert_array_equal(few, many[:4])
    assert len({row.tobytes() for row in many}) == 10
    asked: list[int] = []

    def stream(number: int) -> np.random.Generator:
        asked.append(number)
        return rng_of(number)

    splits.draw_shadow_half(np.arange(50), index=7, rng_of=stream)
    assert asked == [3]


@given(st.lists(st.integers(0, 8), min_size=4, max_size=60), st.integers(0, 9))
def test_twins_are_together_in_every_shadow(groups: list[int], index: int) -> None:
    group = np.array(groups)
    member = splits.draw_shadow_half(group, index=index, rng_of=rng_of)
    assert not splits.crossing_twins(group, member).any()
    assert not splits.crossing_twins(group, ~member).any()


def auc(score: np.ndarray[tuple[int, ...], np.dtype[np.float64]], member: Bools) -> float:
    return roc.auc(roc.curve(score, member))


def statistics(rows: Bools, member: Bools) -> dict[str, float]:
    """The AUC of statistics of the shadows' rows (models, samples), learned ones asked about records held out."""
    records = rows.T.astype(np.float64)
    found = {f"shadow {number}": auc(row.astype(np.float64), member) for number, row in enumerate(rows)}
    if np.ptp(rows.sum(axis=0)):
        found["shadows that hold the record"] = auc(-rows.sum(axis=0).astype(np.float64), member)
    for learner in (LogisticRegression(), KNeighborsClassifier(25)):
        score = cross_val_predict(learner, records, member, cv=5, method="predict_proba")[:, 1]
        found[type(learner).__name__] = auc(score, member)
    return found


SAMPLES = 898  # the population of the digits experiment
BAND = 4 * np.sqrt((SAMPLES + 1) / (12 * (SAMPLES / 2) ** 2))  # four standard errors of an AUC that says nothing


@pytest.mark.parametrize("seed", [20170522, 1, 2])
def test_no_statistic_of_the_shadows_rows_ranks_the_targets_members(seed: int) -> None:
    """No attack may find members by the design alone. Streams are those of the stages `split` and `train_shadows`."""
    member = splits.draw_half(np.arange(SAMPLES), seeds.generator(seed, "target membership"))
    rows = shadow_rows(16, np.arange(SAMPLES), seed)
    assert np.ptp(rows.sum(axis=0)) == 0  # counting says nothing
    for name, found in statistics(rows, member).items():
        assert abs(found - 0.5) < BAND, (name, found)


@pytest.mark.statistics
def test_over_many_seeds_the_targets_members_are_as_often_in_a_shadow_as_the_sampling_says() -> None:
    """One draw may be unlucky; a stream that another leans on is so in all. Any function of six shadows' rows counts.

    It is one of the three bits that name a record's halves, so the shares of members in the eight patterns are all
    that there is to know. Summed over seeds, chi-squared.
    """
    total = 0.0
    for seed in range(200):
        member = splits.draw_half(np.arange(SAMPLES), seeds.generator(seed, "target membership"))
        pattern = np.array([1, 2, 4]) @ shadow_rows(6, np.arange(SAMPLES), seed)[0::2]
        counts = np.array([np.bincount(pattern[member == side], minlength=8) for side in (True, False)])
        total += chi2_contingency(counts).statistic
    assert 0.001 < chi2.sf(total, 7 * 200) < 0.999


@pytest.mark.parametrize("others", [slice(1, 16), slice(2, 16)])
def test_a_target_that_is_a_row_of_the_shadows_design_is_given_away_by_counting(others: slice) -> None:
    """The fault that the test above would see; and that without the target's partner nothing gives it away."""
    rows = shadow_rows(16, np.arange(SAMPLES))
    found = statistics(rows[others], rows[0])
    if others.start == 1:
        assert found["shadows that hold the record"] == 1
        assert found["shadow 0"] == 0  # its partner holds what it lacks
        assert found["LogisticRegression"] == 1
    else:
        assert max(abs(one - 0.5) for one in found.values()) < BAND


def test_a_shadows_members_are_asked_about_and_never_fitted_on() -> None:
    is_member = np.random.default_rng(0).random(101) < 0.4
    fitted_rows, unseen = splits.split_nonmembers(is_member, np.random.default_rng(1))
    assert not is_member[fitted_rows].any()
    assert sorted([*fitted_rows, *unseen]) == list(range(101))
    assert abs(len(fitted_rows) - (~is_member[unseen]).sum()) <= 1
    assert (np.diff(fitted_rows) > 0).all()
    assert (np.diff(unseen) > 0).all()
