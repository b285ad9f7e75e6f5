"""Ask the target about every record of the population, and about the attacker's own, which it was not trained on.

Reads: models/target/, data/population/, data/attacker/.
Writes: data/signals/target.parquet (logits, one row a record and view).
"""

from __future__ import annotations

from mia import checkpoints, datasets, paths, query, tables, workers
from mia.params import Params
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    records = {"population": datasets.load(paths.POPULATION)}
    if params.attacker.knowledge != "population":  # there, both are the same records
        records["attacker"] = datasets.load(paths.ATTACKER)
    workers.settle()
    answers = query.signals(records, params.query.views, checkpoints.read(paths.TARGET_MODEL, 0))
    tables.write(paths.TARGET_SIGNALS, answers, tables.SIGNALS)


if __name__ == "__main__":
    run(main)
