"""What a membership-inference attack achieved, each rate with its counts and an interval.

Conventions are those of `mia.evaluation.roc`: higher score = member, `score >= threshold`, ties move together. An
undefined value is NaN, never zero. Every interval treats records as independent draws put to this one model:
how much another training of it would differ is not in there (see `epsilon_lower_bound`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainccinv, betaincinv

from mia.arrays import Floats
from mia.errors import InputError
from mia.evaluation.roc import Roc, auc, curve, false_positives_allowed, resolvable, tpr_at


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence limits; value is NaN where undefined, and low, high then say "anything"."""

    value: float
    low: float
    high: float


class Band(NamedTuple):
    """Confidence limits of the highest TPR at each of several FPRs, (fprs,) each, one FPR at a time."""

    low: Floats
    high: Floats


class Measured(NamedTuple):
    """What one attack did: its numbers, flat and ready for JSON, and the band around points of its ROC curve."""

    numbers: dict[str, float | int]
    band: Band


@dataclass(frozen=True)
class Decision:
    """How a hard member / non-member decision did; made by `decision`.

    tp, fn: members called member / non-member. fp, tn: non-members called member / non-member.
    recall is the TPR. All rates in [0, 1].
    """

    n_member: int
    n_nonmember: int
    tp: int
    fp: int
    tn: int
    fn: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    precision: Estimate
    recall: Estimate
    fpr: Estimate
    f1: Estimate


def clopper_pearson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return (low, high), the exact two-sided confidence limits of a binomial proportion.

    low is the p at which `successes` or more has probability (1 - level) / 2 (0 for no success), high the p
    at which `successes` or fewer has (1 - level) / 2 (1 for no failure); so each is also a one-sided limit
    at 1 - (1 - level) / 2, and together they cover with probability >= level. No trials: (0, 1).
    successes, trials: integers, arrays that broadcast; the limits have their common shape.
    InputError: not 0 <= successes <= trials, not whole, or level not in (0, 1).
    Source: Clopper & Pearson, Biometrika 26 (1934), in its beta-quantile form.
    """
    k, n = np.broadcast_arrays(np.asarray(successes), np.asarray(trials))
    bad = ~((k >= 0) & (k <= n) & (k == np.floor(k)) & (n == np.floor(n)))
    if bad.any():
        raise InputError(f"successes: expected whole numbers in 0..trials, got {k[bad][0]} of {n[bad][0]}")
    tail = tail_of(level)
    return _lower_limit(k, n, tail), _upper_limit(k, n, tail)


def tail_of(level: float) -> float:
    """Half of what an interval leaves out. Raises InputError where level is not in (0, 1)."""
    if not 0 < level < 1:
        raise InputError(f"level: expected a number in (0, 1), got {level}")
    return (1 - level) / 2


def _lower_limit(k: ArrayLike, n: ArrayLike, tail: float) -> Floats:
    """One-sided Clopper-Pearson limits; k may be fractional, the beta quantile is continuous in it."""
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    limit = betaincinv(np.where(k > 0, k, 1), n - k + 1, tail)
    return np.asarray(np.where(k > 0, limit, 0.0))


def _upper_limit(k: ArrayLike, n: ArrayLike, tail: float) -> Floats:
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    limit = betainccinv(k + 1, np.where(k < n, n - k, 1), tail)
    return np.asarray(np.where(k < n, limit, 1.0))


def _proportion(successes: int, trials: int, level: float) -> Estimate:
    low, high = clopper_pearson(successes, trials, level)
    return Estimate(successes / trials if trials else math.nan, float(low), float(high))


def decision(predicted: ArrayLike, is_member: ArrayLike, *, level: float = 0.95) -> Decision:
    """Return counts and rates of a hard decision by a rule that was fixed before these records were seen.

    predicted, is_member: bool, (samples,); a rule `score >= threshold` gives `predicted`.
    Value and interval, with M members and N non-members:
    - recall tp / M and fpr fp / N: Clopper-Pearson.
    - accuracy (tp + tn) / (M + N): Clopper-Pearson. The count is a sum of two binomials, which spreads less
      than one binomial of the same mean (Hoeffding 1956), so this errs on the wide side.
    - precision tp / (tp + fp): Clopper-Pearson given the number called member. With M and N fixed its
      variance is at most that of this binomial, so this too errs on the wide side.
    - f1 2 tp / (2 tp + fp + fn) = 2 J / (1 + J) with J = tp / (tp + fp + fn): the Clopper-Pearson limits of
      J, put through that rising function; wide in the same way.
    - balanced accuracy (tpr + 1 - fpr) / 2: the Clopper-Pearson limits of tpr and fpr joined by MOVER (Zou
      & Donner, Statistics in Medicine 27, 2008; Newcombe 1998, method 10):
      value - hypot(tpr - tpr_low, fpr_high - fpr) / 2, value + hypot(tpr_high - tpr, fpr - fpr_low) / 2.
      Approximate: enumerated over all outcomes at 5 to 100 records a side, a 95 % interval covers 0.96 or
      more on average over (tpr, fpr) and 0.925 at worst, where tpr and fpr sit at opposite ends. Joining
      the limits by Bonferroni is never below 0.95 but 1.6 times as wide.
    Undefined values are NaN with limits (0, 1): precision when nothing is called member, recall without
    members, fpr without non-members, balanced accuracy without either, f1 when there is no member and
    nothing is called one, all of them with no records.
    InputError: shapes differ or are not one-dimensional, or a dtype is not bool.
    """
    called, member = np.asarray(predicted), np.asarray(is_member)
    if called.ndim != 1 or called.shape != member.shape:
        raise InputError(
            f"predicted, is_member: expected two arrays of shape (samples,), got {called.shape} and {member.shape}"
        )
    if called.dtype != np.bool_ or member.dtype != np.bool_:
        raise InputError(
            f"predicted, is_member: expected dtype bool, got {called.dtype} and {member.dtype}; "
            "compare scores with a threshold, or cast with .astype(bool)"
        )
    n_member = int(member.sum())
    n_nonmember = member.size - n_member
    tp = int((called & member).sum())
    fp = int(called.sum()) - tp
    fn, tn = n_member - tp, n_nonmember - fp
    recall, fpr = _proportion(tp, n_member, level), _proportion(fp, n_nonmember, level)
    return Decision(
        n_member=n_member,
        n_nonmember=n_nonmember,
        tp=tp,
        fp=fp,
        tn=tn,
        fn=fn,
        accuracy=_proportion(tp + tn, member.size, level),
        balanced_accuracy=_balanced(recall, fpr),
        precision=_proportion(tp, tp + fp, level),
        recall=recall,
        fpr=fpr,
        f1=_f1(_proportion(tp, tp + fp + fn, level)),
    )


def mover(a: Estimate, b: Estimate) -> tuple[float, float]:
    """How far the limits of a - b lie below and above it, from the limits of a and of b, which are independent.

    Source: MOVER, Zou & Donner, Statistics in Medicine 27 (2008); Newcombe 1998, method 10.
    """
    below = math.hypot(a.value - a.low, b.high - b.value)
    above = math.hypot(a.high - a.value, b.value - b.low)
    return below, above


def _balanced(recall: Estimate, fpr: Estimate) -> Estimate:
    value = (recall.value + 1 - fpr.value) / 2
    if math.isnan(value):
        return Estimate(math.nan, 0.0, 1.0)
    below, above = mover(recall, fpr)
    return Estimate(value, value - below / 2, value + above / 2)


def _f1(jaccard: Estimate) -> Estimate:
    value, low, high = (2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    return Estimate(value, low, high)


def always_member(n_member: int, n_nonmember: int) -> dict[str, float]:
    """Return what always answering "member" scores: the floor beside which accuracy and F1 are read.

    accuracy = precision = M / (M + N), recall 1, f1 2 M / (2 M + N), balanced_accuracy 0.5.
    InputError: a count is below 1.
    """
    if n_member < 1 or n_nonmember < 1:
        raise InputError(f"counts: expected at least 1 a side, got {n_member} members and {n_nonmember} non-members")
    share = n_member / (n_member + n_nonmember)
    return {
        "accuracy": share,
        "balanced_accuracy": 0.5,
        "precision": share,
        "recall": 1.0,
        "f1": 2 * n_member / (2 * n_member + n_nonmember),
    }


def fpr_key(fpr: float) -> str:
    """Return the metric key of the TPR at an FPR, without dots or exponent: 0.001 -> "tpr_at_fpr_0_001"."""
    return "tpr_at_fpr_" + np.format_float_positional(fpr, trim="-").replace(".", "_")


def bootstrap(
    scores: ArrayLike,
    is_member: ArrayLike,
    *,
    fprs: Sequence[float],
    replicates: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Return AUC, advantage and the TPR at each resolvable FPR, with stratified bootstrap intervals.

    Keys: "auc", "advantage", and `fpr_key(fpr)` for each of `fprs` with n_nonmember * fpr >= 1; others are
    left out. `value` is the statistic of the data itself. A replicate draws n_member members and
    n_nonmember non-members with replacement, members first; each side is drawn from its own, so the sizes
    stay as designed.
    - auc: percentile interval, the (1 - level) / 2 and (1 + level) / 2 quantiles of the replicates (linear
      between order statistics). A perfect attack gives [1, 1], which no sample size justifies.
    - tpr_at_fpr_*: percentile interval of `roc.tpr_at` on the replicates, so the spread of the threshold is
      in it, widened where need be to hold the Clopper-Pearson limits of the value as a share of n_member
      (all replicates of 0 are 0; the truth need not be). Where n_nonmember * fpr is below about 10 the
      threshold hangs on a few non-members and a 95 % interval is rough: 0.85 coverage has been seen at 2.
    - advantage, max(TPR - FPR) over all thresholds, at least 0: a maximum over noise, so biased upward, the
      more so the weaker the leak (with none its mean is about 0.63 sqrt(1 / M + 1 / N), not 0). Replicates
      add the bias once more, and their percentiles would exclude 0 nearly always without a leak. Hence the
      limits value -+ q, cut to [0, 1], q the `level` quantile over replicates of
      max over thresholds |(TPR* - FPR*) - (TPR - FPR)|: a simultaneous band on TPR - FPR, whose maximum
      cannot differ by more than the band allows. It covers with at least `level` for large samples, leak or
      none; it is half as wide again as a percentile interval, twice as wide for a strong leak.
    Cost: one sort, then time O(replicates * samples) and memory O(samples + replicates).
    InputError: as `roc.curve`; an fpr not in (0, 1]; fewer than 2 / (1 - level) replicates, too few for
    the quantiles (40 for 0.95).
    Source: Efron & Tibshirani 1993, ch. 13, and ch. 8 for two samples.
    """
    return _bootstrap(curve(scores, is_member), fprs=fprs, replicates=replicates, rng=rng, level=level)[0]


def _bootstrap(
    roc: Roc,
    *,
    fprs: Sequence[float],
    replicates: int,
    rng: np.random.Generator,
    level: float,
    band_fps: ArrayLike = (),
) -> tuple[dict[str, Estimate], Band]:
    """`bootstrap`, and from the same replicates the limits of the TPR with at most so many false positives."""
    tail = enough_replicates(replicates, level)
    M, N = roc.n_member, roc.n_nonmember
    asked = [fpr for fpr in fprs if resolvable(fpr, N)]
    at_fps = np.unique(np.asarray(band_fps, dtype=np.int64))
    allowed = np.append([false_positives_allowed(fpr, N) for fpr in asked], at_fps)
    gain = (roc.tp * N - roc.fp * M)[1:]  # (TPR - FPR) * M * N, in integers
    points = gain.size
    # The curve's point of each member and non-member: drawing records is drawing from these.
    member_point = np.repeat(np.arange(points), np.diff(roc.tp))
    nonmember_point = np.repeat(np.arange(points), np.diff(roc.fp))
    areas, gaps = np.empty(replicates), np.empty(replicates)
    tprs = np.empty((replicates, len(allowed)))
    for r in range(replicates):
        members = np.bincount(member_point[rng.integers(M, size=M)], minlength=points)
        nonmembers = np.bincount(nonmember_point[rng.integers(N, size=N)], minlength=points)
        tp, fp = np.cumsum(members), np.cumsum(nonmembers)
        areas[r] = nonmembers @ (2 * tp - members) / (2 * M * N)
        gaps[r] = np.abs(tp * N - fp * M - gain).max() / (M * N)
        reached = np.searchsorted(fp, allowed, side="right") - 1
        tprs[r] = np.where(reached >= 0, tp[reached], 0) / M
    advantage = int(gain.max()) / (M * N)  # at least 0: the last point has TPR = FPR = 1
    band = float(np.quantile(gaps, level))
    estimates = {
        "auc": Estimate(auc(roc), *_percentiles(areas, tail)),
        "advantage": Estimate(advantage, max(0.0, advantage - band), min(1.0, advantage + band)),
    }
    for column, fpr in enumerate(asked):
        value = tpr_at(roc, fpr)
        low, high = _percentiles(tprs[:, column], tail)
        fixed = _proportion(round(value * M), M, level)
        estimates[fpr_key(fpr)] = Estimate(value, min(low, fixed.low), max(high, fixed.high))
    reached = roc.tp[np.searchsorted(roc.fp, at_fps, side="right") - 1]
    fixed_low, fixed_high = clopper_pearson(reached, M, level)
    lows, highs = np.quantile(tprs[:, len(asked) :], [tail, 1 - tail], axis=0)
    where = np.searchsorted(at_fps, np.asarray(band_fps, dtype=np.int64))
    return estimates, Band(np.minimum(lows, fixed_low)[where], np.maximum(highs, fixed_high)[where])


def enough_replicates(replicates: int, level: float) -> float:
    """`tail_of` the level, where the replicates are enough for its quantiles. Raises InputError where they are not."""
    tail = tail_of(level)
    if replicates * tail < 1 - 1e-9:
        raise InputError(
            f"replicates: a {level:g} interval needs at least {math.ceil(1 / tail - 1e-6)}, got {replicates}"
        )
    return tail


def _percentiles(replicates: Floats, tail: float) -> tuple[float, float]:
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def epsilon_lower_bound(
    tp: int, n_member: int, fp: int, n_nonmember: int, *, level: float = 0.95, delta: float = 0.0
) -> float:
    """Return an empirical lower bound, in nats and at least 0, on epsilon of (epsilon, delta)-privacy.

    tp of n_member members and fp of n_nonmember non-members were called members at ONE rule fixed in
    advance. Any test of "in the training set" obeys TPR <= e^epsilon FPR + delta and
    1 - FPR <= e^epsilon (1 - TPR) + delta (Kairouz, Oh & Viswanath 2015), hence
    epsilon >= max(log((tpr_low - delta) / fpr_high), log((1 - fpr_high - delta) / (1 - tpr_low)), 0),
    where tpr_low and fpr_high are one-sided Clopper-Pearson limits at (1 - level) / 2 each, so both hold,
    and the bound with them, with probability >= level (Jagielski, Ullman & Oprea 2020; Nasr et al. 2021).
    No record on a side says nothing: 0.

    Rests on three things:
    - The threshold was not picked on these records. The best of many thresholds on the same records exceeds
      the bound of a fixed one by luck alone, and the limits of one binomial no longer hold. Pick it on
      shadow models (`epsilon_threshold`) and measure here.
    - Membership was drawn at random for the records, as under a random split, so that nothing but the model
      tells the two sides apart.
    - The records are independent trials. They are NOT strictly so: all share one trained model, while the
      definition speaks of many trainings. The limits then stand for other records put to this model, and
      the bound is evidence about this training run, not a certificate about the algorithm. Steinke, Nasr &
      Jagielski (2023) give a bound from one run that needs no independence.
    InputError: a count out of its range, level not in (0, 1), delta not in [0, 1).
    """
    tail = tail_of(level)
    _check_delta(delta)
    if not (0 <= tp <= n_member and 0 <= fp <= n_nonmember):
        raise InputError(
            f"tp, fp: expected 0 <= tp <= n_member and 0 <= fp <= n_nonmember, "
            f"got {tp} of {n_member} and {fp} of {n_nonmember}"
        )
    return max(0.0, float(_epsilon(tp, n_member, fp, n_nonmember, tail, delta)))


def _check_delta(delta: float) -> None:
    if not 0 <= delta < 1:
        raise InputError(f"delta: expected a number in [0, 1), got {delta}")


def _epsilon(tp: ArrayLike, n_member: int, fp: ArrayLike, n_nonmember: int, tail: float, delta: float) -> Floats:
    """Return `epsilon_lower_bound` before it is cut at 0, for arrays; -inf where neither log exists."""
    tpr_low = _lower_limit(tp, n_member, tail)
    fpr_high = _upper_limit(fp, n_nonmember, tail)
    with np.errstate(divide="ignore"):
        by_accusing = np.log(np.maximum(tpr_low - delta, 0) / fpr_high)
        by_clearing = np.log(np.maximum(1 - fpr_high - delta, 0) / (1 - tpr_low))
    return np.asarray(np.maximum(by_accusing, by_clearing))


def epsilon_threshold(
    scores: ArrayLike,
    is_member: ArrayLike,
    *,
    n_member: int | None = None,
    n_nonmember: int | None = None,
    level: float = 0.95,
    delta: float = 0.0,
) -> float:
    """Return the threshold, an observed score, that maximises `epsilon_lower_bound` on shadow scores.

    For use on the target with `epsilon_lower_bound`. That keeps the guarantee: given the shadow scores the
    threshold is a constant, so the target's counts are those of one fixed rule. A poor choice only lowers
    the bound.
    n_member, n_nonmember: the target's counts, where they differ from the shadows'. The bound is then
    maximised as if these rates were met at that size (tp = TPR * n_member, not rounded); many pooled
    shadows otherwise choose an FPR so low that the target's few non-members cannot confirm it. The target's
    sizes are known before its scores are, so this does not break the guarantee. Left out: the shadows' own
    counts. Compared before the cut at 0; ties go to the highest threshold. Only corners of the curve are
    tried (no other point has as many tp at its fp, or as few fp at its tp): the bound rises in tp and falls
    in fp.
    InputError: as `roc.curve`; a count below 1; level or delta as `epsilon_lower_bound`.
    """
    tail = tail_of(level)
    _check_delta(delta)
    roc = curve(scores, is_member)
    M = roc.n_member if n_member is None else n_member
    N = roc.n_nonmember if n_nonmember is None else n_nonmember
    if M < 1 or N < 1:
        raise InputError(f"n_member, n_nonmember: expected at least 1, got {M} and {N}")
    rises = np.diff(roc.tp) > 0
    corner = 1 + np.flatnonzero(rises & np.append(np.diff(roc.fp)[1:] > 0, True))
    bound = _epsilon(roc.tpr[corner] * M, M, roc.fpr[corner] * N, N, tail, delta)
    return float(roc.thresholds[corner[np.argmax(bound)]])


# Decimals kept in a metrics file, so that noise digits do not drown `dvc metrics diff`. A TPR at a low FPR is
# itself about as small as that FPR, and a threshold has the scale of its attack: both keep more, a TPR the fifth
# decimal that DVC's tables show at most (`dvc exp show --md` shows all there are).
_DECIMALS = 4
_SMALL_DECIMALS = 5
_THRESHOLD_DIGITS = 6


def json_ready(values: Mapping[str, float | int]) -> dict[str, float | int]:
    """Return plain ints and floats, rounded for a metrics file; NaN and infinite ones are left out.

    Counts (int) stay whole; a TPR at an FPR below 0.1 keeps 5 decimals, which is a record in 100,000, keys that
    end in "threshold" 6 significant digits, all others 4 decimals: a further one would be noise in every table.
    """
    ready: dict[str, float | int] = {}
    for key, value in values.items():
        if isinstance(value, int | np.integer):
            ready[key] = int(value)
        elif math.isfinite(value):
            if key.endswith("threshold"):
                ready[key] = float(f"{value:.{_THRESHOLD_DIGITS}g}")
            else:
                decimals = _SMALL_DECIMALS if key.startswith("tpr_at_fpr_0_0") else _DECIMALS
                ready[key] = round(float(value), decimals)
    return ready


def attack_metrics(
    scores: ArrayLike,
    is_member: ArrayLike,
    *,
    threshold: float,
    epsilon_threshold: float,
    fprs: Sequence[float],
    replicates: int,
    rng: np.random.Generator,
    band_fps: ArrayLike = (),
    level: float = 0.95,
) -> Measured:
    """Return one attack's numbers on the target, flat, ready for JSON, rounded as `json_ready` does; and a band.

    threshold: for the hard decision; epsilon_threshold: for the bound on epsilon. Both chosen on shadow
    models; used as given and rounded only in what is returned.
    band_fps: (points,), whole: the band holds the limits of the TPR with at most so many false positives, made as
    those of the TPR at an FPR are (`bootstrap`), from the same replicates; one point at a time, not all at once.
    Keys, in this order; those marked * come with `_low` and `_high`:
    auc*, advantage*, tpr_at_fpr_...* (`bootstrap`); accuracy*, balanced_accuracy*, precision*, recall*,
    fpr*, f1* (`decision` at threshold); epsilon_lower (`epsilon_lower_bound` at epsilon_threshold, from
    epsilon_tp and epsilon_fp); threshold, epsilon_threshold; n_member, n_nonmember, tp, fp, tn, fn,
    epsilon_tp, epsilon_fp.
    Left out, never NaN or zero: the TPR at an FPR that the non-members cannot resolve; precision, with its
    limits, when nothing is called member (tp + fp = 0 says so).
    InputError: as `bootstrap`, and a threshold that is NaN or infinite.
    """
    for name, value in (("threshold", threshold), ("epsilon_threshold", epsilon_threshold)):
        if not math.isfinite(value):
            raise InputError(f"{name}: expected a finite number chosen on shadow models, got {value}")
    values, member = np.asarray(scores, dtype=np.float64), np.asarray(is_member)
    roc = curve(values, member)
    estimates, band = _bootstrap(roc, fprs=fprs, replicates=replicates, rng=rng, level=level, band_fps=band_fps)
    hard = decision(values >= threshold, member, level=level)
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "fpr", "f1"):
        estimates[name] = getattr(hard, name)
    called = values >= epsilon_threshold
    epsilon_tp, epsilon_fp = int((called & member).sum()), int((called & ~member).sum())
    summary: dict[str, float | int] = {}
    for name, estimate in estimates.items():
        if not math.isnan(estimate.value):
            summary |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    summary["epsilon_lower"] = epsilon_lower_bound(epsilon_tp, hard.n_member, epsilon_fp, hard.n_nonmember, level=level)
    summary |= {"threshold": threshold, "epsilon_threshold": epsilon_threshold}
    for name in ("n_member", "n_nonmember", "tp", "fp", "tn", "fn"):
        summary[name] = getattr(hard, name)
    return Measured(json_ready(summary | {"epsilon_tp": epsilon_tp, "epsilon_fp": epsilon_fp}), band)


def classifier_metrics(predicted: ArrayLike, labels: ArrayLike, loss: ArrayLike, n_classes: int) -> dict[str, float]:
    """Return how well a classifier does: accuracy, macro precision, recall and F1, mean loss.

    predicted, labels: whole numbers in [0, n_classes), (samples,). loss: float, (samples,), nats.
    Keys: accuracy, macro_precision, macro_recall, macro_f1, loss; not rounded, so that gaps can be taken.
    macro_* is the plain mean over the classes that occur in labels or predictions; others are left out.
    Within a class: precision tp / (tp + fp), recall tp / (tp + fn), f1 2 tp / (2 tp + fp + fn); a class that
    is never predicted has precision 0, one that is never a label has recall 0 (scikit-learn's
    zero_division=0).
    InputError: no record, shapes differ, a class out of range or not whole, a loss that is not finite.
    """
    guess, truth, nats = np.asarray(predicted), np.asarray(labels), np.asarray(loss, dtype=np.float64)
    if guess.ndim != 1 or guess.size == 0 or not guess.shape == truth.shape == nats.shape:
        raise InputError(
            "predicted, labels, loss: expected three arrays of shape (samples,), at least one record, "
            f"got {guess.shape}, {truth.shape} and {nats.shape}"
        )
    for name, classes in (("predicted", guess), ("labels", truth)):
        if not np.issubdtype(classes.dtype, np.integer):
            raise InputError(f"{name}: expected whole numbers, got dtype {classes.dtype}")
        if classes.min() < 0 or classes.max() >= n_classes:
            raise InputError(f"{name}: expected classes in 0..{n_classes - 1}, got {classes.min()} to {classes.max()}")
    bad = int((~np.isfinite(nats)).sum())
    if bad:
        raise InputError(f"loss: expected finite numbers, got {bad} NaN or infinite among {nats.size}")
    right = np.bincount(truth[guess == truth], minlength=n_classes)
    called = np.bincount(guess, minlength=n_classes)
    actual = np.bincount(truth, minlength=n_classes)
    seen = called + actual > 0
    right, called, actual = right[seen], called[seen], actual[seen]
    # right is 0 wherever a denominator is, and 0 / 1 is the 0 that the contract promises
    return {
        "accuracy": int(right.sum()) / guess.size,
        "macro_precision": float(np.mean(right / np.maximum(called, 1))),
        "macro_recall": float(np.mean(right / np.maximum(actual, 1))),
        "macro_f1": float(np.mean(2 * right / (called + actual))),
        "loss": float(np.mean(nats)),
    }
