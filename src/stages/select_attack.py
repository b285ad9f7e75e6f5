"""Compare scikit-learn classifiers as attack models, each asked only about shadows it was not fitted on.

Reads: data/features/shadows.parquet.
Writes: metrics/selection.json (the best family, its searched settings, the leaderboard, and which classifiers these
records are too few for), plots/leaderboard.csv.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from mia import paths, seeds
from mia.attacks import estimators, features, schemas
from mia.errors import InputError
from mia.params import Params
from mia.store import metrics_files
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    frame = schemas.read_features(paths.SHADOW_FEATURES, with_membership=True)
    frame = subset(frame, params.select.records_per_model, seeds.generator(params.seed, "selection records"))
    names = features.chosen(frame.columns, params.features.columns)
    X, is_member, shadow = frame[names].to_numpy(), frame["is_member"].to_numpy(), frame["model_id"].to_numpy()
    seed = seeds.integer(params.seed, "attack model")

    families = dict(params.estimators)
    outcomes = dict(
        zip(
            families,
            estimators.compare(list(families.items()), X, is_member, shadow, seed, "attack models"),
            strict=True,
        )
    )
    left_out = {family: outcome for family, outcome in outcomes.items() if isinstance(outcome, str)}
    for family, reason in left_out.items():
        print(f"select_attack: {family} is left out: {reason}", file=sys.stderr)
    aucs = {family: outcome for family, outcome in outcomes.items() if not isinstance(outcome, str)}
    if not aucs:
        raise InputError(
            "params.yaml: estimators: none can be fitted on so few records of the shadows; raise "
            "select.records_per_model, features.max_records or the sizes of shadow"
        )
    board = pd.DataFrame(
        {
            "estimator": list(aucs),
            "auc_mean": [np.mean(of_folds) for of_folds in aucs.values()],
            "auc_std": [np.std(of_folds) for of_folds in aucs.values()],
        }
    )
    board["fold_aucs"] = [" ".join(f"{auc:.4f}" for auc in of_folds) for of_folds in aucs.values()]
    board = board.sort_values(["auc_mean", "estimator"], ascending=[False, True])
    best = board["estimator"].iloc[0]

    search_seed = seeds.integer(params.seed, "selection search")
    tried = estimators.random_settings(best, families[best], params.select.search_iterations, search_seed)
    candidates = [(best, settings) for settings in tried]
    searched = [
        -np.inf if isinstance(outcome, str) else float(np.mean(outcome))
        for outcome in estimators.compare(candidates, X, is_member, shadow, seed, f"{best} settings")
    ]
    winner = int(np.argmax(searched))

    metrics_files.write_csv(paths.LEADERBOARD, board)
    metrics_files.write_json(
        paths.SELECTION,
        {
            "best": best,
            "settings": tried[winner],
            "settings_tried": len(tried),
            "searched_auc": round(searched[winner], 4),
            "leaderboard": board.round(4).to_dict("records"),  # a list, which `dvc metrics` leaves out of its tables
            **({"left_out": left_out} if left_out else {}),
        },
    )


def subset(frame: pd.DataFrame, per_model: int, rng: np.random.Generator) -> pd.DataFrame:
    """At most `per_model` records of each shadow, as near to half members and half non-members as there are."""
    rows = []
    for model_id in frame["model_id"].unique():
        for side in (True, False):
            of_side = np.flatnonzero((frame["model_id"] == model_id) & (frame["is_member"] == side))
            rows.append(rng.permutation(of_side)[: per_model // 2])
    return frame.iloc[np.sort(np.concatenate(rows))]


if __name__ == "__main__":
    run(main)
