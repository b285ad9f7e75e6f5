"""The strongest of many attacks: its number, limits that allow for the choice, and a test against chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mia.arrays import Bools, Floats
from mia.evaluation import distributions, permutation
from mia.evaluation.differences import auc_interval, holm, members_above, placements, stacked_scores
from mia.evaluation.intervals import Estimate, clopper_pearson, tail_of
from mia.evaluation.roc import false_positives_allowed
from mia.evaluation.verdict import headline_fpr

_NEGLIGIBLE = 1e-12  # a threshold of the bootstrap that is rarer is left out


@dataclass(frozen=True)
class Strongest:
    """An attack, its number, and the p-value of "no attack knows anything" (`mia.evaluation.permutation`)."""

    attack: str
    estimate: Estimate
    p_value: float

    def rounded(self, name: str, decimals: int) -> dict[str, float]:
        """Value, limits and p-value under the names that the verdict gives them."""
        ends = self.estimate.value, self.estimate.low, self.estimate.high, self.p_value
        names = name, f"{name}_low", f"{name}_high", f"{name}_p"
        return {key: round(float(number), decimals) for key, number in zip(names, ends, strict=True)}


def verdict_numbers(
    scores: Mapping[str, ArrayLike], is_member: ArrayLike, fprs: Sequence[float], chance: permutation.PValues
) -> dict[str, Any]:
    """Return the numbers of the verdict, as metrics/verdict.json keeps them; in words: `mia.evaluation.verdict`.

    scores: name -> (samples,), all of the same records. fprs: those that the non-members resolve; `chance` is of these.
    The two claims, of the AUC and of the TPR, have the exact test's p-values, that of the AUC over the attacks above
    0.5, adjusted for being two after Holm. Where
    the non-members are too few for any FPR (`verdict.headline_fpr`), there is no TPR.
    InputError: as `differences.table`.
    """
    names, values, member = stacked_scores(scores, is_member)
    n_member, n_nonmember = int(member.sum()), int((~member).sum())
    fpr = headline_fpr(fprs, n_nonmember)
    estimates = _auc_estimates(values, member, 0.95)
    # An AUC is a multiple of half a pair of records: what is nearer to 0.5 than a quarter is rounding.
    above = np.array([(estimate.value - 0.5) * n_member * n_nonmember > 0.25 for estimate in estimates])
    claims = [float(chance.auc[above].min(initial=1))]  # an attack that is turned round ranks no member above others
    if fpr is not None:
        claims.append(float(chance.tpr[:, fprs.index(fpr)].min()))
    p_auc, *p_tpr = holm(claims).tolist()
    by_auc = _picked(names, estimates, guess=0.5, p_value=p_auc, level=0.95)
    numbers: dict[str, Any] = {"attacks": len(scores), "n_member": n_member, "n_nonmember": n_nonmember}
    numbers |= {"auc_attack": by_auc.attack, **by_auc.rounded("auc", 4)}
    if fpr is not None:
        by_tpr = strongest_tpr(scores, member, fpr=fpr, p_value=p_tpr[0])
        numbers |= {"fpr": fpr, "tpr_attack": by_tpr.attack, **by_tpr.rounded("tpr", 5)}
    return numbers


def strongest_tpr(
    scores: Mapping[str, ArrayLike], is_member: ArrayLike, *, fpr: float, p_value: float, level: float = 0.95
) -> Strongest:
    """Return the attack with the highest TPR at an FPR, that TPR, and limits that allow for its having been picked.

    scores: name -> (samples,), all of the same records; the first of equals. p_value: as `permutation.p_values` has it
    for the best attack.
    The best of many is partly luck, and its own interval does not know. So the limits of all attacks are made to hold
    at once by Bonferroni's rule: `tpr_limits` at 1 - (1 - level) / attacks. The TPR of whichever attack is the
    strongest then lies between the highest lower and the highest upper limit. Whether it lies above guessing the exact
    test says: where the value is above guessing and the test excludes guessing at 1 - level, the lower limit is no
    lower than guessing, elsewhere no higher.
    InputError: as `differences.table`.
    """
    names, values, member = stacked_scores(scores, is_member)
    tail = tail_of(level) / len(names)
    estimates = [tpr_limits(row[member], row[~member], fpr=fpr, tail=tail) for row in values]
    return _picked(names, estimates, guess=fpr, p_value=p_value, level=level)


def strongest_auc(
    scores: Mapping[str, ArrayLike], is_member: ArrayLike, *, p_value: float, level: float = 0.95
) -> Strongest:
    """Return the attack with the highest AUC, that AUC, and limits that allow for its having been picked.

    As `strongest_tpr`, with the limits of `differences.auc_interval`.
    """
    names, values, member = stacked_scores(scores, is_member)
    estimates = _auc_estimates(values, member, level)
    return _picked(names, estimates, guess=0.5, p_value=p_value, level=level)


def _auc_estimates(values: Floats, member: Bools, level: float) -> list[Estimate]:
    """The AUC of each of (attacks, samples) scores, with limits that hold for all attacks at once (Bonferroni)."""
    return [auc_interval(placements(row, member), level=1 - (1 - level) / len(values)) for row in values]


def _picked(names: list[str], estimates: list[Estimate], *, guess: float, p_value: float, level: float) -> Strongest:
    best = int(np.argmax([estimate.value for estimate in estimates]))
    low, high = (max(getattr(estimate, end) for estimate in estimates) for end in ("low", "high"))
    value = estimates[best].value
    more = value > guess and permutation.excludes_chance(p_value, level=level)
    return Strongest(names[best], Estimate(value, max(low, guess) if more else min(low, guess), high), p_value)


def tpr_limits(members: Floats, nonmembers: Floats, *, fpr: float, tail: float) -> Estimate:
    """Return the TPR at an FPR with limits that leave out `tail` on each side.

    members, nonmembers: scores, (n,) each. The value is that of `roc.tpr_at`.
    The limits are those of the percentile bootstrap that draws members and non-members with replacement, as
    `bootstrap.estimates` does, computed instead of drawn: no number of replicates reaches a tail of one in a thousand.
    With at most k false positives, a replicate's threshold is its (k + 1)-th highest non-member. That one is among the
    j highest of the data with the probability that k + 1 or more of N draws are, and the members found are then
    binomial. The limits are widened where need be to Clopper and Pearson's at the data's own threshold.
    """
    M, N = members.size, nonmembers.size
    k = false_positives_allowed(fpr, N)
    above = members_above(members, nonmembers)
    hits = int(above[min(k, N)])
    low, high = (float(end) for end in clopper_pearson(hits, M, 1 - 2 * tail))
    if k < N:
        # P(Binomial(N, j / N) > k) = P(Beta(k + 1, N - k) < j / N), for j = 0 .. N
        weights = np.diff(distributions.beta_at_most(np.arange(N + 1) / N, k + 1, N - k))
        likely = weights > _NEGLIGIBLE
        weights, shares = weights[likely] / weights[likely].sum(), above[:N][likely] / M
        low = min(low, _quantile(tail, weights, shares, M) / M)
        high = max(high, _quantile(1 - tail, weights, shares, M) / M)
    return Estimate(hits / M, low, high)


def _quantile(share: float, weights: Floats, shares: Floats, trials: int) -> int:
    """The smallest count that a mixture of binomials does not exceed with at least the probability `share`."""
    low, high = -1, trials
    while high - low > 1:
        middle = (low + high) // 2
        reached = float(weights @ distributions.binomial_at_most(middle, trials, shares)) >= share
        low, high = (low, middle) if reached else (middle, high)
    return high
