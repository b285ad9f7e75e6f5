"""Draw the records of one block of shadow models and train them as the target was trained.

Reads: data/attacker/ (where the attacker knows the population: the population's own records), data/network.json.
Writes: data/membership/shadows/BLOCK.parquet, models/shadows/BLOCK/, data/learning/shadows/BLOCK.parquet.

Shadow k (from 1) draws its records, weights and order from its own number: it is the same model whatever the number of
blocks.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import pandas as pd

from mia import paths, seeds
from mia.arrays import Integers
from mia.compute import workers
from mia.data import splits
from mia.data.membership import MEMBERSHIP, membership_table
from mia.models import building, checkpoints, lessons, networks, precision, snapshots, training
from mia.models.learning import LEARNING
from mia.params import Params
from mia.store import parquet, stored_records
from stages import run_block


def main(params: Params, block: int) -> None:
    """Run the stage for one block."""
    recipe = params.target.of(params.data.dataset)
    size = params.shadow.of(params.data.dataset)
    attacker = stored_records.load(paths.ATTACKER)
    networks.declared(paths.NETWORK, recipe.architecture)
    network = recipe.architecture, attacker.images.shape[1:], len(attacker.classes)
    building.check(*network)
    said = precision.warning(recipe, attacker.images.shape[1:], len(attacker.classes), params.data.dataset)
    if said and "MIA_RAY_ADDRESS" not in os.environ:  # the cluster's processors are others
        print(said, file=sys.stderr)
    source = "population" if params.attacker.knowledge == "population" else "attacker"

    memberships = [
        membership_table(index + 1, source, *draw(params, attacker, index))
        for index in range(block * size.per_block, (block + 1) * size.per_block)
    ]
    taught = [lessons.lesson_of(params.seed, membership) for membership in memberships]
    groups = list(
        workers.spread(
            training.train,
            (attacker.images, attacker.labels, len(attacker.classes), recipe, workers.snapshot_folder()),
            lessons.together(
                taught, recipe, size.together, compares=building.compares_records(building.outline(*network))
            ),
            name=f"block {block}",
            unit="group" if size.together > 1 else "model",
        )
    )
    trained = [one for group in groups for one in group]
    parquet.write(paths.shadow_membership(block), pd.concat(memberships, ignore_index=True), MEMBERSHIP)
    checkpoints.save(paths.shadow_models(block), [(one.description, one.weights) for one in trained])
    learning = pd.concat([one.learning for one in trained], ignore_index=True)
    parquet.write(paths.shadow_learning(block), learning, LEARNING)
    snapshots.clear(one.snapshot for one in trained)


def draw(params: Params, attacker: stored_records.Records, index: int) -> tuple[Integers, Integers]:
    """Rows that shadow `index` is trained on, and rows held out from it."""

    def rng_of(number: int) -> np.random.Generator:
        return seeds.generator(params.seed, "shadow records", number)

    if params.attacker.knowledge == "population":
        is_member = splits.draw_shadow_half(attacker.group, index=index, rng_of=rng_of)
        return np.flatnonzero(is_member), np.flatnonzero(~is_member)
    size = params.shadow.of(params.data.dataset)
    published, every = attacker.published_train, np.arange(len(attacker))
    return splits.draw_shadow(
        attacker.group,
        np.flatnonzero(published) if published.any() else every,
        np.flatnonzero(~published) if published.any() else every,
        index=index,
        train_size=size.train_size,
        heldout_size=size.heldout_size,
        rng_of=rng_of,
    )


if __name__ == "__main__":
    run_block(main)
