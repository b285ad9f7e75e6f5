"""Train the model under audit on its members, or take in a trained one.

Reads: data/population/, data/membership/target.parquet, data/network.json, data/model.json; for an estimator and for a
trained model, which are queried here too, also data/attacker/.
Writes: models/target/, data/learning/target.parquet (one row an epoch).
"""

from __future__ import annotations

from mia import paths
from mia.audits import given
from mia.compute import tasks, workers
from mia.data import stored_records
from mia.data.membership import MEMBERSHIP
from mia.models import building, checkpoints, lessons, networks, outlook, snapshots, training
from mia.models.learning import LEARNING
from mia.params import Params
from mia.store import parquet
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    door = params.audit.door
    if door == "answers":
        given.train_target()
    elif door == "model":
        from mia.audits import brought

        brought.train_target(paths.MODEL, params)
    elif door == "estimator":
        from mia.audits import fitted

        fitted.train_target(params)
    else:
        network(params)


def network(params: Params) -> None:
    """Train a network."""
    recipe = params.audit.recipe
    population = stored_records.load(paths.POPULATION)
    lesson = lessons.lesson_of(params.seed, parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP))
    tasks.settle()
    data = population.images, population.labels, len(population.classes)
    networks.declared(paths.NETWORK, recipe.architecture, recipe.initial)
    network = recipe.architecture, population.images.shape[1:], len(population.classes)
    if networks.is_other(recipe.architecture):
        from mia.models import network_checks

        network_checks.check(recipe, population)
    else:
        building.check(*network)
    outlook.say(outlook.target(str(params.audit.path), recipe, *network[1:], lesson))
    (trained,) = training.train(*data, recipe, workers.snapshot_folder(), [lesson])
    checkpoints.save(paths.TARGET_MODEL, [(trained.description, trained.weights)])
    parquet.write(paths.TARGET_LEARNING, trained.learning, LEARNING)
    snapshots.clear([trained.snapshot])


if __name__ == "__main__":
    run(main)
