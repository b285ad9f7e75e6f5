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
from mia.data import stored_records
from mia.data.records import Records
from mia.errors import NotApplicable
from mia.models import networks
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.store import parquet
from stages import run

SHADOWS = 1  # shadows that play the target, for the threshold


def main(params: Params) -> None:
    """Run the stage."""
    margins = parquet.read_parts(paths.MARGINS, schemas.MARGINS)
    answers = evidence.gather(parquet.read_table(paths.TARGET_SIGNALS, SIGNALS), margins)
    tables = [pd.DataFrame({name: [] for name in schemas.QUANTILES.names})]
    if wanted(params.attacks.run, "quantile") and "attacker" in answers:
        try:
            tables = list(predictions(params, answers["attacker"]))
        except NotApplicable as error:
            print(f"fit_quantile: left out: {error}", file=sys.stderr)
    parquet.write(paths.QUANTILES, pd.concat(tables, ignore_index=True), schemas.QUANTILES)


def predictions(params: Params, answers: evidence.Answers) -> Iterator[pd.DataFrame]:
    """Predictions for the target, then for the first shadows; raises NotApplicable where records are too few.

    answers: about the attacker's records.
    """
    networks.declared(paths.NETWORK, params.audit.recipe.architecture)
    population, attacker = stored_records.load(paths.POPULATION), stored_records.load(paths.ATTACKER)
    assert answers.target is not None
    regressor = fitted(params, 0, attacker, np.arange(len(attacker)), answers.target[:, 0])
    yield regressor.table(0, "population", np.arange(len(population)), population.images, population.labels)
    for number in range(min(SHADOWS, len(answers.model_ids))):
        model_id = int(answers.model_ids[number])
        rng = seeds.generator(params.seed, "quantile records", model_id)
        rows, unseen = quantile.split_records(answers.is_in[number], rng)
        regressor = fitted(params, model_id, attacker, rows, answers.references[number, :, 0])
        yield regressor.table(model_id, "attacker", unseen, attacker.images, attacker.labels)


def fitted(params: Params, model_id: int, attacker: Records, rows: Integers, margins: Floats) -> quantile.Regressor:
    """A regressor of one model's margins, fitted on rows of the attacker's records."""
    settings = quantile.Settings(
        architecture=params.audit.recipe.architecture,
        n_classes=len(attacker.classes),
        **params.attacks.quantile.model_dump(),
        initial_seed=seeds.integer(params.seed, "quantile weights", model_id),
        order_seed=seeds.integer(params.seed, "quantile order", model_id),
    )
    name = f"quantiles of shadow {model_id}" if model_id else "quantiles of the target"
    return quantile.fit(settings, attacker.images[rows], attacker.labels[rows], margins[rows], name=name)


if __name__ == "__main__":
    run(main)
