"""Fit the attack model on the outputs of all shadow models.

Reads: data/features/shadows.parquet, metrics/selection.json (what attack.estimator=best means).
Writes: models/attack/ (skops, and the scores of shadows' records by attack models that did not see their shadow).
"""

from __future__ import annotations

from functools import partial

from mia import atomic, documents, features, learned, paths, seeds, tables
from mia.params import Params
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    frame = tables.read_features(paths.SHADOW_FEATURES, with_membership=True)
    names = features.chosen(frame.columns, params.features.columns)
    family, settings = params.attack.estimator, getattr(params.estimators, params.attack.estimator, {})
    if family == "best":
        selection = documents.read_json(paths.SELECTION)
        family, settings = selection["best"], selection["settings"]

    fit = partial(
        learned.fit,
        family,
        settings,
        tuple(names),
        per_class=params.attack.per_class,
        seed=seeds.integer(params.seed, "attack model"),
    )
    known = frame[names].to_numpy(), frame["label"].to_numpy(), frame["is_member"].to_numpy()
    model = fit(*known)
    unseen = frame[["model_id", "sample_id"]].assign(
        score=learned.out_of_fold(fit, *known, frame["model_id"].to_numpy())
    )
    with atomic.folder(paths.ATTACK_MODEL) as temporary:
        learned.save(temporary, model)
        tables.write(temporary / "out_of_fold.parquet", unseen, tables.OUT_OF_FOLD)


if __name__ == "__main__":
    run(main)
