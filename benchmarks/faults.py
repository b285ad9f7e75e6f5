"""What each choice of the original experiment costs its attack: classes permuted, trees grown to single records.

    python benchmarks/faults.py [docs/results/cifake/faults.json]

Works on the features of the workspace (after `dvc exp run -S audit=cifake`); trains no network. In the original,
shadows had their classes from folder names sorted as text ('1', '10', '2', ...): output k of a shadow was another class
than output k of the target. Training on renamed classes renames the outputs, so the fault is made here by moving the
shadows' columns. Decisions are at P(member) >= .5, as the original's were.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia import params, paths, seeds
from mia.attacks import estimators, features, schemas
from mia.data.membership import MEMBERSHIP
from mia.evaluation import decisions, roc
from mia.store import metrics_files, parquet

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One way of making the attack model: features, the least records in a leaf, classes weighed alike or not."""

    shadows: Floats
    target: Floats
    leaf: int
    balanced: bool


def main() -> None:
    """Fit Extra Trees in each way, print and write what it achieves on the target."""
    seed = seeds.integer(params.load(paths.PARAMS).seed, "attack model")
    shadows = schemas.read_features(paths.SHADOW_FEATURES, with_membership=True)
    target = schemas.read_features(paths.TARGET_FEATURES, with_membership=False)
    membership = parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP)
    on = ["model_id", "source", "sample_id"]
    is_member = target.merge(membership, on=on, validate="one_to_one")["is_member"].to_numpy(bool)
    known = shadows["is_member"].to_numpy()

    names = features.chosen(target.columns, ["posteriors"])
    S, T = shadows[names].to_numpy(), target[names].to_numpy()
    as_text = [int(name) - 1 for name in sorted(str(label + 1) for label in range(len(names)))]
    signals = features.chosen(target.columns, ["signals"])
    cases = {
        "scikit-learn's defaults, classes permuted": Case(S[:, as_text], T, leaf=1, balanced=False),
        "scikit-learn's defaults": Case(S, T, leaf=1, balanced=False),
        "leaves of 5, classes permuted": Case(S[:, as_text], T, leaf=5, balanced=False),
        "leaves of 5": Case(S, T, leaf=5, balanced=False),
        "leaves of 5, balanced: this project": Case(S, T, leaf=5, balanced=True),
        "the same on sorted posteriors": Case(np.sort(S, axis=1), np.sort(T, axis=1), leaf=5, balanced=True),
        "the same on signals of the true class": Case(
            shadows[signals].to_numpy(), target[signals].to_numpy(), leaf=5, balanced=True
        ),
    }
    found = {}
    for name, case in cases.items():
        model = estimators.build(
            "extra_trees", {"n_estimators": 100, "min_samples_leaf": case.leaf, "n_jobs": -1}, seed
        )
        if case.balanced:
            estimators.fit(model, case.shadows, known, seed)
        else:
            model.fit(case.shadows, known)
        scores = estimators.probability(model, case.target)
        curve, decision = roc.curve(scores, is_member), decisions.decision(scores >= 0.5, is_member)
        found[name] = {
            "auc": round(roc.auc(curve), 4),
            "balanced_accuracy": round(decision.balanced_accuracy.value, 4),
            "accuracy": round(decision.accuracy.value, 4),
            "tpr_at_fpr_0_01": round(roc.tpr_at(curve, 0.01), 4),
        }
        print(f"{name:42}", *(f"{key} {value:.4f}" for key, value in found[name].items()))
    if len(sys.argv) > 1:
        metrics_files.write_json(Path(sys.argv[1]), found)


if __name__ == "__main__":
    main()
