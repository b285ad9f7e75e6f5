"""What an audit found, in words: which attack is the strongest, what it recognises, and what that means.

Numbers come from `metrics/verdict.json`, which `evaluate` writes; sentences are made here for the terminal, the report
and README alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mia import roc

ASKED_FPR = 0.01  # one false alarm in a hundred, or what the non-members can resolve that is nearest to it
KEYS = ("attacks", "n_member", "n_nonmember", "auc_attack", "auc", "auc_low", "auc_high")
TPR_KEYS = (
    "fpr",
    "tpr_attack",
    "tpr",
    "tpr_low",
    "tpr_high",
)  # left out where the non-members resolve no FPR asked for

_NUMBERS = {10: "ten", 100: "a hundred", 1000: "a thousand", 10_000: "ten thousand"}


def headline_fpr(fprs: Iterable[float], n_nonmember: int) -> float | None:
    """The FPR the verdict is given at: of those that the non-members can resolve the nearest to 1 %, by their ratio."""
    known = [fpr for fpr in fprs if roc.resolvable(fpr, n_nonmember)]
    return min(known, key=lambda fpr: abs(math.log(fpr / ASKED_FPR)), default=None)


def recognises(found: Mapping[str, Any]) -> bool:
    """Whether the strongest attack surely recognises more members than guessing does."""
    return "tpr" in found and bool(found["tpr_low"] > found["fpr"])


def ranks(found: Mapping[str, Any]) -> bool:
    """Whether some attack surely ranks members above non-members."""
    return bool(found["auc_low"] > 0.5)


def sentence(found: Mapping[str, Any]) -> str:
    """The verdict: what share of the training images is recognised at one low FPR, where guessing gets that FPR."""
    if "tpr" not in found:
        return (
            f"{found['n_nonmember']} non-members are too few to say what an attacker recognises at so few false alarms "
            "as matter."
        )
    who = f"an attacker who may raise one false alarm in {one_in(found['fpr'])}"
    value, low, high = (percent(found[name]) for name in ("tpr", "tpr_low", "tpr_high"))
    guess = rate(found["fpr"])
    if recognises(found):
        return f"Of the training images, {who} recognises {value} % ({low} to {high}); guessing would give {guess} %."
    return (
        f"It is not shown that {who} recognises more of the training images than guessing would: "
        f"{value} % ({low} to {high}), where guessing gives {guess} %."
    )


def short(found: Mapping[str, Any]) -> str:
    """The verdict without a number."""
    if recognises(found):
        many = "some" if found["tpr"] < 0.1 else "many" if found["tpr"] < 0.5 else "most"
        return f"The model gives away {many} of its training images to an attacker who makes few mistakes."
    if not ranks(found):
        return "No leak is shown."
    if "tpr" not in found:
        return "The model's answers tell training images from others; at few false alarms, nobody can say on so few."
    return "The model's answers tell training images from others, but not surely at few false alarms."


def ranking(found: Mapping[str, Any]) -> str:
    """What the best AUC says, in words."""
    value, low, high = (f"{100 * found[name]:.0f}" for name in ("auc", "auc_low", "auc_high"))
    if ranks(found):
        return (
            f"Shown one training image and one other, an attacker says which is which {value} times in 100 "
            f"({low} to {high}); guessing: 50."
        )
    return (
        "Shown one training image and one other, an attacker does not say which is which any better than guessing, as "
        f"far as these records can tell: {value} times in 100 ({low} to {high}); guessing: 50."
    )


def right_when_naming(tpr: float, fpr: float) -> float:
    """The share of members among the records named, were members and non-members as many: TPR / (TPR + FPR)."""
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


def rate(fpr: float) -> str:
    """An FPR, which was chosen and not measured, as percent without the sign: 1, 0.1."""
    return f"{100 * fpr:g}"
