"""Draw the records of one block of shadow models and train them as the target was trained.

Reads: data/attacker/.
Writes: data/membership/shadows/BLOCK.parquet, models/shadows/BLOCK/, data/learning/shadows/BLOCK.parquet.

Shadow k (from 1) draws its records, weights and order from its own number: it is the same model whatever the number of
blocks.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mia import checkpoints, datasets, paths, seeds, splits, tables, training
from mia.params import Params
from stages import run_block


def main(params: Params, block: int) -> None:
    """Run the stage for one block."""
    recipe = params.target.of(params.data.dataset)
    size = params.shadow.of(params.data.dataset)
    attacker = datasets.load(paths.ATTACKER)
    published, every = attacker.published_train, np.arange(len(attacker))

    memberships, trained, learnings = [], [], []
    for index in range(block * size.per_block, (block + 1) * size.per_block):
        members, nonmembers = splits.draw_shadow(
            attacker.group,
            np.flatnonzero(published) if published.any() else every,
            np.flatnonzero(~published) if published.any() else every,
            index=index,
            train_size=size.train_size,
            heldout_size=size.heldout_size,
            rng_of=lambda number: seeds.generator(params.seed, "shadow records", number),
        )
        model_id = index + 1
        membership = splits.table(model_id, "attacker", members, nonmembers)
        model, learning = training.train_member_model(
            model_id,
            attacker.images,
            attacker.labels,
            membership,
            n_classes=len(attacker.classes),
            initial_seed=seeds.integer(params.seed, "initial weights", model_id),
            order_seed=seeds.integer(params.seed, "training order", model_id),
            **dict(recipe),
        )
        memberships.append(membership)
        trained.append(model)
        learnings.append(learning)
    tables.write(paths.shadow_membership(block), pd.concat(memberships, ignore_index=True), tables.MEMBERSHIP)
    checkpoints.save(paths.shadow_models(block), trained)
    tables.write(paths.shadow_learning(block), pd.concat(learnings, ignore_index=True), tables.LEARNING)


if __name__ == "__main__":
    run_block(main)
