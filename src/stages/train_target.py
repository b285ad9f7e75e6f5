"""Train the model under audit on its members.

Reads: data/population/, data/membership/target.parquet.
Writes: models/target/, data/learning/target.parquet (one row an epoch).
"""

from __future__ import annotations

from mia import checkpoints, datasets, paths, seeds, tables, training
from mia.params import Params
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    recipe = params.target.of(params.data.dataset)
    population = datasets.load(paths.POPULATION)
    membership = tables.read(paths.TARGET_MEMBERSHIP, tables.MEMBERSHIP)
    trained, learning = training.train_member_model(
        0,
        population.images,
        population.labels,
        membership,
        n_classes=len(population.classes),
        initial_seed=seeds.integer(params.seed, "initial weights", 0),
        order_seed=seeds.integer(params.seed, "training order", 0),
        **dict(recipe),
    )
    checkpoints.save(paths.TARGET_MODEL, [trained])
    tables.write(paths.TARGET_LEARNING, learning, tables.LEARNING)


if __name__ == "__main__":
    run(main)
