"""Compare scikit-learn classifiers as attack models, each scores only shadows on which it was not fitted.

Reads: data/features/shadows.parquet.
Writes: metrics/selection.json (the best family, its searched settings, the leaderboard, every setting tried, in which
round each was stopped, and which classifiers these records are too few for), plots/leaderboard.csv.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd

from mia import paths, seeds
from mia.attacks import estimators, features, halving, schemas
from mia.catalogue import wanted
from mia.errors import InputError
from mia.params import Params
from mia.store import metrics_files
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    if not wanted(params.attacks.run, "learned"):
        compare_none("no learned attack is among attacks.run")
        return
    frame = schemas.read_features(paths.SHADOW_FEATURES, with_membership=True)
    if reason := features.refusal(frame):
        compare_none(reason)
        return
    rng = seeds.generator(params.seed, "selection records")
    frame = features.subset(frame, params.select.records_per_model, rng)
    names = features.chosen(frame.columns, params.features.columns)
    records = halving.Records(frame[names].to_numpy(), frame["is_member"].to_numpy(bool), frame["model_id"].to_numpy())

    by_family = families(params, records)
    left_out = {family: outcome.reason for family, outcome in by_family.items() if outcome.reason}
    for family, reason in left_out.items():
        print(f"select_attack: {family} is left out: {reason}", file=sys.stderr)
    board = halving.leaderboard({family: outcome for family, outcome in by_family.items() if outcome.aucs})
    if board.empty:
        raise InputError(
            "params.yaml: estimators: none can be fitted on so few records of the shadows; raise "
            "select.records_per_model, features.max_records or the sizes of shadow"
        )
    metrics_files.write_csv(paths.LEADERBOARD, board)
    metrics_files.write_json(
        paths.SELECTION,
        {
            **search(params, records, board, by_family),
            **({"left_out": left_out} if left_out else {}),
        },
    )


def families(params: Params, records: halving.Records) -> dict[str, halving.Outcome]:
    """Every family of the leaderboard, with its own settings."""
    candidates = list(dict(params.estimators).items())
    seed = seeds.integer(params.seed, "attack model")
    halved = params.select.halving
    outcomes = halving.compare(candidates, records, seed, halving=halved, least=2, description="attack models")
    return dict(zip(dict(params.estimators), outcomes, strict=True))


def search(
    params: Params, records: halving.Records, board: pd.DataFrame, by_family: dict[str, halving.Outcome]
) -> dict[str, Any]:
    """The best of random settings of the leaderboard's first family, ready for metrics/selection.json."""
    best = board["estimator"].iloc[0]
    seed = seeds.integer(params.seed, "selection search")
    tried = estimators.random_settings(best, dict(params.estimators)[best], params.select.search_iterations, seed)
    drawn = halving.compare(
        [(best, settings) for settings in tried[1:]],
        records,
        seeds.integer(params.seed, "attack model"),
        halving=params.select.halving,
        least=1,
        description=f"{best} settings",
    )
    searched = [by_family[best], *drawn]
    winner = max(range(len(tried)), key=lambda place: searched[place].mean if searched[place].finished else -np.inf)
    return {
        "best": best,
        "settings": tried[winner],
        "settings_tried": len(tried),
        "searched_auc": round(searched[winner].mean, 4),
        # Lists, which `dvc metrics` leaves out of its tables.
        "leaderboard": board.round(4).to_dict("records"),
        "search": [
            {
                "settings": settings,
                "auc_mean": round(outcome.mean, 4) if outcome.aucs else None,
                "stopped_in_round": outcome.stopped_in_round,
            }
            for settings, outcome in zip(tried, searched, strict=True)
        ],
    }


def compare_none(reason: str) -> None:
    """Write that no classifier was compared, and why."""
    metrics_files.write_csv(paths.LEADERBOARD, halving.leaderboard({}))
    metrics_files.write_json(paths.SELECTION, {"best": None, "reason": reason})


if __name__ == "__main__":
    run(main)
