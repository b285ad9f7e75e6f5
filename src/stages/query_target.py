"""Query the target about every record of the population, and about the attacker's own, which are non-members.

Reads: models/target/, data/network.json, data/population/, data/attacker/.
Writes: data/signals/target.parquet (logits, one row a record and view).
"""

from __future__ import annotations

from mia import paths
from mia.audits import given
from mia.compute import tasks
from mia.data import stored_records
from mia.models import checkpoints, networks, query
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.store import parquet
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    door = params.audit.door
    if door == "answers":
        given.query_target(params.audit)
        return
    if door in ("estimator", "model"):
        from mia.audits import fitted

        fitted.query(paths.TARGET_MODEL, paths.TARGET_SIGNALS)
        return
    records = {"population": stored_records.load(paths.POPULATION)}
    if params.attacker.knowledge != "population":  # there, both are the same records
        records["attacker"] = stored_records.load(paths.ATTACKER)
    tasks.settle()
    stored = checkpoints.read(paths.TARGET_MODEL, 0, params.audit.code)
    networks.declared(paths.NETWORK, stored.description.architecture)
    answers = query.signals(records, params.query.views, None, stored)
    parquet.write(paths.TARGET_SIGNALS, answers, SIGNALS)


if __name__ == "__main__":
    run(main)
