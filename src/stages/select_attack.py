"""Compare scikit-learn classifiers as attack models, each asked only about shadows it was not fitted on.

Reads: data/features/shadows.parquet.
Writes: metrics/selection.json (the best family, its searched settings, the leaderboard), plots/leaderboard.csv.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mia import documents, estimators, features, paths, seeds, tables
from mia.params import Params
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    frame = tables.read_features(paths.SHADOW_FEATURES, with_membership=True)
    frame = subset(frame, params.select.records_per_model, seeds.generator(params.seed, "selection records"))
    names = features.chosen(frame.columns, params.features.columns)
    X, is_member, shadow = frame[names].to_numpy(), frame["is_member"].to_numpy(), frame["model_id"].to_numpy()
    seed = seeds.integer(params.seed, "attack model")

    families = dict(params.estimators)
    aucs = estimators.compare(list(families.items()), X, is_member, shadow, seed, "attack models")
    board = pd.DataFrame(
        {"estimator": list(families), "auc_mean": np.mean(aucs, axis=1), "auc_std": np.std(aucs, axis=1)}
    )
    board["fold_aucs"] = [" ".join(f"{auc:.4f}" for auc in of_folds) for of_folds in aucs]
    board = board.sort_values(["auc_mean", "estimator"], ascending=[False, True])
    best = board["estimator"].iloc[0]

    search_seed = seeds.integer(params.seed, "selection search")
    tried = estimators.random_settings(best, families[best], params.select.search_iterations, search_seed)
    candidates = [(best, settings) for settings in tried]
    searched = estimators.compare(candidates, X, is_member, shadow, seed, f"{best} settings", searching=True)
    winner = int(np.nanargmax([np.mean(of_folds) for of_folds in searched]))

    documents.write_csv(paths.LEADERBOARD, board)
    documents.write_json(
        paths.SELECTION,
        {
            "best": best,
            "settings": tried[winner],
            "settings_tried": len(tried),
            "searched_auc": round(float(np.mean(searched[winner])), 4),
            "leaderboard": board.round(4).to_dict("records"),  # a list, which `dvc metrics` leaves out of its tables
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
