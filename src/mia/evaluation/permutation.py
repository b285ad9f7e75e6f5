"""Exact tests: how often would an attack do as well on a model that knows nothing of its members?

If the scores say nothing of membership, then every way of calling M of the M + N records members was as likely as the
one that happened. So membership is drawn anew many times, each time every attack is measured, and the best of them is
kept: the share of draws whose best is as good as an attack is that attack's p-value. It allows for the attacks' being
many and alike, for ties, for few records and for unequal sides, and rests on no approximation.
Source: Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010); for the best of many
Westfall & Young 1993, ch. 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mia.arrays import Bools, Floats
from mia.errors import InputError
from mia.evaluation.distributions import ranks as ranks_of
from mia.evaluation.roc import curve, false_positives_allowed, of_attacks, tpr_at

PERMUTATIONS = 1999
_AT_ONCE = 100  # draws held in memory
_COLUMNS = 1024  # records whose memberships are made floats at a time: they stay in the processor's cache

Counts = NDArray[np.int64]


class PValues(NamedTuple):
    """P-values of "this attack knows nothing", adjusted for all attacks that were tried.

    auc: (attacks,), of the AUC, on either side of 0.5. tpr: (attacks, fprs), of the TPR at each FPR, above it alone.
    Each is a multiple of 1 / (permutations + 1) and never 0.
    """

    auc: Floats
    tpr: Floats


def p_values(
    scores: ArrayLike,
    is_member: ArrayLike,
    *,
    fprs: Sequence[float],
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> PValues:
    """Return how often the best of all attacks does as well as each when membership is drawn anew.

    scores: (attacks, samples), finite. is_member: bool, (samples,).
    p = (1 + draws) / (1 + permutations), counting draws in which any attack has a TPR as high, or an AUC as far from
    0.5; how far is counted in standard deviations of the AUC over all draws, which is smaller for attacks with ties.
    Where no attack knows anything, the smallest p of an AUC is at most x with probability at most x, for any number of
    records and of permutations; so is that of the TPR at one FPR.
    Records are exchanged one by one: where some are copies of each other and were kept on one side, p is too small.
    Cost: time O(attacks * samples * permutations); 24 attacks, 1,999 draws: 1 s on 10,000 records, 6 s on 60,000.
    InputError: as `roc.curve`, for each attack; an fpr that `roc.tpr_at` refuses; no attack or no permutation.
    """
    values, member = of_attacks(scores, is_member)
    if permutations < 1:
        raise InputError(f"permutations: expected at least 1, got {permutations}")
    for fpr in fprs:
        tpr_at(curve(values[0], member), fpr)  # says what is wrong with an FPR, if anything is
    n_nonmember = int((~member).sum())
    allowed = [false_positives_allowed(fpr, n_nonmember) for fpr in fprs]
    ranks = ranks_of(values) - (member.size + 1) / 2
    spread = np.maximum(np.sqrt((ranks**2).sum(axis=1, keepdims=True)), 1)  # 0 for an attack with one score for all
    sorted_attacks = [_Sorted(row) for row in values]

    def measured(memberships: Bools) -> tuple[Floats, Counts]:
        """(attacks, draws): how far the members' rank sums are from guessing. (attacks, fprs, draws): members found."""
        hits = [attack.members_found(memberships, allowed) for attack in sorted_attacks]
        sums = np.zeros((len(ranks), len(memberships)))
        for start in range(0, member.size, _COLUMNS):
            part = slice(start, start + _COLUMNS)
            sums += ranks[:, part] @ memberships[:, part].T.astype(np.float64)  # of halves: exact in any order
        return np.abs(sums) / spread, np.stack(hits)

    observed_far, observed_hits = measured(member[None])
    as_good_auc = np.ones(values.shape[0])
    as_good_tpr = np.ones((values.shape[0], len(allowed)))
    for start in range(0, permutations, _AT_ONCE):
        draws = min(_AT_ONCE, permutations - start)
        drawn = rng.permuted(np.tile(member, (draws, 1)), axis=1)
        far, hits = measured(drawn)
        as_good_auc += (far.max(axis=0) >= observed_far).sum(axis=1)
        as_good_tpr += (hits.max(axis=0) >= observed_hits).sum(axis=2)
    return PValues(as_good_auc / (permutations + 1), as_good_tpr / (permutations + 1))


def excludes_chance(p_value: float, *, level: float = 0.95) -> bool:
    """Whether the exact test says that an attack knows something."""
    return p_value <= 1 - level + 1e-12


def limited(low: float, high: float, guess: float, p_value: float) -> tuple[float, float]:
    """An attack's own limits, made to hold guessing where the exact test does not exclude it."""
    return (low, high) if excludes_chance(p_value) else (min(low, guess), max(high, guess))


class _Sorted:
    """One attack's records, highest score first, and where each score begins."""

    def __init__(self, score: Floats) -> None:
        self.order = np.argsort(-score, kind="stable")
        ranked = score[self.order]
        begins = np.append(True, ranked[1:] != ranked[:-1])
        self.first = np.maximum.accumulate(np.where(begins, np.arange(score.size), 0))

    def members_found(self, memberships: Bools, allowed: Sequence[int]) -> Counts:
        """(len(allowed), draws): the most members called members with at most so many non-members called members.

        memberships: (draws, samples). These are the members with a score strictly above that of the (k + 1)-th
        non-member, all of them where there is none. Only as many records are looked at as that one needs.
        """
        draws, samples = memberships.shape
        n_nonmember = int((~memberships[0]).sum())
        most = max(allowed, default=0) + 1
        length = min(samples, math.ceil(1.2 * most * samples / n_nonmember) + 100)
        while True:
            nonmembers = np.cumsum(~memberships[:, self.order[:length]], axis=1, dtype=np.int32)
            if length == samples or nonmembers[:, -1].min() >= most:
                break
            length = min(samples, 2 * length)
        hits = np.empty((len(allowed), draws), dtype=np.int64)
        for row, k in enumerate(allowed):
            if k >= n_nonmember:
                hits[row] = samples - n_nonmember
                continue
            one_too_many = (nonmembers <= k).sum(axis=1)  # the place of the (k + 1)-th non-member
            above = self.first[one_too_many]
            hits[row] = above - np.where(above > 0, nonmembers[np.arange(draws), above - 1], 0)
        return hits
