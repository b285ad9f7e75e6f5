"""Query the shadow models of one block about every record of the population and of the attacker's own.

Reads: models/shadows/BLOCK/, data/network.json, data/population/, data/attacker/; data/membership/shadows/BLOCK.parquet
(whose records' logits are kept).
Writes: data/signals/shadows/BLOCK.parquet (logits, one row a model, record and view; where a block's logits would take
more than 4 GiB, margins and predicted classes, and logits of 60,000 records alone: mia.models.short_answers).
"""

from __future__ import annotations

import numpy as np

from mia import paths, seeds
from mia.audits import given
from mia.compute import workers
from mia.data import stored_records
from mia.data.membership import MEMBERSHIP
from mia.models import checkpoints, networks, query, short_answers
from mia.models.logits import SIGNALS
from mia.models.short_answers import KEPT, SHORT, Short
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
    views, seed = params.query.views, params.seed
    short = shortened(seed, block) if short_answers.needed(records, views, len(stored)) else None
    code = params.audit.code if networks.is_own(stored[0].description.architecture) else None
    shared = records, views, short
    answers = workers.each(query.signals, shared, stored, name=f"block {block}", unit="model", folder=code)
    with parquet.writer(paths.shadow_signals(block), SHORT if short else SIGNALS) as add:
        for answer in answers:
            add(answer)


def shortened(seed: int, block: int) -> Short:
    """How a block's answers are made short: logits are kept of records that `build_features` draws first."""
    from mia.attacks import features, signals  # here: few blocks are so large, and it takes .2 s to import

    membership = parquet.read(paths.shadow_membership(block), MEMBERSHIP)
    (source,) = membership["source"].unique().tolist()
    model_ids = membership["model_id"].unique().tolist()
    kept = {}
    for model_id in model_ids:
        known = np.sort(membership.loc[membership["model_id"] == model_id, "sample_id"].to_numpy(np.int64))
        rng = seeds.generator(seed, "attack features", model_id)
        kept[model_id] = known[features.drawn(len(known), KEPT // len(model_ids), rng)]
    return Short(signals.log_odds, source, kept)


if __name__ == "__main__":
    run_block(main)
