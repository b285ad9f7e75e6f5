"""The verdict in words: which attack is the strongest, how many members it recognises, and what that means.

Numbers come from `metrics/verdict.json`, which `evaluate` writes; sentences are made here for the terminal, the report
and README alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mia.evaluation import permutation, roc, wording

ASKED_FPR = 0.01  # one non-member in a hundred, or what the non-members can resolve that is nearest to it
LEAST_FALSE_ALARMS = 10  # non-members that an FPR must be worth: on fewer, a threshold hangs on chance
KEYS = ("attacks", "n_member", "n_nonmember", "auc_attack", "auc", "auc_low", "auc_high", "auc_p")
KINDS = ("image", "record")  # the noun of one audited record in every sentence, the first where none is named
TPR_KEYS = ("fpr", "tpr_attack", "tpr", "tpr_low", "tpr_high", "tpr_p")  # left out where the non-members are too few

_NUMBERS = {10: "ten", 100: "a hundred", 1000: "a thousand", 10_000: "ten thousand"}


def headline_fpr(fprs: Iterable[float], n_nonmember: int) -> float | None:
    """The FPR the verdict is given at: of those worth `LEAST_FALSE_ALARMS` non-members the nearest to 1 %, by their
    ratio; None where there is none.
    """
    known = [fpr for fpr in fprs if roc.false_positives_allowed(fpr, n_nonmember) >= LEAST_FALSE_ALARMS]
    return min(known, key=lambda fpr: abs(math.log(fpr / ASKED_FPR)), default=None)


def noun(numbers: Mapping[str, Any]) -> str:
    """What one audited record is called, "image" or "record": `kind` of metrics/verdict.json; images where absent."""
    return str(numbers.get("kind", KINDS[0]))


def recognises(numbers: Mapping[str, Any]) -> bool:
    """Whether the strongest attack recognises more members than guessing does, by the exact test."""
    return "tpr" in numbers and numbers["tpr"] > numbers["fpr"] and _more_than_chance(numbers, "tpr", numbers["fpr"])


def ranks(numbers: Mapping[str, Any]) -> bool:
    """Whether some attack ranks members above non-members, by the exact test."""
    return numbers["auc"] > 0.5 and _more_than_chance(numbers, "auc", 0.5)


def _more_than_chance(numbers: Mapping[str, Any], name: str, guess: float) -> bool:
    """By the exact test; by the lower limit where an audit was made before there was one."""
    if f"{name}_p" in numbers:
        return permutation.excludes_chance(numbers[f"{name}_p"])
    return bool(numbers[f"{name}_low"] > guess)


def sentence(numbers: Mapping[str, Any]) -> str:
    """The verdict: the share of the training records that is recognised at one low FPR, beside guessing's share."""
    if "tpr" not in numbers:
        return (
            f"{numbers['n_nonmember']:,} non-members are too few to measure what an attacker recognises at a low FPR: "
            f"10 % FPR needs {10 * LEAST_FALSE_ALARMS} non-members, 1 % FPR needs {100 * LEAST_FALSE_ALARMS:,}."
        )
    recognised, guess, records = of_both(numbers), rate(numbers["fpr"]), f"{noun(numbers)}s"
    where = f"if one non-member in {one_in(numbers['fpr'])} is accused ({guess} % FPR); guessing gives {guess} %."
    if recognises(numbers):
        return f"An attacker recognises {recognised} of the training {records} {where}"
    return (
        f"It is not shown that an attacker recognises more of the training {records} than guessing does: "
        f"{recognised} {where}"
    )


def short(numbers: Mapping[str, Any]) -> str:
    """The verdict without a number."""
    records = f"{noun(numbers)}s"
    if recognises(numbers):
        few = numbers["fpr"] <= ASKED_FPR
        who = "few non-members" if few else f"one non-member in {one_in(numbers['fpr'])}"
        return f"The model reveals training {records} to an attacker who accuses {who}."
    if not ranks(numbers):
        return "No leak is shown."
    if "tpr" not in numbers:
        return f"The model's answers tell training {records} from others; the non-members are too few for a low FPR."
    return (
        f"The model's answers tell training {records} from others; at {rate(numbers['fpr'])} % FPR that is not shown."
    )


def ranking(numbers: Mapping[str, Any]) -> str:
    """The best AUC in words."""
    times = wording.with_limits(
        wording.estimate(numbers, "auc"), lambda share: f"{100 * share:.0f}", unit=" times in 100"
    )
    pair = f"Shown one training {noun(numbers)} and one other, an attacker tells them apart {times}"
    if ranks(numbers):
        return f"{pair}; guessing succeeds 50 times."
    return f"{pair}. These records do not show that this is better than guessing, which succeeds 50 times."


def right_when_accusing(tpr: float, fpr: float) -> float:
    """The share of members among the accused, if half of all records are members: TPR / (TPR + FPR)."""
    return tpr / (tpr + fpr) if tpr + fpr > 0 else math.nan


def one_in(fpr: float) -> str:
    """0.01 as in one of "a hundred"."""
    count = 1 / fpr
    if abs(count - round(count)) < 1e-6 * count:
        return _NUMBERS.get(round(count), f"{round(count):,}")
    return f"{count:.3g}"


def percent(share: float) -> str:
    """A measured share as percent without the sign, to two digits, or to the whole: 4.0, 0.12, 37."""
    value = 100 * share
    if value >= 9.95:
        return f"{value:.0f}"
    if value >= 0.995:
        return f"{value:.1f}"
    return f"{value:.2g}"


def share(entry: Mapping[str, Any], name: str) -> str:
    """The share of that name in percent, with its limits: 37 % (34 to 40)."""
    return wording.with_limits(wording.estimate(entry, name), percent, unit=" %")


def of_both(numbers: Mapping[str, Any]) -> str:
    """The share recognised, with what these records and what another training leave open, as in 37 % (other records: 34
    to 40; another training: ± 2.1); as `share` where the latter is not known.
    """
    if numbers.get("tpr_spread") is None:
        return share(numbers, "tpr")
    value, low, high = (percent(number) for number in wording.estimate(numbers, "tpr"))
    return f"{value} % (other records: {low} to {high}; another training: ± {percent(numbers['tpr_spread'])} or less)"


def rate(fpr: float) -> str:
    """An FPR, which was chosen and not measured, as percent without the sign: 1, 0.1."""
    return f"{100 * fpr:g}"
