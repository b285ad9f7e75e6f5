"""Let every attack score every record of the target, and of each shadow in the target's place.

Reads: data/features/, models/attack/, data/membership/target.parquet (for the scores' table; no attack sees it).
Writes: data/scores.parquet (attack, model_id, source, sample_id, label, is_member, score). Rows of shadows are what
thresholds are chosen on; the learned attack scores a shadow by attack models that were not fitted on it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mia import attacks, features, learned, paths, signals, tables
from mia.errors import InputError
from mia.params import Params
from stages import run

KEYS = ["model_id", "source", "sample_id", "label", "is_member"]


def main(params: Params) -> None:
    """Run the stage."""
    target = tables.read_features(paths.TARGET_FEATURES, with_membership=False)
    shadows = tables.read_features(paths.SHADOW_FEATURES, with_membership=True)
    names = features.chosen(target.columns, params.features.columns)
    model = learned.load(paths.ATTACK_MODEL)
    of_target = {
        **attacks.threshold_scores(signals_of(target)),
        attacks.LEARNED: model.scores(target[names].to_numpy(), target["label"].to_numpy()),
    }
    unseen = tables.read(paths.ATTACK_MODEL / "out_of_fold.parquet", tables.OUT_OF_FOLD)
    keys = ["model_id", "sample_id"]
    if len(unseen) != len(shadows) or not unseen[keys].reset_index(drop=True).equals(shadows[keys]):
        raise InputError(
            f"{paths.ATTACK_MODEL}: its scores are of other records than {paths.SHADOW_FEATURES}; "
            "`dvc repro` fits it anew"
        )
    of_shadows = {
        **attacks.threshold_scores(signals_of(shadows)),
        attacks.LEARNED: unseen["score"].to_numpy(),
    }
    membership = tables.read(paths.TARGET_MEMBERSHIP, tables.MEMBERSHIP)
    target = target.merge(membership, on=["model_id", "source", "sample_id"], how="left", validate="one_to_one")

    parts = [
        frame[KEYS].assign(attack=attack, score=scores)
        for attack in of_target
        for frame, scores in ((target, of_target[attack]), (shadows, of_shadows[attack]))
    ]
    tables.write(paths.SCORES, pd.concat(parts, ignore_index=True), tables.SCORES)


def signals_of(frame: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """The signals in a features table, by name."""
    return {name: frame[name].to_numpy(np.float64) for name in signals.NAMES}


if __name__ == "__main__":
    run(main)
