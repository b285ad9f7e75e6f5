"""Ask the shadow models of one block about every record of the population and of the attacker's own.

Reads: models/shadows/BLOCK/, data/population/, data/attacker/.
Writes: data/signals/shadows/BLOCK.parquet (logits, one row a model, record and view).
"""

from __future__ import annotations

import pyarrow as pa

from mia import checkpoints, datasets, paths, progress, query, tables
from mia.params import Params
from stages import run_block


def main(params: Params, block: int) -> None:
    """Run the stage for one block."""
    records = {"population": datasets.load(paths.POPULATION)}
    if params.attacker.knowledge != "population":  # there, both are the same records
        records["attacker"] = datasets.load(paths.ATTACKER)
    folder = paths.shadow_models(block)
    answers = [
        query.signals(checkpoints.load(folder, model_id), model_id, records, params.query.views)
        for model_id in progress.bar(checkpoints.ids(folder), f"block {block}", unit="model")
    ]
    tables.write(paths.shadow_signals(block), pa.concat_tables(answers), tables.SIGNALS)


if __name__ == "__main__":
    run_block(main)
