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
from mia.attacks import evidence, quantile, schemas
from mia.attacks.chosen import wanted
from mia.errors import NotApplicable
from mia.models import networks
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.store import parquet, stored_records
from mia.store.records import Records
from stages import run

SHADOWS = 1  # shadows that play the target, for the threshold


def main(params: Params) -> None:
    """Run the stage."""
    answers = evidence.gather(
        parquet.read_table(paths.TARGET_SIGNALS, SIGNALS),
        parquet.read_parts(paths.MARGINS, schemas.MARGINS),
    )
    predicted = []
    if wanted(params.attacks.run, "quantile") and "attacker" in answers:
        try:
            predicted = list(learned(params, answers["attacker"]))
        except NotApplicable as error:
            print(f"fit_quantile: left out: {error}", file=sys.stderr)
    names = schemas.QUANTILES.names
    frame = pd.concat(predicted, ignore_index=True) if predicted else pd.DataFrame({name: [] for name in names})
    parquet.write(paths.QUANTILES, frame, schemas.QUANTILES)


def learned(params: Params, known: evidence.Answers) -> Iterator[pd.DataFrame]:
    """Predictions for the target, then for the first shadows; raises NotApplicable where records are too few."""
    networks.declared(paths.NETWORK, params.target.of(params.data.dataset).architecture)
    population, attacker = stored_records.load(paths.POPULATION), stored_records.load(paths.ATTACKER)
    every = np.arange(len(attacker))
    assert known.target is not None
    yield learn(params, 0, attacker, every, known.target[:, 0], population, None)
    for number in range(min(SHADOWS, len(known.model_ids))):
        model_id, is_in = int(known.model_ids[number]), known.is_in[number]
        rng = seeds.generator(params.seed, "quantile records", model_id)
        seen, unseen = np.array_split(rng.permutation(np.flatnonzero(~is_in)), 2)
        asked = np.sort(np.r_[np.flatnonzero(is_in), unseen])
        yield learn(params, model_id, attacker, np.sort(seen), known.references[number, :, 0], attacker, asked)


def learn(
    params: Params,
    model_id: int,
    attacker: Records,
    seen: np.ndarray[tuple[int], np.dtype[np.int64]],
    margins: np.ndarray[tuple[int], np.dtype[np.float64]],
    asked_of: Records,
    asked: np.ndarray[tuple[int], np.dtype[np.int64]] | None,
) -> pd.DataFrame:
    """Fit on the attacker's records `seen` and one model's margins on them; predict records of `asked_of`, or all."""
    recipe = params.attacks.quantile
    regressor = quantile.fit(
        params.target.of(params.data.dataset).architecture,
        attacker.images[seen],
        attacker.labels[seen],
        margins[seen],
        n_classes=len(attacker.classes),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        initial_seed=seeds.integer(params.seed, "quantile weights", model_id),
        order_seed=seeds.integer(params.seed, "quantile order", model_id),
        name=f"quantiles of shadow {model_id}" if model_id else "quantiles of the target",
    )
    rows = np.arange(len(asked_of)) if asked is None else asked
    mean, deviation = regressor.predict(asked_of.images[rows], asked_of.labels[rows])
    source = "population" if model_id == 0 else "attacker"
    keys = {"model_id": model_id, "source": source, "sample_id": rows}
    return pd.DataFrame({**keys, "mean": mean, "deviation": deviation})


if __name__ == "__main__":
    run(main)
