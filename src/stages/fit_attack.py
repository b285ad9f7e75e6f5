"""Fit the attack models on the outputs of all shadow models: one for all classes, one a class, and the original's.

Reads: data/features/shadows.parquet, metrics/selection.json (what attacks.learned.estimator=best means).
Writes: models/attack/learned/, learned_per_class/ and learned_posteriors/ (skops, and the scores of shadows' records by
attack models that did not see their shadow), those of them that are among attacks.run.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mia import paths, seeds
from mia.arrays import Floats
from mia.attacks import features, learned, schemas
from mia.catalogue import wanted
from mia.errors import NotApplicable
from mia.params import Params
from mia.store import atomic, metrics_files, parquet
from stages import run

# The attack of the original experiment, whatever params.yaml says of the learned attack, so that its row is never lost.
POSTERIORS: Sequence[str] = ("posteriors",)
ORIGINAL: tuple[str, dict[str, Any]] = ("extra_trees", {"n_estimators": 100, "min_samples_leaf": 5})


def main(params: Params) -> None:
    """Run the stage."""
    frame = schemas.read_features(paths.SHADOW_FEATURES, with_membership=True)
    if reason := features.refusal(frame):
        refuse(params, reason)
        return
    family = params.attacks.learned.estimator
    settings = getattr(params.estimators, family, {})
    if family == "best":
        selection = metrics_files.read_json(paths.SELECTION)
        family, settings = selection["best"], selection["settings"]

    seed, model_id = seeds.integer(params.seed, "attack model"), frame["model_id"].to_numpy()
    records = frame["label"].to_numpy(), frame["is_member"].to_numpy()
    with atomic.folder(paths.ATTACK_MODEL) as temporary:
        scores: dict[str, Floats | NotApplicable] = {}
        for columns, (kind, values) in ((params.features.columns, (family, settings)), (POSTERIORS, ORIGINAL)):
            names = features.chosen(frame.columns, columns)
            models = {
                attack: partial(
                    learned.fit, kind, values, tuple(names), per_class=attack == "learned_per_class", seed=seed
                )
                for attack in wanted(params.attacks.run, "learned")
                if (attack == "learned_posteriors") == (columns is POSTERIORS)
            }
            scores |= learned.out_of_fold(models, frame[names].to_numpy(), *records, model_id, folder=temporary)
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
