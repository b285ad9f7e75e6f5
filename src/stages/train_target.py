"""Train the model under audit on its members.

Reads: data/population/, data/membership/target.parquet.
Writes: models/target/, data/learning/target.parquet (one row an epoch).
"""

from __future__ import annotations

import sys

from mia import checkpoints, datasets, paths, precision, snapshots, tables, training, workers
from mia.params import Params
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    recipe = training.Recipe(**dict(params.target.of(params.data.dataset)))
    population = datasets.load(paths.POPULATION)
    lesson = training.lesson(params.seed, tables.read(paths.TARGET_MEMBERSHIP, tables.MEMBERSHIP))
    workers.settle()
    data = population.images, population.labels, len(population.classes)
    if said := precision.warning(recipe, population.images.shape[1:], len(population.classes), params.data.dataset):
        print(said, file=sys.stderr)
    (trained,) = training.train(*data, recipe, workers.kept(), [lesson])
    checkpoints.save(paths.TARGET_MODEL, [(trained.description, trained.weights)])
    tables.write(paths.TARGET_LEARNING, trained.learning, tables.LEARNING)
    snapshots.clear([trained.snapshot])


if __name__ == "__main__":
    run(main)
