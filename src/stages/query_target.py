"""Ask the target about every record of the population.

Reads: models/target/, data/population/, data/membership/target.parquet (which records are asked about, not their side).
Writes: data/signals/target.parquet (logits, one row a record).
"""

from __future__ import annotations

from mia import checkpoints, datasets, paths, query, tables
from mia.params import Params
from stages import run


def main(_: Params) -> None:
    """Run the stage."""
    population = datasets.load(paths.POPULATION)
    asked = tables.read(paths.TARGET_MEMBERSHIP, tables.MEMBERSHIP)
    model = checkpoints.load(paths.TARGET_MODEL, 0)
    tables.write(paths.TARGET_SIGNALS, query.signals(model, population, asked), tables.SIGNALS)


if __name__ == "__main__":
    run(main)
