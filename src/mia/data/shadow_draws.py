"""What each shadow is trained on, for every attacker: the design of those that are trained here and of a plan."""

from __future__ import annotations

import functools

import pandas as pd

from mia import seeds
from mia.arrays import Bools, Integers
from mia.data import splits
from mia.data.membership import membership_table
from mia.errors import InputError
from mia.params import Params


def drawn(params: Params, group: Integers, published_train: Bools | None, index: int) -> pd.DataFrame:
    """What shadow `index` (from 0) is trained on, of the attacker's records (MEMBERSHIP); its model_id is index + 1.

    group, published_train: (samples,), of the attacker's records, as in `mia.data.records.Records`.
    Raises InputError where the attacker holds too few records, or the audit does not say how many a shadow takes.
    """
    paired = params.attacker.knowledge == "population"  # then sizes do not count
    if params.audit.shadow is None and not paired:
        raise InputError(
            f"{params.audit.place('shadow')}: expected values, as for attacker.knowledge={params.attacker.knowledge} "
            "train_size and heldout_size say what a shadow takes, got null; write target and shadow"
        )
    sizes = (0, 0) if paired else (params.audit.sizes.train_size, params.audit.sizes.heldout_size)
    members, nonmembers = splits.shadow_records(
        group,
        published_train,
        paired=paired,
        index=index,
        train_size=sizes[0],
        heldout_size=sizes[1],
        rng_of=functools.partial(seeds.generator, params.seed, "shadow records"),
    )
    return membership_table(index + 1, "population" if paired else "attacker", members, nonmembers)
