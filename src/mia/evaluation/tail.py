"""How many non-members lie in the tail of high losses that training has emptied of members.

The TNR of the loss attack, a forecast of what attacks with reference models would find, which needs none.
Dodd, Krčo, Shilov & de Montjoye 2025, "The Tail Tells All" (arXiv 2510.19773). Read: its abstract and its reviews. They
name the number (LOSS TNR; TNR at an FNR in the figures), and say that it rises with LiRA's TPR at a low FPR over data
sets and architectures, and that it hangs on the FNR chosen. Not read: the section that chooses the FNR, and the fitted
lines. So no TPR is computed from it here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mia.arrays import Bools, Floats
from mia.evaluation import verdict
from mia.evaluation.strongest import tpr_limits

LEVEL = 0.95


def numbers(loss: Floats, is_member: Bools, fnrs: Sequence[float]) -> dict[str, float]:
    """The TNR of the loss attack with 95 % limits: fnr, tnr, tnr_low, tnr_high; empty where the members are too few.

    loss: nats, (samples,). At most a share `fnr` of the members has a loss above the threshold; the TNR is the share of
    non-members that has. It is the ROC turned round: `strongest.tpr_limits` of the loss, with the sides exchanged.
    fnr: of `fnrs` that nearest to 1 % which is worth ten members, as `verdict.headline_fpr` has it of non-members.
    """
    fnr = verdict.headline_fpr(fnrs, int(is_member.sum()))
    if fnr is None:
        return {}
    tnr = tpr_limits(loss[~is_member], loss[is_member], fpr=fnr, tail=(1 - LEVEL) / 2)
    limits = {"tnr": tnr.value, "tnr_low": tnr.low, "tnr_high": tnr.high}
    return {"fnr": fnr, **{name: round(float(value), 5) for name, value in limits.items()}}


def sentence(measured: Mapping[str, Any], noun: str) -> str:
    """The forecast in words. measured: as `numbers` gives it, not empty. noun: what one audited record is called."""
    fnr = verdict.rate(measured["fnr"])
    return (
        f"Forecast of what shadow models would find: {fnr} % of the members have a loss above some level, and "
        f"{verdict.share(measured, 'tnr')} of the non-members have one. Without a leak, both shares are {fnr} %. The "
        f"larger the second share, the more {noun}s attacks with shadow models recognise. It is no TPR."
    )
