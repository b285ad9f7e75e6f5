"""What these records could have shown: is an AUC of 0.5 a bug, a safe model, or too few records?"""

from __future__ import annotations

import math

from mia.errors import InputError
from mia.evaluation.distributions import normal_quantile


def detectable_auc(n_member: int, n_nonmember: int, *, level: float = 0.95, power: float = 0.8) -> float:
    """Return the smallest AUC above 0.5 that a two-sided test at 1 - level finds with this power.

    0.5 + (z(1 - (1 - level) / 2) + z(power)) sd, sd^2 = (M + N + 1) / (12 M N), the variance of the AUC of scores that
    say nothing (Mann & Whitney 1947). NaN where that is 1 or more: so few records that no attack would have shown.
    Approximate: the same sd stands in for that under a leak, which is a little smaller for most attacks and larger for
    one that finds a few members and says nothing of the rest. For normal scores the true power is within 0.05 of the
    nominal one, from 100 records a side. This holds for the AUC only: an attack may find a few members at a low FPR and
    leave the AUC near 0.5.
    InputError: a count below 1, level or power not in (0, 1).
    """
    if n_member < 1 or n_nonmember < 1:
        raise InputError(f"counts: expected at least 1 a side, got {n_member} members and {n_nonmember} non-members")
    for name, value in (("level", level), ("power", power)):
        if not 0 < value < 1:
            raise InputError(f"{name}: expected a number in (0, 1), got {value}")
    sd = math.sqrt((n_member + n_nonmember + 1) / (12 * n_member * n_nonmember))
    smallest = 0.5 + (normal_quantile((1 - level) / 2) - normal_quantile(power)) * sd
    return smallest if smallest < 1 else math.nan


def sentence(auc: float, low: float, high: float, n_member: int, n_nonmember: int, *, attacks: int = 1) -> str:
    """Return one plain line on an AUC and its 95 % limits, for readers who wonder whether an AUC of 0.5 is a bug.

    low, high: as `permutation.limited` leaves them, so that of many attacks that know nothing none is said to find
    members. attacks: how many were tried. "finds members" when low > 0.5; "ranks non-members first: ..." when
    high < 0.5; else "no better than guessing; ...", with `detectable_auc` at 1 - 0.05 / attacks (Bonferroni's rule:
    a leak that it shows the exact test shows too, or nearly so), to 3 decimals, or that the records are too few to say.
    InputError: auc, low or high not in [0, 1], or low > high; else as `detectable_auc`.
    """
    if not (0 <= auc <= 1 and 0 <= low <= high <= 1):
        raise InputError(f"auc, low, high: expected numbers in [0, 1] with low <= high, got {auc}, {low} and {high}")
    smallest = detectable_auc(n_member, n_nonmember, level=1 - 0.05 / attacks)
    if low > 0.5:
        return "finds members"
    if high < 0.5:
        return "ranks non-members first: its assumption is wrong here"
    if math.isnan(smallest):
        return "no better than guessing; the records are too few to find any AUC"
    least = f"{smallest:.3f}".removeprefix("0")
    return f"no better than guessing; an AUC of {least} or more would have been found 4 times in 5"
