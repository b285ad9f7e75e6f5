"""Ask the shadow models of one block about the records they were trained on and those held out from them.

Reads: models/shadows/BLOCK/, data/attacker/, data/membership/shadows/BLOCK.parquet.
Writes: data/signals/shadows/BLOCK.parquet (logits, one row a model and record).
"""

from __future__ import annotations

import pyarrow as pa

from mia import checkpoints, datasets, paths, progress, query, tables
from mia.params import Params
from stages import run_block


def main(_: Params, block: int) -> None:
    """Run the stage for one block."""
    attacker = datasets.load(paths.ATTACKER)
    membership = tables.read(paths.shadow_membership(block), tables.MEMBERSHIP)
    answers = []
    for model_id in progress.bar(membership["model_id"].unique().tolist(), f"block {block}", unit="model"):
        model = checkpoints.load(paths.shadow_models(block), model_id)
        answers.append(query.signals(model, attacker, membership[membership["model_id"] == model_id]))
    tables.write(paths.shadow_signals(block), pa.concat_tables(answers), tables.SIGNALS)


if __name__ == "__main__":
    run_block(main)
