"""Draw the records of one block of shadow models and train them as the target was trained.

Reads: data/attacker/ (where the attacker knows the population: the population's own records).
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
    attacker = datasets.load(paths.ATTACKER)
    source = "population" if params.attacker.knowledge == "population" else "attacker"
    per_block = params.shadow.of(params.data.dataset).per_block

    memberships, trained, learnings = [], [], []
    for index in range(block * per_block, (block + 1) * per_block):
        model_id = index + 1
        membership = splits.table(model_id, source, *draw(params, attacker, index))
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


def draw(params: Params, attacker: datasets.Records, index: int) -> tuple[splits.Rows, splits.Rows]:
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
