"""The leaderboard's order and its results as text, for its figure and for the page's table."""

from __future__ import annotations

import pandas as pd

from mia.evaluation import wording


def best_first(board: pd.DataFrame) -> pd.DataFrame:
    """The rows by mean AUC, classifiers fitted on all folds before the stopped ones, later stopped ones higher.

    board: estimator, auc_mean, stopped_in_round (0: not stopped).
    """
    rounds = board["stopped_in_round"].replace(0, float("inf"))
    ranked = board.assign(rounds=rounds).sort_values(
        ["rounds", "auc_mean", "estimator"], ascending=[False, False, True]
    )
    return ranked.drop(columns="rounds")


def result(mean: float, spread: float, stopped_in_round: int) -> str:
    """A row's result: mean and standard deviation over all folds; if it was stopped, the mean so far and the round."""
    number = wording.decimals(3)
    if stopped_in_round:
        return f"{number(mean)}, stopped in round {stopped_in_round}"
    return f"{number(mean)} ± {number(spread)}"
