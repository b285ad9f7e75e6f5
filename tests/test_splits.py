"""Membership: drawn apart for every model, halves are halves, and no twin stands on the other side of a line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mia import seeds, splits
from mia.errors import InputError


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


@settings(deadline=None)
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
