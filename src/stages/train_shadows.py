"""Draw the records of one block of shadow models and train them as the target was trained.

Reads: data/attacker/ (where the attacker knows the population: the population's own records), data/network.json; where
shadows were trained elsewhere, their answers instead (mia.audits.elsewhere, data/given.json).
Writes: data/membership/shadows/BLOCK.parquet, models/shadows/BLOCK/, data/learning/shadows/BLOCK.parquet.

Shadow k (from 1) draws its records, weights and order from its own number: it is the same model whatever the number of
blocks.
"""

from __future__ import annotations

import pandas as pd

from mia import paths
from mia.audits import given
from mia.compute import workers
from mia.data import shadow_draws, stored_records
from mia.data.membership import MEMBERSHIP
from mia.data.records import Records
from mia.models import building, checkpoints, lessons, networks, outlook, snapshots, training
from mia.models.learning import LEARNING
from mia.params import Params
from mia.store import parquet
from stages import run_block


def main(params: Params, block: int) -> None:
    """Run the stage for one block."""
    door = params.audit.shadows_door
    if door == "answers":
        given.train_shadows(params.audit, block)
        return
    if door == "elsewhere":
        from mia.audits import elsewhere

        elsewhere.train_shadows(paths.GIVEN, params, block)
        return
    size = params.audit.sizes
    attacker = stored_records.load(paths.ATTACKER)
    memberships = [
        shadow_draws.drawn(params, attacker.group, attacker.published_train, index)
        for index in range(block * size.per_block, (block + 1) * size.per_block)
    ]
    if door == "estimator":
        from mia.audits import fitted

        fitted.train_shadows(params, block, memberships)
    else:
        networks_of(params, block, attacker, memberships)
    parquet.write(paths.shadow_membership(block), pd.concat(memberships, ignore_index=True), MEMBERSHIP)


def networks_of(params: Params, block: int, attacker: Records, memberships: list[pd.DataFrame]) -> None:
    """Train one block of networks."""
    recipe, size = params.audit.shadow_recipe, params.audit.sizes
    networks.declared(paths.NETWORK, recipe.architecture, recipe.initial)
    network = recipe.architecture, attacker.images.shape[1:], len(attacker.classes)
    building.check(*network)

    together = size.together
    if together > 1 and networks.is_other(recipe.architecture):
        from mia.models import network_checks

        together = network_checks.together(*network, together)
    each = [lessons.lesson_of(params.seed, membership) for membership in memberships]
    name = f"block {block}, {len(each)} shadows"
    outlook.say(outlook.shadows(name, str(params.audit.path), recipe, *network[1:], each, together))
    groups = lessons.together(
        each,
        recipe,
        together,
        compares=building.compares_records(building.outline(*network)),
    )
    shared = attacker.images, attacker.labels, len(attacker.classes), recipe, workers.snapshot_folder()
    unit = "group" if together > 1 else "model"
    code = params.audit.code if networks.is_own(recipe.architecture) or recipe.initial else None
    trained_groups = workers.spread(training.train, shared, groups, name=f"block {block}", unit=unit, folder=code)
    trained = [model for group in trained_groups for model in group]
    checkpoints.save(paths.shadow_models(block), [(model.description, model.weights) for model in trained])
    learning = pd.concat([model.learning for model in trained], ignore_index=True)
    parquet.write(paths.shadow_learning(block), learning, LEARNING)
    snapshots.clear(model.snapshot for model in trained)


if __name__ == "__main__":
    run_block(main)
