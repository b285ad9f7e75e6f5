"""Is attack A better than attack B? Differences of AUC and of TPR, with intervals and p-values.

Every attack scored the SAME records, so attacks are compared record by record: what two attacks have in common (easy
records, hard records) cancels. Conventions are those of `mia.evaluation.roc`: higher score = member, ties move
together. As in `mia.evaluation.intervals`, records are independent draws put to one target model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainccinv, betaincinv, expit, gammaln, logit

from mia.arrays import Bools, Floats, Integers
from mia.errors import InputError
from mia.evaluation import distributions
from mia.evaluation.bootstrap import enough_replicates
from mia.evaluation.intervals import Estimate, clopper_pearson, mover, tail_of
from mia.evaluation.metrics import fpr_key
from mia.evaluation.named import named_at
from mia.evaluation.roc import auc, curve, false_positives_allowed, of_attacks, resolvable, tpr_at

# Decimals and digits kept in `table`: as `metrics.json_ready`, and a p-value keeps its order of magnitude.
_DECIMALS = 4
_TPR_DECIMALS = 6
_P_DIGITS = 3


class Placements(NamedTuple):
    """Where each record stands among those of the other side, for DeLong's variance; made by `placements`.

    v10: (members,): share of non-members with a lower score, those with the same score counting one half.
    v01: (nonmembers,): share of members with a higher score, those with the same score counting one half.
    Both in [0, 1], in the order of the records; the mean of either is the AUC.
    """

    v10: Floats
    v01: Floats

    @property
    def auc(self) -> float:
        """The AUC, as `roc.auc` up to rounding."""
        return float(self.v10.mean())


@dataclass(frozen=True)
class Comparison:
    """A's value minus B's, its confidence limits, and the two-sided p-value of "there is no difference"."""

    difference: float
    low: float
    high: float
    p_value: float


# ---- AUC: DeLong


def placements(score: ArrayLike, is_member: ArrayLike) -> Placements:
    """Return each record's placement among the records of the other side.

    score: (samples,), finite. is_member: bool, (samples,).
    InputError: as `roc.curve`.
    Source: DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988), V10 and V01; computed from mid-ranks in one
    sort as Sun & Xu, IEEE Signal Processing Letters 21 (2014), Eq. 13-14 and algorithm 1.
    """
    curve(score, is_member)  # the one place that says what scores and membership must look like
    values, member = np.asarray(score, dtype=np.float64), np.asarray(is_member)
    ranks = distributions.ranks(values)
    n_member, n_nonmember = int(member.sum()), int((~member).sum())
    # A mid-rank among all, less that among the own side, counts the other side's lower scores: half-integers.
    lower_nonmembers = ranks[member] - distributions.ranks(values[member])
    lower_members = ranks[~member] - distributions.ranks(values[~member])
    return Placements(lower_nonmembers / n_nonmember, (n_member - lower_members) / n_member)


def auc_variance(placed: Placements) -> float:
    """Return DeLong's variance of the AUC: var(v10) / M + var(v01) / N, each with divisor M - 1, N - 1.

    0 where every record has the same placement (AUC 0, 1, or one score for all); NaN with a single record on a side.
    """
    return _variance(placed.v10, placed.v01)


def _variance(v10: Floats, v01: Floats) -> float:
    if min(v10.size, v01.size) < 2:
        return math.nan
    # Placements, and their differences, are multiples of half a record: a smaller range is rounding.
    constant = np.ptp(v10) * v01.size < 0.25 and np.ptp(v01) * v10.size < 0.25
    return 0.0 if constant else float(v10.var(ddof=1) / v10.size + v01.var(ddof=1) / v01.size)


def auc_interval(placed: Placements, *, level: float = 0.95) -> Estimate:
    """Return the AUC with confidence limits in [0, 1].

    DeLong's variance on the logit scale, log(AUC / (1 - AUC)) -+ z sd / (AUC (1 - AUC)), and back (Pepe 2003, 5.2.5).
    Logit and not AUC -+ z sd, because the latter runs past 1 and covers too little for strong attacks and small classes
    (95 % limits of normal scores: AUC 0.86 with 10 a side held by 0.97 against 0.86, AUC 0.98 with 20 and 200 by 0.90
    against 0.78); with hundreds of records near AUC 0.5 the two agree.
    Where the variance is 0 or undefined it is no measure of doubt. The m = min(M, N) pairs of one member and one
    non-member that share no record are then m independent trials: Clopper-Pearson limits of AUC * m of m. For an AUC of
    1 this is exact, low = ((1 - level) / 2)^(1 / m).
    InputError: level not in (0, 1).
    """
    tail = tail_of(level)
    value, variance = placed.auc, auc_variance(placed)
    if variance > 0:
        reach = distributions.normal_quantile(tail) * math.sqrt(variance) / (value * (1 - value))
        return Estimate(value, float(expit(logit(value) - reach)), float(expit(logit(value) + reach)))
    m = min(placed.v10.size, placed.v01.size)
    low = float(betaincinv(value * m, m - value * m + 1, tail)) if value > 0 else 0.0
    high = float(betainccinv(value * m + 1, m - value * m, tail)) if value < 1 else 1.0
    return Estimate(value, low, high)


def compare_auc(a: Placements, b: Placements, *, level: float = 0.95) -> Comparison:
    """Return AUC of a - AUC of b, with limits in [-1, 1] and DeLong's two-sided p-value, for the same records.

    The variance is that of the placements' differences, which is the 1988 paper's contrast L S L' with L = (1, -1);
    limits difference -+ z sd, p from z = difference / sd.
    - Rankings that are equal, as far as members against non-members go, have difference 0 and p = 1.
    - p is not below 2 / C(M + N, M), the share of rankings as good or as bad as the best: where one attack is perfect
      and the other has one score for all, the variance is 0 and z would claim p = 0 from 2 records.
    - Variance 0 is no certainty: the limits are then difference -+ (1 - ((1 - level) / 2)^(1 / m)), what m = min(M, N)
      pairs that share no record allow when all of them agree.
    Meant for two attacks fixed before these records were seen: among many pairs use `holm`. Not meant for attacks that
    were fitted on these same records, one of which holds the other as a special case (Demler et al. 2012).
    InputError: the two are of other records (sizes differ), a side has fewer than 2, level not in (0, 1).
    """
    tail = tail_of(level)
    if (a.v10.shape, a.v01.shape) != (b.v10.shape, b.v01.shape):
        raise InputError(
            "placements: expected both attacks on the same records, got "
            f"{a.v10.size} and {b.v10.size} members, {a.v01.size} and {b.v01.size} non-members"
        )
    M, N = a.v10.size, a.v01.size
    if min(M, N) < 2:
        raise InputError(
            f"placements: a difference needs at least 2 records a side, got {M} members and {N} non-members"
        )
    variance = _variance(a.v10 - b.v10, a.v01 - b.v01)
    difference = float(np.mean(a.v10 - b.v10))
    luckiest = 2 * math.exp(gammaln(M + 1) + gammaln(N + 1) - gammaln(M + N + 1))
    if variance > 0:
        reach = distributions.normal_quantile(tail) * math.sqrt(variance)
        p = 2 * distributions.normal_above(abs(difference) / math.sqrt(variance))
    else:
        reach = 1 - tail ** (1 / min(M, N))
        p = 0.0 if difference else 1.0
    return Comparison(
        difference, max(-1.0, difference - reach), min(1.0, difference + reach), min(1.0, max(p, luckiest))
    )


# ---- TPR at an FPR: paired bootstrap


def replicate_tprs(
    scores: ArrayLike, is_member: ArrayLike, *, fprs: Sequence[float], replicates: int, rng: np.random.Generator
) -> Floats:
    """Return `roc.tpr_at` of every attack on every replicate: (attacks, fprs, replicates).

    scores: (attacks, samples), finite. is_member: bool, (samples,).
    A replicate draws M members and N non-members with replacement, members first, each side from its own (as
    `bootstrap.estimates`), ONCE for all attacks: result[a] - result[b] is a paired difference. With
    i = rng.integers(M, size=M), then j = rng.integers(N, size=N), the records are the i-th members and the j-th
    non-members in the order of the samples.
    The highest TPR with at most k false positives is the share of drawn members with a score strictly above the
    (k + 1)-th highest drawn non-member (all of them if there is no such non-member). So each attack is sorted once, and
    a replicate costs two running sums an attack, of the highest scores alone.
    Cost: time O(attacks * samples * replicates) at most, the less the lower the highest FPR.
    InputError: as `roc.curve`, for each attack; an fpr that `roc.tpr_at` refuses; no replicate.
    """
    values, member = of_attacks(scores, is_member)
    if replicates < 1:
        raise InputError(f"replicates: expected at least 1, got {replicates}")
    M, N = int(member.sum()), int((~member).sum())
    for fpr in fprs:
        tpr_at(curve(values[0], member), fpr)  # says what is wrong with an FPR, if anything is
    allowed = [false_positives_allowed(fpr, N) for fpr in fprs]
    members, nonmembers = values[:, member], values[:, ~member]
    sides = [_Side(*of_attack, max(allowed)) for of_attack in zip(members, nonmembers, strict=True)] if allowed else []
    tprs = np.empty((values.shape[0], len(allowed), replicates))
    for r in range(replicates):
        times_member = np.bincount(rng.integers(M, size=M), minlength=M)
        times_nonmember = np.bincount(rng.integers(N, size=N), minlength=N)
        for attack, side in enumerate(sides):
            tprs[attack, :, r] = side.found(times_member, times_nonmember, allowed) / M
    return tprs


class _Side:
    """One attack's members and non-members, (n,) scores each, highest first, looked at only as far as is needed.

    most: the largest number of false positives that `found` will be asked about.
    """

    def __init__(self, members: Floats, nonmembers: Floats, most: int) -> None:
        self.above = members_above(members, nonmembers)
        self.member_order = np.argsort(-members)
        self.nonmember_order = np.argsort(-nonmembers)
        self.length = min(nonmembers.size, most + 10 * math.isqrt(most) + 100)

    def found(self, times_member: Integers, times_nonmember: Integers, allowed: Sequence[int]) -> Integers:
        """(len(allowed),): drawn members above the drawn non-member that is one too many.

        times_member, times_nonmember: how often each record was drawn, in the order of the scores.
        """
        while True:
            accused = np.cumsum(times_nonmember[self.nonmember_order[: self.length]])
            if self.length == self.nonmember_order.size or accused[-1] > max(allowed):
                break
            self.length = min(self.nonmember_order.size, 2 * self.length)
        too_many = np.searchsorted(accused, allowed, side="right")  # N where no non-member is one too many
        hits = self.above[too_many]
        drawn = np.append(0, np.cumsum(times_member[self.member_order[: hits.max()]]))
        found: Integers = drawn[hits]
        return found


def members_above(members: Floats, nonmembers: Floats) -> NDArray[np.int64]:
    """(N + 1,): members with a score strictly above the j-th highest non-member; all of them at j = N."""
    highest_first = np.sort(nonmembers)[::-1]
    not_above = np.searchsorted(np.sort(members), highest_first, side="right")
    return np.append(members.size - not_above, members.size).astype(np.int64)


def compare_tpr(
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    is_member: ArrayLike,
    *,
    fpr: float,
    replicates: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Comparison:
    """Return TPR of a - TPR of b at an FPR, with a percentile interval and a two-sided bootstrap p-value.

    scores_a, scores_b: (samples,), finite. is_member: bool, (samples,).
    Replicates are those of `replicate_tprs`, so the thresholds' spread is in them. `difference` is that of the data.
    With few records it errs on the wide side: a replicate's threshold jumps from record to record, which adds spread.
    In simulations of two equally good attacks, FPR worth 1 to 20 non-members, 200 to 1,000 a side, 1 to 2 % of p were
    below 0.05 and 98 % of the 95 % intervals held 0; with 5,000 a side, FPR worth 5 and 500, 2 and 6 %, 97 and 93 %.
    p = 2 min(1 + replicates with difference <= 0, 1 + replicates with difference >= 0) / (replicates + 1), at most 1:
    never 0, and 1 for attacks that are equal in every replicate.
    Replicates know nothing of records that were not drawn: where a handful of members tells the attacks apart they
    are too sure (5 members found by a alone: p = 0.014, by a sign test 0.06), and where none does they are all 0. Hence
    p is at least that of the exact sign test (McNemar) on the members that only one of the two finds at its threshold,
    and the interval is widened where need be to hold the limits at fixed thresholds: Clopper-Pearson of the two shares
    "found by a alone" and "by b alone", joined by MOVER (Zou & Donner 2008; see `decisions.decision`).
    InputError: as `replicate_tprs`; fewer than 2 / (1 - level) replicates (40 for 0.95).
    """
    a, b = np.asarray(scores_a, dtype=np.float64), np.asarray(scores_b, dtype=np.float64)
    if a.shape != b.shape:
        raise InputError(f"scores_a, scores_b: expected the same records, got shapes {a.shape} and {b.shape}")
    tail = enough_replicates(replicates, level)
    values, member = np.stack([a, b]), np.asarray(is_member)
    tprs = replicate_tprs(values, member, fprs=[fpr], replicates=replicates, rng=rng)
    called = [_members_called(row, member, fpr) for row in values]
    return _tpr_difference(called[0], called[1], tprs[0, 0] - tprs[1, 0], tail)


def _members_called(score: Floats, is_member: Bools, fpr: float) -> Bools:
    """(members,): which members are called members at the point of `roc.tpr_at`."""
    return named_at(score, is_member, fpr)[is_member]


def reach_of_shares(a_alone: int, b_alone: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """How far the limits of (a_alone - b_alone) / n lie below and above it: Clopper and Pearson's, joined by MOVER."""
    lows, highs = clopper_pearson([a_alone, b_alone], n, level)
    return mover(Estimate(a_alone / n, lows[0], highs[0]), Estimate(b_alone / n, lows[1], highs[1]))


def sign_test(a_alone: int, b_alone: int) -> float:
    """Return the p-value of "a and b find equally often what only one of them finds" (McNemar's exact test)."""
    return distributions.sign_test(a_alone, b_alone)


def _tpr_difference(called_a: Bools, called_b: Bools, replicated: Floats, tail: float) -> Comparison:
    M = called_a.size
    a_alone, b_alone = int((called_a & ~called_b).sum()), int((called_b & ~called_a).sum())
    difference = (a_alone - b_alone) / M
    low, high = np.quantile(replicated, [tail, 1 - tail])
    below, above = reach_of_shares(a_alone, b_alone, M, level=1 - 2 * tail)
    rarer = 1 + min(int((replicated <= 0).sum()), int((replicated >= 0).sum()))
    return Comparison(
        difference,
        max(-1.0, min(float(low), difference - below)),
        min(1.0, max(float(high), difference + above)),
        min(1.0, max(2 * rarer / (replicated.size + 1), sign_test(a_alone, b_alone))),
    )


# ---- many attacks


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values adjusted for being many: the chance of even one false "better" is at most the level held to.

    p_values: (tests,), in [0, 1]; the result is in the same order. The i-th smallest of n becomes the largest of
    (n - j + 1) p_(j) over j <= i, at most 1. Holds however the tests depend on each other.
    InputError: not one-dimensional, or a value that is NaN or outside [0, 1].
    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise InputError(f"p_values: expected shape (tests,), got {p.shape}")
    bad = ~((p >= 0) & (p <= 1))
    if bad.any():
        raise InputError(f"p_values: expected numbers in [0, 1], got {p[bad][0]}")
    order = np.argsort(p)
    stepped = np.maximum.accumulate((p.size - np.arange(p.size)) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def stacked_scores(scores: Mapping[str, ArrayLike], is_member: ArrayLike) -> tuple[list[str], Floats, Bools]:
    """Names, (attacks, samples) scores and membership. Raises InputError without attacks, or for other records."""
    member = np.asarray(is_member)
    if not scores:
        raise InputError("scores: expected at least one attack, got none")
    for name, score in scores.items():
        if np.shape(score) != member.shape:
            raise InputError(f"scores: {name!r} has shape {np.shape(score)}, is_member {member.shape}")
    return list(scores), np.stack([np.asarray(score, dtype=np.float64) for score in scores.values()]), member


def table(
    scores: Mapping[str, ArrayLike],
    is_member: ArrayLike,
    *,
    fprs: Sequence[float],
    replicates: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> pd.DataFrame:
    """Return one row a pair of attacks, the one with the higher AUC as attack_a, best attacks first.

    scores: name -> (samples,), all of the same records; attacks of equal AUC keep the order they come in.
    Columns: attack_a, attack_b; auc_difference, auc_low, auc_high, auc_p (`compare_auc`), auc_p_holm (`holm` over
    all rows); for each of `fprs` that the non-members resolve, with key = `metrics.fpr_key(fpr)`: {key}_difference,
    {key}_low, {key}_high, {key}_p (as `compare_tpr`, from one set of replicates), not adjusted.
    AUC columns keep 4 decimals, TPR columns 6, p-values 3 significant digits. One attack: no row.
    Cost: that of `replicate_tprs`.
    InputError: no attack, an attack of other records, else as `compare_auc` and `compare_tpr`.
    """
    tail = enough_replicates(replicates, level)
    unsorted_names, values, member = stacked_scores(scores, is_member)
    areas = [auc(curve(row, member)) for row in values]
    order = sorted(range(len(areas)), key=lambda at: -areas[at])
    names, values = [unsorted_names[at] for at in order], values[order]
    resolved = [fpr for fpr in fprs if resolvable(fpr, int((~member).sum()))]
    tprs = replicate_tprs(values, member, fprs=resolved, replicates=replicates, rng=rng)
    placed = [placements(row, member) for row in values]
    called = [[_members_called(row, member, fpr) for fpr in resolved] for row in values]
    pairs = list(combinations(range(len(names)), 2))
    by_auc = [compare_auc(placed[a], placed[b], level=level) for a, b in pairs]
    columns: dict[str, list[str] | Floats] = {
        "attack_a": [names[a] for a, _ in pairs],
        "attack_b": [names[b] for _, b in pairs],
        **_columns("auc", by_auc, _DECIMALS),
        "auc_p_holm": _digits(holm([comparison.p_value for comparison in by_auc])),
    }
    for i, fpr in enumerate(resolved):
        by_tpr = [_tpr_difference(called[a][i], called[b][i], tprs[a, i] - tprs[b, i], tail) for a, b in pairs]
        columns |= _columns(fpr_key(fpr), by_tpr, _TPR_DECIMALS)
    return pd.DataFrame(columns)


def _columns(key: str, comparisons: Sequence[Comparison], decimals: int) -> dict[str, list[str] | Floats]:
    columns: dict[str, list[str] | Floats] = {}
    for name in ("difference", "low", "high"):
        values = np.array([getattr(comparison, name) for comparison in comparisons], dtype=np.float64)
        columns[f"{key}_{name}"] = values.round(decimals) + 0.0  # no -0.0
    return columns | {f"{key}_p": _digits([comparison.p_value for comparison in comparisons])}


def _digits(p_values: ArrayLike) -> Floats:
    return np.array([float(f"{p:.{_P_DIGITS}g}") for p in np.asarray(p_values)], dtype=np.float64)
