"""Query the shadow models of one block about every record of the population and of the attacker's own.

Reads: models/shadows/BLOCK/, data/network.json, data/population/, data/attacker/.
Writes: data/signals/shadows/BLOCK.parquet (logits, one row a model, record and view).
"""

from __future__ import annotations

from mia import paths
from mia.audits import given
from mia.compute import workers
from mia.data import stored_records
from mia.models import checkpoints, networks, query
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.store import parquet
from stages import run_block


def main(params: Params, block: int) -> None:
    """Run the stage for one block."""
    door = params.audit.shadows_door
    if door == "answers":
        given.query_shadows(params.audit, block)
        return
    if door in ("estimator", "elsewhere"):  # their answers stand with them
        from mia.audits import fitted

        fitted.query(paths.shadow_models(block), paths.shadow_signals(block))
        return
    records = {"population": stored_records.load(paths.POPULATION)}
    if params.attacker.knowledge != "population":  # there, both are the same records
        records["attacker"] = stored_records.load(paths.ATTACKER)
    folder = paths.shadow_models(block)
    stored = [checkpoints.read(folder, model_id, params.audit.code) for model_id in checkpoints.ids(folder)]
    for model in stored:
        networks.declared(paths.NETWORK, model.description.architecture)
    answers = workers.each(query.signals, (records, params.query.views), stored, name=f"block {block}", unit="model")
    with parquet.writer(paths.shadow_signals(block), SIGNALS) as add:
        for answer in answers:
            add(answer)


if __name__ == "__main__":
    run_block(main)
