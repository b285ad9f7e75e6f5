"""Learn how sure the target is of records that it was not trained on, from the attacker's own.

Reads: data/population/, data/attacker/, data/signals/target.parquet, data/margins.parquet.
Writes: data/quantiles.parquet (mean and deviation of the margin that each record would have as a non-member): for the
target, of the population; for the first shadows in the target's place, of their members and of half of the attacker's
other records, from the other half. Empty where the attacker holds no record that is surely outside the training set,
and where records are neither images nor rows of a table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from mia import paths, seeds
from mia.attacks import evidence, image_features, quantile, schemas, table_features
from mia.catalogue import wanted
from mia.data import splits, stored_records
from mia.data.records import Records
from mia.errors import NotApplicable
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.store import parquet
from stages import run

SHADOWS = 1  # shadows that play the target, for the threshold


def main(params: Params) -> None:
    """Run the stage."""
    margins = parquet.read_parts(paths.MARGINS, schemas.MARGINS)
    answers = evidence.gather(parquet.read_table(paths.TARGET_SIGNALS, SIGNALS), margins)
    predicted = [pd.DataFrame({name: [] for name in schemas.QUANTILES.names})]
    if wanted(params.attacks.run, "quantile") and "attacker" in answers and _are_shown(paths.POPULATION):
        try:
            predicted = list(tables(params, answers["attacker"]))
        except NotApplicable as error:
            print(f"fit_quantile: left out: {error}", file=sys.stderr)
    parquet.write(paths.QUANTILES, pd.concat(predicted, ignore_index=True), schemas.QUANTILES)


def tables(params: Params, answers: evidence.Answers) -> Iterator[pd.DataFrame]:
    """Rows of schemas.QUANTILES of the target, then of the first shadows. answers: about the attacker's records.

    NotApplicable: as `quantile.fit`.
    """
    population, attacker = stored_records.load(paths.POPULATION), stored_records.load(paths.ATTACKER)
    rng = seeds.generator(params.seed, "quantile patches")
    audited, own = described(population, attacker, params.attacks.quantile.patches, rng)
    audited, own = image_features.standardised(audited, own), image_features.standardised(own, own)
    n_classes = len(attacker.classes)
    assert answers.target is not None
    name = "quantiles of the target"
    regressor = quantile.fit(own, attacker.labels, answers.target[:, 0], n_classes=n_classes, name=name)
    yield regressor.table(0, "population", np.arange(len(population)), audited, population.labels)
    for number in range(min(SHADOWS, len(answers.model_ids))):
        model_id, margins = int(answers.model_ids[number]), answers.references[number, :, 0]
        rng = seeds.generator(params.seed, "quantile records", model_id)
        rows, unseen = splits.split_nonmembers(answers.is_in[number], rng)
        name = f"quantiles of shadow {model_id}"
        regressor = quantile.fit(own[rows], attacker.labels[rows], margins[rows], n_classes=n_classes, name=name)
        yield regressor.table(model_id, "attacker", unseen, own, attacker.labels)


def described(
    population: Records, attacker: Records, count: int, rng: np.random.Generator
) -> tuple[quantile.Features, quantile.Features]:
    """Features (samples, features) of the population and of the attacker's records, by the latter alone.

    count: random patches of images, or rows of a table, to which each record is compared.
    """
    if attacker.is_table:
        landmarks = table_features.draw(attacker.table, count, rng)
        return table_features.compute(landmarks, population.table), table_features.compute(landmarks, attacker.table)
    patches = image_features.draw(attacker.images, count, rng)
    own = image_features.compute(patches, attacker.images, name="features of the attacker's images")
    return image_features.compute(patches, population.images, name="features of the population's images"), own


def _are_shown(folder: Path) -> bool:
    return stored_records.has_images(folder) or stored_records.has_table(folder)


if __name__ == "__main__":
    run(main)
