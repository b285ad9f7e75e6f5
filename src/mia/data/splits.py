"""Who is a member of which model. Every draw keeps byte-identical records on one side of the line.

Membership is a table keyed by (model_id, source, sample_id), never "the first half"; model 0 is the target.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mia.arrays import Bools, Integers
from mia.errors import InputError


def draw_half(group: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Membership of half of the records, drawn group by group, shape (samples,).

    group: equal for byte-identical records. Exactly floor(n / 2) members where no group is larger than one; otherwise
    as many as whole groups in random order reach without going over.
    """
    _, inverse, sizes = np.unique(group, return_inverse=True, return_counts=True)
    order = rng.permutation(len(sizes))
    reached = np.cumsum(sizes[order])
    member = np.zeros(len(sizes), bool)
    member[order[reached <= len(group) // 2]] = True
    return member[inverse]


def draw_shadow_half(
    group: NDArray[np.int64], *, index: int, rng_of: Callable[[int], np.random.Generator]
) -> NDArray[np.bool_]:
    """Membership of shadow `index` (from 0) in the population design, shape (samples,).

    Shadows 2j and 2j + 1 split permutation j, so that among an even number of shadows every record is a member of
    exactly half, and a shadow's half depends on its index alone. rng_of(j) is the generator of permutation j.
    """
    return draw_half(group, rng_of(index // 2)) ^ (index % 2 == 1)


def crossing_twins(group: NDArray[np.int64], is_member: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Non-members that are byte-identical to a member, shape (samples,): the model was trained on them after all."""
    return ~is_member & np.isin(group, group[is_member])


def split_nonmembers(is_member: Bools, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Rows to fit on and rows to ask about, rising, where a shadow stands in the target's place.

    is_member: (samples,), of the shadow. Half of its non-members, drawn by rng, are fitted on; the other half and its
    members are asked about.
    """
    fitted, unseen = np.array_split(rng.permutation(np.flatnonzero(~is_member)), 2)
    return np.sort(fitted), np.sort(np.r_[np.flatnonzero(is_member), unseen])


def shadow_records(
    group: NDArray[np.int64],
    published_train: NDArray[np.bool_] | None,
    *,
    paired: bool,
    index: int,
    train_size: int,
    heldout_size: int,
    rng_of: Callable[[int], np.random.Generator],
) -> tuple[Integers, Integers]:
    """Rows that shadow `index` (from 0) is trained on, and rows held out from it, of the attacker's records.

    paired: the population design of `draw_shadow_half`, where sizes do not count; else `draw_shadow`, which trains on
    the published training split and holds out from the rest where there is one.
    """
    if paired:
        is_member = draw_shadow_half(group, index=index, rng_of=rng_of)
        return np.flatnonzero(is_member), np.flatnonzero(~is_member)
    every = np.arange(len(group))
    return draw_shadow(
        group,
        every if published_train is None else np.flatnonzero(published_train),
        every if published_train is None else np.flatnonzero(~published_train),
        index=index,
        train_size=train_size,
        heldout_size=heldout_size,
        rng_of=rng_of,
    )


def draw_shadow(
    group: NDArray[np.int64],
    train_pool: Integers,
    heldout_pool: Integers,
    *,
    index: int,
    train_size: int,
    heldout_size: int,
    rng_of: Callable[[int], np.random.Generator],
) -> tuple[Integers, Integers]:
    """Rows that shadow `index` (from 0) is trained on, and rows held out from it, sorted.

    A permutation of the pools is cut into m slices, m as many as fit, and shadows m*j to m*j + m - 1 take one slice
    each of permutation j: shadows share as few records as the pools allow, and a shadow's records depend on its
    index, the pools and the sizes alone. Where a slice's held-out part holds a byte-identical twin of its training
    part, it is exchanged with a record of another slice.

    train_pool and heldout_pool are either disjoint (published training and test split) or one and the same set.
    rng_of(j) is the generator of permutation j. Raises InputError where the pools are too small.
    """
    if np.array_equal(train_pool, heldout_pool):
        slices = len(train_pool) // (train_size + heldout_size)
        order = rng_of(index // max(1, slices)).permutation(train_pool)
        train, rest = np.split(order, [slices * train_size])
    else:
        slices = min(len(train_pool) // train_size, len(heldout_pool) // heldout_size)
        rng = rng_of(index // max(1, slices))
        train, rest = rng.permutation(train_pool)[: slices * train_size], rng.permutation(heldout_pool)
    if slices == 0:
        raise InputError(
            f"params.yaml: shadow: a shadow takes train_size + heldout_size = {train_size} + {heldout_size} records, "
            f"but the attacker holds {len(train_pool)} to train on and {len(heldout_pool)} to hold out; "
            "lower the sizes or give the attacker more data"
        )
    mine = index % slices
    train_of = train.reshape(slices, train_size)
    heldout_of = _without_twins(group, train_of, rest, heldout_size)
    return np.sort(train_of[mine]), np.sort(heldout_of[mine])


def _without_twins(group: NDArray[np.int64], train_of: Integers, rest: Integers, heldout_size: int) -> Integers:
    """Deal `rest` into rows of held-out records, none a twin of its own slice's training records.

    train_of: (slices, train_size). Returns (slices, heldout_size). Records beyond the last slice are spares. Raises
    InputError where no exchange is possible.
    """
    slices = len(train_of)
    dealt = rest.copy()
    slot = np.arange(len(rest)) // heldout_size  # >= slices: a spare
    trained = [set(group[rows].tolist()) for rows in train_of]

    def clash(record: int, its_slot: int) -> bool:
        return its_slot < slices and int(group[record]) in trained[its_slot]

    for place in range(slices * heldout_size):
        if not clash(dealt[place], slot[place]):
            continue
        for other in np.r_[place + 1 : len(dealt), 0:place]:
            if not clash(dealt[other], slot[place]) and not clash(dealt[place], slot[other]):
                dealt[place], dealt[other] = dealt[other], dealt[place]
                break
        else:
            raise InputError(
                "data: a held-out record is byte-identical to a record its shadow is trained on, and no other record "
                "can take its place; remove the duplicates from the attacker's data or lower shadow heldout_size"
            )
    return dealt[: slices * heldout_size].reshape(slices, heldout_size)
