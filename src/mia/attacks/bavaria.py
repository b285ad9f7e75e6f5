"""BaVarIA: LiRA with variances shrunk by a prior, made to hold up with few reference models.

Each attack is a function of one `Evidence` to scores, float64, (samples,), nats, higher = more likely a member; nothing
but `Moments` of (samples, views) is kept, however many models there are. The paper asks a record once; here every view
is scored by itself, with its own prior, and the scores are summed, as if views were independent (as LiRA does).

Brännvall 2026, "Exponential-Family Membership Inference: From LiRA and RMIA to BaVarIA" (arXiv 2603.11799; code:
github.com/rickardbrannvall/uai2026_rebuttal, code_demo/methods.py). The formulas are those of the author's code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, hyp2f1, stdtr
from scipy.stats import norm, t

from mia.arrays import Floats
from mia.attacks.evidence import Evidence, Moments
from mia.errors import InputError

KAPPA = 1.0  # the prior mean counts as one model
NORMAL_ALPHA = 1.0  # BaVarIA-n: the prior variance counts as two models
STUDENT_ALPHA = 2.0  # BaVarIA-t: the smallest whole alpha that gives the prior predictive a finite variance
FLOOR = 1e-10  # the least beta, nats^2, for references that agree on every record


@dataclass(frozen=True, eq=False)
class Prior:
    """What is believed of the margins of any record on one side, IN or OUT: normal, with a normal-inverse-gamma prior.

    variance ~ inverse gamma(alpha, beta); mean given variance ~ normal(mean, variance / kappa). mean: (views,), nats.
    beta: (views,), nats^2.
    """

    mean: Floats
    kappa: float
    alpha: float
    beta: Floats


def fit_prior(side: Moments, alpha: float, kappa: float = KAPPA) -> Prior:
    """The prior whose mean and variance are those of every margin on this side, of all records and models together.

    Empirical Bayes with two fixed strengths (`_nig_priors` of the author's code): alpha > 1 has beta / (alpha - 1), the
    mean of the inverse gamma, equal to the variance; with alpha <= 1 that mean does not exist and beta is the variance.
    The variance (of the population: over n) includes what records differ by, as LiRA's pooled variance does.
    """
    models = side.count.sum()
    seen, count = side.count > 0, side.count[:, None]
    mean = np.sum(count * side.mean, axis=0, where=seen[:, None]) / models
    between = np.sum(count * (side.mean - mean) ** 2, axis=0, where=seen[:, None])
    variance = (side.squares.sum(axis=0) + between) / models
    return Prior(mean, kappa, alpha, np.maximum(variance * (alpha - 1 if alpha > 1 else 1), FLOOR))


def normal_predictive(side: Moments, prior: Prior) -> tuple[Floats, Floats]:
    """Mean and variance of each record's margin, both (samples, views): BaVarIA-n.

    The mean is the record's own, not shrunk, or the prior's where it has no model; the variance is its posterior mean,
    beta_n / (alpha_n - 1), or beta_n where that does not exist.
    """
    mean, _, alpha, beta = _posterior(side, prior)
    return mean, np.where(alpha > 1, beta / np.where(alpha > 1, alpha - 1, 1), beta)


def student_predictive(side: Moments, prior: Prior) -> tuple[Floats, Floats, Floats]:
    """Degrees of freedom (samples, 1), location and scale (samples, views) of each record's margin: BaVarIA-t.

    The posterior predictive: 2 alpha_n, the shrunk mean, sqrt(beta_n (kappa_n + 1) / (alpha_n kappa_n)).
    """
    mean, kappa, alpha, beta = _posterior(side, prior)
    location = prior.mean + (kappa - prior.kappa) / kappa * (mean - prior.mean)
    return 2 * alpha, location, np.sqrt(beta * (kappa + 1) / (alpha * kappa))


def normal(evidence: Evidence) -> Floats:
    """BaVarIA-n: log ratio of the IN to the OUT normal density of the target's margin, variances shrunk to the pooled.

    A record without a model on one side has that side's prior there, as the author's offline form has for IN. Where no
    record has an IN model, that prior has nothing to be fitted on (the author's code falls back to a standard normal);
    then, and this is ours, the score is the log of the OUT model's share below the target's margin, log Phi(z), as
    LiRA offline has it. Raises InputError if a side that has any margin has only one, or if OUT has none.
    """
    mean, variance = normal_predictive(evidence.outside, _fitted(evidence.outside, "OUT", NORMAL_ALPHA))
    if not evidence.inside.count.any():
        return _sum_views(norm.logcdf(evidence.target, mean, np.sqrt(variance)))
    outside = norm.logpdf(evidence.target, mean, np.sqrt(variance))
    mean, variance = normal_predictive(evidence.inside, _fitted(evidence.inside, "IN", NORMAL_ALPHA))
    return _sum_views(norm.logpdf(evidence.target, mean, np.sqrt(variance)) - outside)


def student(evidence: Evidence) -> Floats:
    """BaVarIA-t: log ratio of the IN to the OUT posterior predictive density, Student's t, of the target's margin.

    Sides without a model, errors and the one-sided form, log of Student's CDF, as in `normal`.
    """
    df, location, scale = student_predictive(evidence.outside, _fitted(evidence.outside, "OUT", STUDENT_ALPHA))
    if not evidence.inside.count.any():
        return _sum_views(student_log_cdf((evidence.target - location) / scale, df))
    outside = t.logpdf(evidence.target, df, location, scale)
    df, location, scale = student_predictive(evidence.inside, _fitted(evidence.inside, "IN", STUDENT_ALPHA))
    return _sum_views(t.logpdf(evidence.target, df, location, scale) - outside)


def student_log_cdf(z: Floats, df: Floats) -> Floats:
    """The log of Student's CDF, nats, of the broadcast shape, finite however low z is; scipy's falls to -inf.

    Above 0 it is taken from the opposite tail, so that scores tie only where that is below 1e-308. Where the lower tail
    underflows, it is the incomplete beta function as a hypergeometric one (DLMF 8.17.7):
    x^a 2F1(a, 1/2; a + 1; x) / (2 a B(a, 1/2)), with a = df / 2 and x = df / (df + z^2).
    """
    z, df = np.broadcast_arrays(z, df)
    tail = stdtr(df, -np.abs(z))
    value: Floats = np.log1p(-tail)
    below = z < 0
    value[below] = np.log(np.maximum(tail[below], np.finfo(np.float64).tiny))
    deep = below & (tail < 1e-280)
    a, log_x = df[deep] / 2, -np.log1p(z[deep] ** 2 / df[deep])
    series = np.log(hyp2f1(0.5, a, a + 1, np.exp(log_x)))
    value[deep] = a * log_x + series - np.log(2 * a) - betaln(a, 0.5)
    return value


def _posterior(side: Moments, prior: Prior) -> tuple[Floats, Floats, Floats, Floats]:
    """The record's own mean (the prior's without a model) and kappa_n, alpha_n, beta_n; (samples, views or 1)."""
    count = side.count[:, None].astype(np.float64)
    mean = np.where(count > 0, side.mean, prior.mean)
    kappa, alpha = prior.kappa + count, prior.alpha + count / 2
    beta = prior.beta + side.squares / 2 + prior.kappa * count * (mean - prior.mean) ** 2 / (2 * kappa)
    return mean, kappa, alpha, beta


def _fitted(side: Moments, name: str, alpha: float) -> Prior:
    margins = int(side.count.sum())
    if margins < 2:
        raise InputError(
            f"BaVarIA: expected at least 2 {name} margins over all records to fit a prior variance, got {margins}; "
            "train more shadow models"
        )
    return fit_prior(side, alpha)


def _sum_views(scores: Floats) -> Floats:
    total: Floats = scores.sum(axis=1)
    return total
