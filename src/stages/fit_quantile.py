"""Learn how sure the target is of records that it was not trained on, from the attacker's own.

Reads: data/population/, data/attacker/, data/network.json, data/signals/target.parquet, data/margins.parquet.
Writes: data/quantiles.parquet (mean and deviation of the margin that each record would have as a non-member): for the
target, of the population; for the first shadows in the target's place, of their members and of half of the attacker's
other records, from the other half. Empty where the attacker holds no record that is surely outside the training set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd

from mia import paths, seeds
from mia.arrays import Floats, Integers
from mia.attacks import evidence, quantile, schemas
from mia.catalogue import wanted
from mia.compute import workers
from mia.data import stored_records
from mia.data.records import Records
from mia.errors import NotApplicable
from mia.models import networks
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.store import parquet
from stages import run

SHADOWS = 1  # shadows that play the target, for the threshold
SECONDS = 20_000_000  # pixels seen in fitting, for which the CNN takes a core some 15 seconds


def main(params: Params) -> None:
    """Run the stage."""
    margins = parquet.read_parts(paths.MARGINS, schemas.MARGINS)
    answers = evidence.gather(parquet.read_table(paths.TARGET_SIGNALS, SIGNALS), margins)
    tables = [pd.DataFrame({name: [] for name in schemas.QUANTILES.names})]
    if wanted(params.attacks.run, "quantile") and "attacker" in answers and params.audit.shadows_door == "network":
        networks.declared(paths.NETWORK, params.audit.recipe.architecture)
        population, attacker = stored_records.load(paths.POPULATION), stored_records.load(paths.ATTACKER)
        shared = population.images, population.labels, attacker.images, attacker.labels
        work = list(tasks(params, population, attacker, answers["attacker"]))
        seen = sum(len(task.fitted) for task in work) * params.attacks.quantile.epochs * attacker.images[0].size
        brief = seen < SECONDS
        try:
            tables = list(
                workers.spread(quantile.learned, shared, work, name="quantiles", unit="model", takes_seconds=brief)
            )
        except NotApplicable as error:
            print(f"fit_quantile: left out: {error}", file=sys.stderr)
    parquet.write(paths.QUANTILES, pd.concat(tables, ignore_index=True), schemas.QUANTILES)


def tasks(params: Params, population: Records, attacker: Records, answers: evidence.Answers) -> Iterator[quantile.Task]:
    """What is to be learned of the target, then of the first shadows.

    answers: about the attacker's records.
    """
    assert answers.target is not None
    everyone = np.arange(len(attacker))
    yield task(params, 0, attacker, everyone, answers.target[:, 0], "population", np.arange(len(population)))
    for number in range(min(SHADOWS, len(answers.model_ids))):
        model_id = int(answers.model_ids[number])
        rng = seeds.generator(params.seed, "quantile records", model_id)
        fitted, unseen = quantile.split_records(answers.is_in[number], rng)
        yield task(params, model_id, attacker, fitted, answers.references[number, :, 0], "attacker", unseen)


def task(
    params: Params,
    model_id: int,
    attacker: Records,
    fitted: Integers,
    margins: Floats,
    source: str,
    predicted: Integers,
) -> quantile.Task:
    """One model's task. margins: of all the attacker's records; the others as in quantile.Task."""
    settings = quantile.Settings(
        architecture=params.audit.recipe.architecture,
        n_classes=len(attacker.classes),
        **params.attacks.quantile.model_dump(),
        initial_seed=seeds.integer(params.seed, "quantile weights", model_id),
        order_seed=seeds.integer(params.seed, "quantile order", model_id),
    )
    name = f"quantiles of shadow {model_id}" if model_id else "quantiles of the target"
    return quantile.Task(settings, model_id, fitted, margins[fitted], source, predicted, name)


if __name__ == "__main__":
    run(main)
