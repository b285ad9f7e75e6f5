"""Compare scikit-learn classifiers as attack models, each asked only about shadows it was not fitted on.

Reads: data/features/shadows.parquet.
Writes: metrics/selection.json (the best family, its searched settings, the leaderboard, and which classifiers these
records are too few for), plots/leaderboard.csv.
"""

from __future__ import annotations

import sys

import numpy as np

from mia import paths, seeds
from mia.attacks import estimators, features, schemas
from mia.errors import InputError
from mia.params import Params
from mia.store import metrics_files
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    frame = schemas.read_features(paths.SHADOW_FEATURES, with_membership=True)
    if reason := features.refusal(frame):
        metrics_files.write_csv(paths.LEADERBOARD, estimators.leaderboard({}))
        metrics_files.write_json(paths.SELECTION, {"best": None, "reason": reason})
        return
    rng = seeds.generator(params.seed, "selection records")
    frame = features.subset(frame, params.select.records_per_model, rng)
    names = features.chosen(frame.columns, params.features.columns)
    records = frame[names].to_numpy(), frame["is_member"].to_numpy(), frame["model_id"].to_numpy()
    seed = seeds.integer(params.seed, "attack model")

    settings_of = dict(params.estimators)
    outcomes = estimators.fold_aucs_or_reasons(list(settings_of.items()), *records, seed, "attack models")
    by_family = dict(zip(settings_of, outcomes, strict=True))
    left_out = {family: outcome for family, outcome in by_family.items() if isinstance(outcome, str)}
    for family, reason in left_out.items():
        print(f"select_attack: {family} is left out: {reason}", file=sys.stderr)
    aucs = {family: outcome for family, outcome in by_family.items() if not isinstance(outcome, str)}
    if not aucs:
        raise InputError(
            "params.yaml: estimators: none can be fitted on so few records of the shadows; raise "
            "select.records_per_model, features.max_records or the sizes of shadow"
        )
    board = estimators.leaderboard(aucs)
    best = board["estimator"].iloc[0]

    search_seed = seeds.integer(params.seed, "selection search")
    tried = estimators.random_settings(best, settings_of[best], params.select.search_iterations, search_seed)
    candidates = [(best, settings) for settings in tried]
    searched = [
        -np.inf if isinstance(outcome, str) else float(np.mean(outcome))
        for outcome in estimators.fold_aucs_or_reasons(candidates, *records, seed, f"{best} settings")
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


if __name__ == "__main__":
    run(main)
