"""How far would an attack's numbers move, were the target trained anew on the same members?

Ours. The interval over records holds one trained model fixed; this is the other half. Nobody trains the target again:
shadows that play the target (`mia.attacks.evidence.plays`) are the other trainings, and have been scored already, for
thresholds. They have other members, though: what a model says of a record also hangs on which others it was trained on,
and that is counted as if another training of the target moved it. So it errs on the large side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mia.arrays import Bools, Floats
from mia.evaluation import differences, roc
from mia.evaluation.metrics import fpr_key

LEAST_PLAYS = 4  # fewer say next to nothing of a standard deviation
LEAST_SHARED = 100  # pairs of plays and records, for the share of a record's score that every training repeats


@dataclass(frozen=True)
class Played:
    """An attack's scores of records of shadows in the target's place, (rows,) each. source: "population" or "attacker",
    whose records they are.
    """

    model_id: NDArray[np.int64]
    sample_id: NDArray[np.int64]
    is_member: Bools
    scores: Floats
    source: str

    @property
    def plays(self) -> list[NDArray[np.int64]]:
        """The rows of every shadow that was asked about two members and two non-members or more."""
        rows = [np.flatnonzero(self.model_id == model) for model in np.unique(self.model_id)]
        return [own for own in rows if 2 <= self.is_member[own].sum() <= len(own) - 2]


@dataclass(frozen=True)
class _Statistic:
    """One number of every play, and what each record moves it by.

    values: (plays,). influence: (plays, records), the influence function of the number, divided by the number of
    records on the record's side; 0 where a play did not ask about the record.
    """

    values: Floats
    influence: sparse.csr_array


def spreads(played: Played | None, n_member: int, n_nonmember: int, fprs: Sequence[float]) -> dict[str, Any]:
    """Return the standard deviation of an attack's AUC and TPR over trainings of a target, ready for attacks.json.

    n_member, n_nonmember: of the target. played: None without shadows. Keys: auc_spread, `fpr_key(fpr)`_spread
    (`standard_deviation`); plays, how many shadows there were; plays_of, whose records they were asked about, where
    they were enough; spread_missing, why a spread is None, where one is.
    """
    plays = [] if played is None else played.plays
    keys = {"auc_spread": None, **{f"{fpr_key(fpr)}_spread": fpr for fpr in fprs}}
    found: dict[str, Any] = {"plays": len(plays)}
    if played is None or len(plays) < LEAST_PLAYS:
        how_many = {0: "no shadow", 1: "one shadow"}.get(len(plays), f"{len(plays)} shadows")
        return (
            dict.fromkeys(keys) | found | {"spread_missing": f"{how_many} in the target's place, {LEAST_PLAYS} needed"}
        )
    found["plays_of"] = played.source
    fewest = min(int((~played.is_member[rows]).sum()) for rows in plays)
    resolved = [fpr for fpr in fprs if roc.resolvable(fpr, fewest)]
    statistics = _statistics(played, plays, resolved)
    member = _by_record(played, plays, [played.is_member[rows].astype(np.float64) for rows in plays])
    asked = _by_record(played, plays, [np.ones(len(rows)) for rows in plays])
    deviations = {
        f"{name}_spread": round(standard_deviation(statistic, member, asked, n_member, n_nonmember), 5)
        for name, statistic in statistics.items()
    }
    found |= dict.fromkeys(keys) | deviations
    if len(resolved) < len(fprs):
        unresolved = ", ".join(str(fpr) for fpr in fprs if fpr not in resolved)
        found["spread_missing"] = f"at FPR {unresolved}, which the shadows' {fewest:,} non-members do not resolve"
    return found


def of_verdict(numbers: Mapping[str, Any], measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the spreads of the strongest attacks, as metrics/verdict.json keeps them: auc_spread, tpr_spread where
    there is a TPR; plays, plays_of and spread_missing as in `spreads`, of the attack that the verdict is about.

    numbers: `strongest.verdict_numbers`. measured: the entries of metrics/attacks.json.
    """
    by_attack = {entry["attack"]: entry for entry in measured}
    about = by_attack[numbers["auc_attack"]]
    found = {"auc_spread": about["auc_spread"]}
    if "tpr" in numbers:
        about = by_attack[numbers["tpr_attack"]]
        found["tpr_spread"] = about[f"{fpr_key(numbers['fpr'])}_spread"]
    why = ["spread_missing"] if None in found.values() else []
    return found | {name: about[name] for name in ("plays", "plays_of", *why) if name in about}


def standard_deviation(
    statistic: _Statistic, member: sparse.csr_array, asked: sparse.csr_array, n_member: int, n_nonmember: int
) -> float:
    """Return the standard deviation over trainings of a target on the same members, asked about the same records.

    A play's number is taken as the sum of a constant, a term of its training, and of every record asked about a term
    that all trainings repeat (how hard the record is) and one of this training alone. From the variance over plays is
    taken what the plays' different members and records give: their mean variance over records (for the AUC, DeLong's)
    less the mean covariance of two plays, which the records that both were asked about give. What remains, 0 at least,
    is the variance of the training's own term. To it is added the records' terms of one training alone, for as many
    records as the target's: on each side the variance of the influence less its covariance over the pairs of plays with
    the record on that side. Where pairs are too few (`LEAST_SHARED`) the share that repeats is taken from the other
    side, and where both have too few, none is taken to repeat, which errs on the large side.
    """
    plays = len(statistic.values)
    products = (statistic.influence @ statistic.influence.T).toarray()
    own = float(np.trace(products)) / plays
    shared = (float(products.sum()) - plays * own) / (plays * (plays - 1))
    of_training = max(0.0, float(statistic.values.var(ddof=1)) - (own - shared))
    sides = [_repeated(statistic.influence, side) for side in (member, asked - member)]
    known = [share for _, share in sides if share is not None]
    of_records = 0.0
    for (variance, share), records in zip(sides, (n_member, n_nonmember), strict=True):
        repeats = share if share is not None else known[0] if known else 0.0
        of_records += variance * (1 - repeats) / records
    return math.sqrt(of_training + of_records)


def _repeated(influence: sparse.csr_array, side: sparse.csr_array) -> tuple[float, float | None]:
    """The variance of one side's influence over records, for one record, and the share of it that two plays have in
    common; None where they have too few records in common.
    """
    sizes = side.sum(axis=1)
    of_side = influence * side * sizes[:, None]  # for one record
    variance = float((of_side.power(2).sum(axis=1) / sizes).mean())
    of_side = sparse.csr_array(of_side)
    products, pairs = ((matrix @ matrix.T).toarray() for matrix in (of_side, side))
    for matrix in (products, pairs):
        np.fill_diagonal(matrix, 0)
    if pairs.sum() / 2 < LEAST_SHARED or variance == 0:
        return variance, None
    return variance, float(np.clip(products.sum() / pairs.sum() / variance, 0, 1))


def _statistics(played: Played, plays: list[NDArray[np.int64]], fprs: Sequence[float]) -> Mapping[str, _Statistic]:
    values: dict[str, list[float]] = {}
    influences: dict[str, list[Floats]] = {}
    for rows in plays:
        of_play = _of_play(played.scores[rows], played.is_member[rows], fprs)
        for name, (value, influence) in of_play.items():
            values.setdefault(name, []).append(value)
            influences.setdefault(name, []).append(influence)
    return {name: _Statistic(np.array(values[name]), _by_record(played, plays, influences[name])) for name in values}


def _of_play(scores: Floats, is_member: Bools, fprs: Sequence[float]) -> dict[str, tuple[float, Floats]]:
    """AUC and TPR of one play, and their influence functions over the number of records of the side, (samples,)."""
    curve = roc.curve(scores, is_member)
    M, N = curve.n_member, curve.n_nonmember
    placed = differences.placements(scores, is_member)
    influence = np.empty(len(scores))
    influence[is_member] = (placed.v10 - placed.auc) / M
    influence[~is_member] = (placed.v01 - placed.auc) / N
    found = {"auc": (placed.auc, influence)}
    for fpr in fprs:
        at = int(np.searchsorted(curve.fpr, fpr, side="right")) - 1
        called = scores >= curve.thresholds[at]
        # A false alarm more moves the threshold, and by the curve's slope the TPR.
        below, above = (np.searchsorted(curve.fpr, share * fpr, side="right") - 1 for share in (0.5, 2.0))
        run = curve.fpr[above] - curve.fpr[below]
        slope = (curve.tpr[above] - curve.tpr[below]) / run if run > 0 else 0.0
        of_tpr = np.where(is_member, (called - curve.tpr[at]) / M, -slope * (called - curve.fpr[at]) / N)
        found[fpr_key(fpr)] = (float(curve.tpr[at]), of_tpr)
    return found


def _by_record(played: Played, plays: list[NDArray[np.int64]], values: list[Floats]) -> sparse.csr_array:
    """Values of each play's rows as (plays, records), a column a sample_id."""
    ends = np.cumsum([0, *map(len, plays)])
    columns = played.sample_id[np.concatenate(plays)]
    shape = len(plays), int(played.sample_id.max()) + 1
    return sparse.csr_array((np.concatenate(values), columns, ends), shape=shape)
