"""LiRA, the likelihood ratio attack: Gaussians fitted to a record's margins by models with and without it.

Carlini et al. 2022, "Membership Inference Attacks From First Principles", Alg. 1 and Sec. V-VI. Each attack is a
function of an `Evidence` to scores, float64, (samples,), higher = member. Views are taken as independent, so that their
log likelihoods are added; each view has its own mean and variance.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy.special import log_ndtr

from mia.arrays import Floats
from mia.attacks.evidence import Evidence, Moments
from mia.errors import InputError

Variance = Literal["auto", "record", "pooled"]

# Models on a side from which "auto" trusts each record's own variance. With 16 its standard deviation is known to about
# 18 %. Ours: the paper (Sec. VI) only says that one variance for all is better with few models.
RECORD_VARIANCE_FROM = 16
# nats^2. Training twice moves a margin by about a nat; float32 logits of size 10 are rounded at 1e-6. A spread below
# 0.001 nats is therefore an accident of few models, and dividing by it would only tell that the margins differ.
LEAST_VARIANCE = 1e-6


def online(evidence: Evidence, *, variance: Variance) -> Floats:
    """Log of the likelihood ratio of the target's margins, IN over OUT, nats: sum over views of log N_in - log N_out.

    Alg. 1 ("online") with k queries as in Sec. VI: N_in and N_out are Gaussians with the mean of the IN and of the OUT
    references' margins and a variance per side, estimated as `side_variance` says.
    InputError: as `side_variance`, on either side.
    """
    ratio = _log_density(evidence, evidence.inside, "IN", variance)
    ratio -= _log_density(evidence, evidence.outside, "OUT", variance)
    total: Floats = ratio.sum(axis=1)
    return total


def offline(evidence: Evidence, *, variance: Variance) -> Floats:
    """Log of Pr[Z <= margin] for Z by an OUT model, nats, at most 0: sum over views of log Phi((t - mean) / spread).

    The paper's offline attack: a one-sided test, 1 - Pr[Z > t] with Z ~ N(mean, variance) of the OUT references. It
    never falls as the target's margin rises; minus the log density falls up to the mean. The paper gives it for one
    query; adding logs over views is ours, as online. Beyond 38 spreads above the mean log Phi is below the smallest
    float and rounds to 0, so such records tie at the top.
    InputError: as `side_variance`, on the OUT side.
    """
    out = evidence.outside
    spread = np.sqrt(side_variance(out, "OUT", variance))
    total: Floats = log_ndtr((evidence.target - out.mean) / spread).sum(axis=1)
    return total


def side_variance(side: Moments, name: str, variance: Variance) -> Floats:
    """The variance of margins by the models on one side, nats^2, (samples, views) or (1, views), >= LEAST_VARIANCE.

    "record": each record's own, unbiased: squares / (count - 1). "pooled": one for all records: the sum of squares over
    records / the sum of (count - 1); means stay each record's own (Sec. VI: for few models). "auto": "record" if every
    record has at least RECORD_VARIANCE_FROM models on this side, else "pooled"; decided for each side alone.
    name: IN or OUT, for the message.
    InputError: another value; a record has no model on this side, or fewer than two for "record"; none has two.
    """
    if variance not in get_args(Variance):
        raise InputError(f"variance: expected one of {', '.join(get_args(Variance))}, got {variance!r}")
    least = int(side.count.min())
    by_record = variance == "record" or (variance == "auto" and least >= RECORD_VARIANCE_FROM)
    needed = 2 if by_record else 1
    if least < needed:
        raise InputError(
            f"references: variance={variance} needs at least {needed} {name} models a record, got {least} for record "
            f"{int(side.count.argmin())}; train more shadow models"
        )
    freedom = side.count - 1
    found: Floats
    if by_record:
        found = side.squares / freedom[:, None]
        return np.maximum(found, LEAST_VARIANCE)
    if not freedom.any():
        raise InputError(
            f"references: variance={variance} needs a record with at least 2 {name} models, got 1 for each; "
            "train more shadow models"
        )
    found = side.squares.sum(axis=0, keepdims=True) / freedom.sum()
    return np.maximum(found, LEAST_VARIANCE)


def _log_density(evidence: Evidence, side: Moments, name: str, variance: Variance) -> Floats:
    """Log of the Gaussian density of the target's margins, (samples, views), less log(sqrt(2 pi)), which cancels."""
    spread2 = side_variance(side, name, variance)
    density: Floats = -((evidence.target - side.mean) ** 2) / (2 * spread2) - np.log(spread2) / 2
    return density
