"""How far would an attack's numbers move if the target were trained again on the same members?

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

from mia.arrays import Bools, Floats
from mia.evaluation import roc
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
        """The rows of every shadow with queries about at least two members and two non-members."""
        rows = [np.flatnonzero(self.model_id == model) for model in np.unique(self.model_id)]
        return [own for own in rows if 2 <= self.is_member[own].sum() <= len(own) - 2]


@dataclass(frozen=True)
class _Records:
    """The queries of plays, a row a play and record, (rows,) each: the record, its side, the records of that side."""

    sample_id: NDArray[np.int64]
    is_member: Bools
    size: NDArray[np.int64]


@dataclass(frozen=True)
class _Statistic:
    """One number of every play, (plays,), and its influence function: what each record moves it by, (rows,), times the
    number of records on the record's side.
    """

    values: Floats
    influence: Floats


def spreads(played: Played | None, n_member: int, n_nonmember: int, fprs: Sequence[float]) -> dict[str, Any]:
    """Return the standard deviation of an attack's AUC and TPR over trainings of a target, ready for attacks.json.

    n_member, n_nonmember: of the target. played: None without shadows. Keys: auc_spread, `fpr_key(fpr)`_spread
    (`standard_deviation`); plays, how many shadows there were; plays_of, whose records their queries were
    about, where they were enough; spread_missing, why a spread is None, where one is. Every key is there, None where
    there is nothing to say: DVC draws a file only if all its entries have the same keys.
    """
    plays = [] if played is None else played.plays
    names = ["auc_spread", *(f"{fpr_key(fpr)}_spread" for fpr in fprs), "plays", "plays_of", "spread_missing"]
    found: dict[str, Any] = dict.fromkeys(names) | {"plays": len(plays)}
    if played is None or len(plays) < LEAST_PLAYS:
        how_many = {0: "no shadow", 1: "one shadow"}.get(len(plays), f"{len(plays)} shadows")
        return found | {"spread_missing": f"{how_many} in the target's place, {LEAST_PLAYS} needed"}
    found["plays_of"] = played.source
    fewest = min(int((~played.is_member[rows]).sum()) for rows in plays)
    resolved = [fpr for fpr in fprs if roc.resolvable(fpr, fewest)]
    of_plays = [_of_play(played.scores[rows], played.is_member[rows], resolved) for rows in plays]
    queried = np.concatenate(plays)
    sizes = [np.where(played.is_member[rows], *_sizes(played.is_member[rows])) for rows in plays]
    records = _Records(played.sample_id[queried], played.is_member[queried], np.concatenate(sizes))
    deviations = {}
    for name in of_plays[0]:
        values, influences = zip(*(of_play[name] for of_play in of_plays), strict=True)
        statistic = _Statistic(np.array(values), np.concatenate(influences))
        deviations[f"{name}_spread"] = round(standard_deviation(statistic, records, n_member, n_nonmember), 5)
    found |= deviations
    if len(resolved) < len(fprs):
        unresolved = ", ".join(str(fpr) for fpr in fprs if fpr not in resolved)
        found["spread_missing"] = f"at FPR {unresolved}, which the shadows' {fewest:,} non-members do not resolve"
    return found


def of_verdict(numbers: Mapping[str, Any], measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the spreads of the strongest attacks, as metrics/verdict.json keeps them.

    Keys: auc_spread, tpr_spread where there is a TPR; plays and plays_of as in `spreads`, of the attack that the
    verdict is about; spread_missing, where one of the spreads is None, of its attack.
    numbers: `strongest.verdict_numbers`. measured: the entries of metrics/attacks.json.
    """
    by_attack = {entry["attack"]: entry for entry in measured}
    about = by_attack[numbers["auc_attack"]]
    found = {"auc_spread": about["auc_spread"]}
    lacking = [about] if about["auc_spread"] is None else []
    if "tpr" in numbers:
        about = by_attack[numbers["tpr_attack"]]
        found["tpr_spread"] = about[f"{fpr_key(numbers['fpr'])}_spread"]
        lacking += [about] if found["tpr_spread"] is None else []
    known = {name: about[name] for name in ("plays", "plays_of") if about.get(name) is not None}
    return found | known | ({"spread_missing": lacking[-1]["spread_missing"]} if lacking else {})


def standard_deviation(statistic: _Statistic, records: _Records, n_member: int, n_nonmember: int) -> float:
    """Return the standard deviation over trainings of a target on the same members, with the same queries.

    A play's number is taken as the sum of a constant, a term of its training, and two terms for every record of its
    queries: one that all trainings repeat (how hard the record is), and one of this training alone. From the variance
    over plays is taken what the plays' different members and records give: their mean variance over records (for the
    AUC, DeLong's) less the mean covariance of two plays, which the records that both plays share give. What remains, 0
    at least, is the variance of the training's own term. To it is added the records' terms of one training alone, for
    as many records as the target's: on each side the variance of the influence less its covariance over the pairs of
    plays with the record on that side. Where pairs are too few (`LEAST_SHARED`) the share that repeats is taken from
    the other side, and where both have too few, none is taken to repeat, which errs on the large side.
    """
    plays = len(statistic.values)
    scaled = statistic.influence / records.size
    own = float((scaled**2).sum()) / plays
    shared = _over_pairs(scaled, records.sample_id) / (plays * (plays - 1))
    of_training = max(0.0, float(statistic.values.var(ddof=1)) - (own - shared))
    sides = [
        _repeated(statistic.influence[side], records.sample_id[side])
        for side in (records.is_member, ~records.is_member)
    ]
    known = [share for _, share in sides if share is not None]
    of_records = 0.0
    for (variance, share), size in zip(sides, (n_member, n_nonmember), strict=True):
        repeats = share if share is not None else known[0] if known else 0.0
        of_records += variance * (1 - repeats) / size
    return math.sqrt(of_training + of_records)


def _repeated(influence: Floats, sample_id: NDArray[np.int64]) -> tuple[float, float | None]:
    """The variance of one side's influence over records, and the share of it that two plays have in common; None where
    they have too few records in common.
    """
    variance = float((influence**2).mean())
    pairs = _over_pairs(np.ones(len(influence)), sample_id)
    if pairs < 2 * LEAST_SHARED or variance == 0:
        return variance, None
    return variance, float(np.clip(_over_pairs(influence, sample_id) / pairs / variance, 0, 1))


def _over_pairs(values: Floats, sample_id: NDArray[np.int64]) -> float:
    """The sum over ordered pairs of plays, and the records of both, of the product of their values."""
    return float((np.bincount(sample_id, values) ** 2).sum() - (values**2).sum())


def _sizes(is_member: Bools) -> tuple[int, int]:
    """How many members there are, and how many non-members."""
    n_member = int(is_member.sum())
    return n_member, len(is_member) - n_member


def _of_play(scores: Floats, is_member: Bools, fprs: Sequence[float]) -> dict[str, tuple[float, Floats]]:
    """AUC and TPR of one play, and their influence functions, (samples,)."""
    curve = roc.curve(scores, is_member)
    M, N = curve.n_member, curve.n_nonmember
    point = np.searchsorted(-curve.thresholds, -scores)  # of each record; 0 is no record's
    auc = roc.auc(curve)
    # DeLong's placements: half of those with the same score count as lower.
    lower = 1 - (curve.fp[point] + curve.fp[point - 1]) / (2 * N)
    higher = (curve.tp[point] + curve.tp[point - 1]) / (2 * M)
    found = {"auc": (auc, np.where(is_member, lower, higher) - auc)}
    for fpr in fprs:
        below, at, above = (int(np.searchsorted(curve.fpr, share * fpr, side="right")) - 1 for share in (0.5, 1, 2))
        called = point <= at
        # A false alarm more moves the threshold, and by the curve's slope the TPR.
        run = curve.fpr[above] - curve.fpr[below]
        slope = (curve.tpr[above] - curve.tpr[below]) / run if run > 0 else 0.0
        of_tpr = np.where(is_member, called - curve.tpr[at], -slope * (called - curve.fpr[at]))
        found[fpr_key(fpr)] = (float(curve.tpr[at]), of_tpr)
    return found
