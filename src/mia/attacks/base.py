"""BASE, made to hold up with few reference models, and two steps between it and LiRA.

Each attack is a function of one `Evidence` to scores, float64, (samples,), nats, higher = more likely a member; nothing
but `Moments` of (samples, views) is kept, however many models there are. The paper asks a record once; here every view
is scored by itself, and the scores are summed, as if views were independent (as LiRA does).

Lassila, Östman, Ngo & Graell i Amat 2025, "Practical Bayes-Optimal Membership Inference Attacks" (arXiv 2505.24089;
code: github.com/MarcusLassila/MIA-audit-GNN, src/attacks.py, class BASE). The formulas are those of the authors' code.
Brännvall 2026 (arXiv 2603.11799) orders them by what they fit of a record: BASE, BASE2*, BASE3, LiRA (BASE4). Code and
formulas: github.com/rickardbrannvall/uai2026_rebuttal, code_demo/methods.py (base3) and results/base32.pdf (the star).
"""

from __future__ import annotations

import numpy as np

from mia.arrays import Floats
from mia.attacks.evidence import Evidence, Moments, log_p
from mia.errors import InputError

LEAST_VARIANCE = 1e-10  # nats^2, the author's
OFFLINE_SCALE = 0.7  # the default in the code of the first author; LeakPro, by the second, has 0.33


def online(evidence: Evidence) -> Floats:
    """log p(y|x) of the target less the log of its mean over reference models, half of it IN and half OUT.

    The mean stands for the evidence of the record under a membership prior of one half. The authors take it over all
    models of a balanced design, which is the same; with unequal counts, ours keeps the two sides at one half each.
    The log of that prior's odds, 0, is left out, and so is their final sigmoid, which saturates. Ranks records as RMIA
    with gamma = 1 does (arXiv 2505.24089 and 2603.11799, abstracts). Raises InputError if a record lacks a side.
    """
    _require_all(evidence.inside, "BASE online", "IN")
    _require_all(evidence.outside, "BASE online", "OUT")
    log_mean_p = np.logaddexp(evidence.inside.log_mean_p, evidence.outside.log_mean_p) - np.log(2)
    return _sum_views(log_p(evidence.target) - log_mean_p)


def offline(evidence: Evidence, scale: float = OFFLINE_SCALE) -> Floats:
    """log p(y|x) of the target less `scale` times the log of its mean over OUT models.

    A scale in [0, 1] raises the mean of the OUT models towards what IN models would have added; 1 takes it as it is.
    Raises InputError if a record has no OUT model.
    """
    _require_all(evidence.outside, "BASE offline", "OUT")
    return _sum_views(log_p(evidence.target) - scale * evidence.outside.log_mean_p)


def two_star(evidence: Evidence) -> Floats:
    """BASE2*: (mean IN - mean OUT) (margin - (mean IN + mean OUT) / 2), nats^2: LiRA with one variance for all.

    The log ratio of two Gaussians of a record's own means and of variance 1 (results/base32.pdf, Fig. 1).
    Raises InputError if a record lacks a side.
    """
    _require_all(evidence.inside, "BASE2*", "IN")
    _require_all(evidence.outside, "BASE2*", "OUT")
    return _sum_views(_linear(evidence))


def three(evidence: Evidence) -> Floats:
    """BASE3: BASE2* over the record's variance, that of both sides about their own means: LiRA with one for both.

    The variance is that of the sample, (squares IN + squares OUT) / references, as in the author's code, and at least
    LEAST_VARIANCE. Raises InputError if a record lacks a side.
    """
    inside, outside = evidence.inside, evidence.outside
    _require_all(inside, "BASE3", "IN")
    _require_all(outside, "BASE3", "OUT")
    variance = (inside.squares + outside.squares) / (inside.count + outside.count)[:, None]
    return _sum_views(_linear(evidence) / np.maximum(variance, LEAST_VARIANCE))


def _linear(evidence: Evidence) -> Floats:
    inside, outside = evidence.inside.mean, evidence.outside.mean
    linear: Floats = (inside - outside) * (evidence.target - (inside + outside) / 2)
    return linear


def _require_all(side: Moments, attack: str, name: str) -> None:
    lacking = int((side.count == 0).sum())
    if lacking:
        raise InputError(
            f"{attack}: expected at least one {name} reference model a record, "
            f"got none for {lacking} of {len(side.count)} records; train more shadow models"
        )


def _sum_views(scores: Floats) -> Floats:
    total: Floats = scores.sum(axis=1)
    return total
