"""Compares classifiers as attack models and stops those early that fall behind: successive halving, in three rounds.

Source: Jamieson & Talwalkar 2016, Karnin et al. 2013; here by thirds, over folds of shadows. Round 1 fits every
candidate on the shadows of the first fold, a fifth of the records, and scores all others. Round 2 fits the best third
on all but the first fold's shadows and scores those. Round 3 fits the best third of them, by the mean of both
AUCs, on the other folds too. Equals go on in the order in which they came.

It depends on the records, the candidates and the seed alone: on no clock, and on no number of cores.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score

from mia import progress
from mia.arrays import Bools, Floats
from mia.attacks import estimators
from mia.attacks.estimators import Settings
from mia.compute import forks
from mia.errors import InputError

KEPT = 3  # one candidate in so many goes on to the next round
SMALL = -1  # in the place of a fold's number: fitted on the first fold's shadows, scores all others

Candidate = tuple[str, Settings]  # family and settings


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate.

    aucs: on each fold's unseen shadows; where it was stopped, in its rounds so far. stopped_in_round: 1 or 2; 0 for one
    that scored all folds. reason: why it cannot be fitted; it has no AUC then.
    """

    aucs: tuple[float, ...] = ()
    stopped_in_round: int = 0
    reason: str = ""

    @property
    def mean(self) -> float:
        """Its mean AUC; -inf without one."""
        return float(np.mean(self.aucs)) if self.aucs else -np.inf

    @property
    def finished(self) -> bool:
        """Whether it scored every fold."""
        return not self.stopped_in_round and not self.reason


@dataclass(frozen=True, eq=False)
class Records:
    """Records of shadows to compare candidates on.

    features: (samples, features). is_member: bool, (samples,). shadow: the model_id of each row, (samples,).
    """

    features: Floats
    is_member: Bools
    shadow: NDArray[np.int64]

    def auc(self, candidate: Candidate, fold: int, seed: int) -> float:
        """The AUC on the unseen shadows of a fold, or of SMALL.

        Raises InputError where the candidate cannot be fitted, or the unseen records are of one kind.
        """
        fitted_rows, unseen = estimators.folds(self.shadow)[max(fold, 0)]
        if fold == SMALL:
            fitted_rows, unseen = unseen, fitted_rows
        if len(np.unique(self.is_member[unseen])) < 2:
            raise InputError("the records of a fold's shadows are all members, or all non-members")
        model = estimators.build(*candidate, seed)
        model = estimators.fit(model, self.features[fitted_rows], self.is_member[fitted_rows], seed)
        scores = estimators.probability(model, self.features[unseen])
        return float(roc_auc_score(self.is_member[unseen], scores))


def compare(
    candidates: Sequence[Candidate], records: Records, seed: int, *, halving: bool, least: int, description: str
) -> list[Outcome]:
    """What becomes of each candidate, on all cores; without halving each scores every fold.

    least: so many at least score every fold.
    Raises InputError for a setting that scikit-learn's class does not have, and below two shadows.
    """
    n_folds = len(estimators.folds(records.shadow))
    for candidate in candidates:
        estimators.build(*candidate, seed)
    aucs: list[dict[int, float | str]] = [{} for _ in candidates]

    def ask(places: Sequence[int], folds: Sequence[int]) -> None:
        work = [(place, fold) for fold in folds for place in places]
        results = forks.results(lambda task: _auc_or_reason(candidates[task[0]], records, task[1], seed), work)
        for (place, fold), result in zip(work, progress.bar(results, description, total=len(work)), strict=True):
            aucs[place][fold] = result

    going_on, stopped = list(range(len(candidates))), dict[int, int]()
    if halving:
        for number, fold in enumerate((SMALL, 0), start=1):
            if len(going_on) <= least:
                break
            ask(going_on, [fold])
            best = _best(going_on, aucs, least)
            stopped |= {place: number for place in going_on if place not in best}
            going_on = [place for place in going_on if place in best]
    asked = {fold for place in going_on for fold in aucs[place]}
    ask(going_on, [fold for fold in range(n_folds) if fold not in asked])
    return [_outcome(of_folds, stopped.get(place, 0)) for place, of_folds in enumerate(aucs)]


def _best(places: Sequence[int], aucs: Sequence[Mapping[int, float | str]], least: int) -> set[int]:
    """Those that go on: the best third, and those without an AUC so far, which the next round fits on more records."""
    means = {
        place: float(np.mean([auc for auc in aucs[place].values() if isinstance(auc, float)] or np.nan))
        for place in places
    }
    ranked = sorted((place for place in places if not np.isnan(means[place])), key=lambda place: -means[place])
    return {*ranked[: max(least, -(-len(places) // KEPT))], *(place for place in places if np.isnan(means[place]))}


def _outcome(of_folds: Mapping[int, float | str], stopped_in_round: int) -> Outcome:
    counted = {fold: auc for fold, auc in of_folds.items() if stopped_in_round or fold != SMALL}
    reasons = [auc for auc in counted.values() if isinstance(auc, str)]
    if reasons:
        return Outcome(reason=reasons[0])
    return Outcome(tuple(auc for auc in counted.values() if isinstance(auc, float)), stopped_in_round)


def _auc_or_reason(candidate: Candidate, records: Records, fold: int, seed: int) -> float | str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a setting that does not converge loses by its AUC
        warnings.filterwarnings("ignore", message="The covariance matrix of class|Variables are collinear")
        try:
            return records.auc(candidate, fold, seed)
        except InputError as error:
            return estimators.reason(error)


def leaderboard(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Return one row a family, the best first: estimator, auc_mean, auc_std, fold_aucs as text, stopped_in_round.

    outcomes: by family, those with an AUC. Those that scored all folds come first, then those stopped in the later
    round; equal means stand in the order of their names.
    """
    board = pd.DataFrame(
        {
            "estimator": list(outcomes),
            "auc_mean": [outcome.mean for outcome in outcomes.values()],
            "auc_std": [np.std(outcome.aucs) for outcome in outcomes.values()],
            "fold_aucs": [" ".join(f"{auc:.4f}" for auc in outcome.aucs) for outcome in outcomes.values()],
            "stopped_in_round": [outcome.stopped_in_round for outcome in outcomes.values()],
        }
    )
    rounds = board["stopped_in_round"].replace(0, np.inf)
    board = board.assign(rounds=rounds).sort_values(["rounds", "auc_mean", "estimator"], ascending=[False, False, True])
    return board.drop(columns="rounds")
