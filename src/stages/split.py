"""Decide which records of the population the target is trained on.

Reads: the records of data/population/ and of data/attacker/; of a trained model its file and the user's code.
Writes: data/membership/target.parquet (model_id, source, sample_id, is_member); data/network.json, the digest of the
architecture's file, on which all that builds the network depends (for models that are no networks: of what they depend
on, mia.audits.fitted and given); data/model.json, the digest of a trained model that the user brings, and of the
records of its queries (mia.audits.brought).

What a shadow is trained on is drawn by `train_shadows` for its own block: it depends on the shadow's number alone, and
one table for all shadows would change, and retrain them all, whenever a block is added.
"""

from __future__ import annotations

import numpy as np

from mia import paths, seeds
from mia.audits import brought, fitted, given
from mia.data import splits, stored_records
from mia.data.membership import MEMBERSHIP, membership_table
from mia.errors import InputError
from mia.models import networks
from mia.params import Params
from mia.store import parquet
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    records = stored_records.load_records(paths.POPULATION)
    if params.audit.data.split == "published":
        is_member = records["published_train"].to_numpy(bool)
    else:
        is_member = splits.draw_half(records["group"].to_numpy(), seeds.generator(params.seed, "target membership"))
    if min(is_member.sum(), (~is_member).sum()) < 2:
        raise InputError(
            f"data: an audit needs at least 2 members and 2 non-members, got {int(is_member.sum())} and "
            f"{int((~is_member).sum())}; give the population more records"
        )
    membership = membership_table(0, "population", np.flatnonzero(is_member), np.flatnonzero(~is_member))
    asked = [paths.POPULATION, paths.ATTACKER]
    brought.declare(paths.MODEL, params, asked)
    door = params.audit.shadows_door
    if door == "answers":
        given.declare()
    elif door == "estimator":
        fitted.declare(params, asked)
    else:
        recipe = params.audit.recipe
        networks.declare(paths.NETWORK, recipe.architecture, recipe.initial)
    parquet.write(paths.TARGET_MEMBERSHIP, membership, MEMBERSHIP)


if __name__ == "__main__":
    run(main)
