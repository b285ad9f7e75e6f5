"""Fit the attack models on the outputs of all shadow models: one for all classes, and one a class.

Reads: data/features/shadows.parquet, metrics/selection.json (what attacks.learned.estimator=best means).
Writes: models/attack/learned/ and models/attack/learned_per_class/ (skops, and the scores of shadows' records by attack
models that did not see their shadow), those of them that are among attacks.run.
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path

from mia import paths, seeds
from mia.attacks import features, learned, schemas
from mia.catalogue import wanted
from mia.errors import NotApplicable
from mia.params import Params
from mia.store import atomic, metrics_files, parquet
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    frame = schemas.read_features(paths.SHADOW_FEATURES, with_membership=True)
    if reason := features.refusal(frame):
        refuse(params, reason)
        return
    names = features.chosen(frame.columns, params.features.columns)
    family = params.attacks.learned.estimator
    settings = getattr(params.estimators, family, {})
    if family == "best":
        selection = metrics_files.read_json(paths.SELECTION)
        family, settings = selection["best"], selection["settings"]

    records = frame[names].to_numpy(), frame["label"].to_numpy(), frame["is_member"].to_numpy()
    seed = seeds.integer(params.seed, "attack model")
    models = {
        attack: partial(learned.fit, family, settings, tuple(names), per_class=attack == "learned_per_class", seed=seed)
        for attack in wanted(params.attacks.run, "learned")
    }
    with atomic.folder(paths.ATTACK_MODEL) as temporary:
        scores = learned.out_of_fold(models, *records, frame["model_id"].to_numpy(), folder=temporary)
        for attack, unseen in scores.items():
            if isinstance(unseen, NotApplicable):
                print(f"fit_attack: {attack} is left out: {unseen}", file=sys.stderr)
                shutil.rmtree(temporary / attack, ignore_errors=True)
                leave(temporary / attack, str(unseen))
                continue
            table = frame[["model_id", "sample_id"]].assign(score=unseen)
            parquet.write(temporary / attack / "out_of_fold.parquet", table, schemas.OUT_OF_FOLD)


def refuse(params: Params, reason: str) -> None:
    """Leave the reason in each attack model's place."""
    with atomic.folder(paths.ATTACK_MODEL) as temporary:
        for attack in wanted(params.attacks.run, "learned"):
            leave(temporary / attack, reason)


def leave(folder: Path, reason: str) -> None:
    """Leave the reason in an attack model's place."""
    folder.mkdir()
    metrics_files.write_json(folder / "not_applicable.json", {"reason": reason})


if __name__ == "__main__":
    run(main)
