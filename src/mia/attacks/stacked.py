"""The stacked attack: one classifier learns membership from what all reference-based attacks see of a record.

Ours. Each shadow plays the target in turn with the other shadows as references, so that membership is known; a
classifier fitted on their records scores the target's. It uses nothing beyond the attacker's models and data. Where one
of the attacks that it combines is better on the plays, that attack takes its place. Where the target's records are not
like those of the plays, the two attacks that depend least on references take its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from mia.arrays import Bools, Floats
from mia.attacks import learned
from mia.attacks.evidence import Evidence, log_p
from mia.attacks.learned import AttackModel
from mia.errors import NotApplicable
from mia.evaluation import roc

MOST_CLASSES = 100  # classes up to which a record's class is a feature
# Features that are an attack each: loss, Watson's, LiRA offline and online, RMIA offline and online, BASE3.
INPUTS = ("margin", "calibrated", "tail", "likelihood", "ratio", "damped", "ratio_both", "position")
# References that find the target's records easier or harder than those they were played on, by this much of an AUC,
# mislead. Real images beside generated ones: .21 (docs/LOG.md); where both are alike, .01.
MISLEADING = 0.1
FLOOR = 1e-3  # nats: least standard deviation, so that references which agree give a finite number


def features(evidence: Evidence, n_classes: int, *, use_in: bool) -> tuple[tuple[str, ...], Floats]:
    """Names of the features and their values, (samples, features); means over views where a record has several.

    margin: the model's own. difficulty: mean margin of the OUT references. calibrated: margin less difficulty.
    spread: log of the OUT references' standard deviation, shrunk towards that of all records. tail: calibrated in
    units of that deviation (LiRA offline). ratio: log of the posterior over the mean OUT posterior (RMIA offline with
    a = 1). damped: over the mean of that and 1 (a = 0). With
    use_in, for references that were trained on the records, also: gain (mean margin IN less mean OUT), position
    (where between the two means the margin lies, LiRA's linear term) and ratio_both (over the mean of both sides).
    Numbers of references are no feature. class_k: 1 for the record's class, up to MOST_CLASSES of them.
    """
    outside, inside = evidence.outside, evidence.inside
    margin = evidence.target
    spread = _spread(outside.squares, outside.count)
    calibrated = margin - outside.mean
    ratio = log_p(margin) - outside.log_mean_p
    columns = {
        "margin": margin,
        "difficulty": outside.mean,
        "calibrated": calibrated,
        "spread": np.log(spread),
        "tail": calibrated / spread,
        "ratio": ratio,
        "damped": log_p(margin) - np.logaddexp(outside.log_mean_p, 0) + np.log(2),
    }
    if use_in:
        deviation_in = _spread(inside.squares, inside.count)
        columns["gain"] = inside.mean - outside.mean
        columns["position"] = (margin - (inside.mean + outside.mean) / 2) * columns["gain"] / (spread * deviation_in)
        columns["likelihood"] = (
            ((margin - outside.mean) / spread) ** 2 - ((margin - inside.mean) / deviation_in) ** 2
        ) / 2 - np.log(deviation_in / spread)
        both = np.logaddexp(inside.log_mean_p, outside.log_mean_p) - np.log(2)
        columns["ratio_both"] = log_p(margin) - both
    values = {name: _squash(column.mean(axis=1)) for name, column in columns.items()}
    if n_classes <= MOST_CLASSES:
        values |= {f"class_{label}": (evidence.labels == label).astype(np.float64) for label in range(n_classes)}
    return tuple(values), np.column_stack(list(values.values()))


def online(evidence: Evidence) -> bool:
    """Whether every record has a reference on either side, so that `features` can use both."""
    return bool(evidence.inside.count.min() >= 1 and evidence.outside.count.min() >= 1)


def check(evidence: Evidence) -> None:
    """Raise NotApplicable where a record has no OUT reference: `features` would be infinite."""
    none = int((evidence.outside.count == 0).sum())
    if none:
        raise NotApplicable(
            f"expected, for every record, a model that was not trained on it, got none for {none} of {len(evidence)} "
            "records; train more shadow models"
        )


def _spread(squares: Floats, count: NDArray[np.int64]) -> Floats:
    """Standard deviation of each record's references, shrunk towards the pooled one; a nat where none has two."""
    free = np.maximum(count - 1, 0)[:, None]
    if not free.any():
        return np.ones_like(squares)
    pooled = squares.sum(axis=0) / max(1, int(free.sum()))
    prior = 4.0  # the pooled variance counts as so many references
    spread: Floats = np.sqrt((squares + prior * pooled) / (free + prior))
    return np.maximum(spread, FLOOR)


def _squash(values: Floats) -> Floats:
    """Signed logarithm: linear near 0, so that one wild record does not decide a linear model's scale."""
    squashed: Floats = np.sign(values) * np.log1p(np.abs(values))
    return squashed


def fit(
    candidates: Mapping[str, Mapping[str, Any]],
    names: tuple[str, ...],
    values: Floats,
    is_member: Bools,
    played: NDArray[np.int64],
    seed: int,
    fpr: float | None,
) -> tuple[AttackModel, Floats, dict[str, dict[str, float]]]:
    """Fit the best of the candidates (family: settings) on the records of shadows in the target's place.

    values: (samples, features). played: (samples,), equal for shadows that must stand on one side of a fold: the same
    shadow, and in the population design its partner. Best is the highest sum of mean AUC and mean TPR at fpr (of the
    AUC alone, where fpr is None or below what a shadow's non-members resolve) on shadows that a candidate was not
    fitted on. Those of INPUTS that are among the names compete, each by itself; where one is best, it is the model.
    Scores of the unseen shadows, (samples,), come back beside the model fitted on all, and what every candidate got.
    """
    labels = np.zeros(len(values), np.int64)
    model_of = {
        family: partial(learned.fit, family, settings, names, per_class=False, seed=seed)
        for family, settings in candidates.items()
    }
    scores: dict[str, Floats] = {}
    for family, of_family in learned.out_of_fold(model_of, values, labels, is_member, played).items():
        if isinstance(of_family, NotApplicable):
            raise of_family
        scores[family] = of_family
    fewest = min(int((~is_member[played == fold]).sum()) for fold in np.unique(played))
    if fpr is not None and not roc.resolvable(fpr, fewest):
        fpr = None
    merits = {family: merit(score, is_member, played, fpr) for family, score in scores.items()}
    for name in INPUTS:
        if name in names:
            merits[name] = merit(values[:, names.index(name)], is_member, played, fpr)
    best = max(merits, key=lambda name: sum(merits[name].values()))
    if best in model_of:
        return model_of[best](values, labels, is_member), scores[best], merits
    column = values[:, [names.index(best)]]  # a line in one feature keeps its order
    alone = partial(learned.fit, "logistic_regression", {}, (best,), per_class=False, seed=seed)
    (score,) = learned.out_of_fold({best: alone}, column, labels, is_member, played).values()
    if isinstance(score, NotApplicable):
        raise score
    return alone(column, labels, is_member), score, merits


def merit(score: Floats, is_member: Bools, played: NDArray[np.int64], fpr: float | None) -> dict[str, float]:
    """Mean AUC, and mean TPR at fpr where one is given, over the shadows in the target's place.

    Over those with members and non-members; where none has both, over all records together.
    """
    plays = [played == shadow for shadow in np.unique(played)]
    plays = [rows for rows in plays if is_member[rows].any() and not is_member[rows].all()]
    curves = [roc.curve(score[rows], is_member[rows]) for rows in plays or [np.ones(len(played), bool)]]
    found = {"auc": float(np.mean([roc.auc(curve) for curve in curves]))}
    if fpr is not None:
        found["tpr"] = float(np.mean([roc.tpr_at(curve, fpr) for curve in curves]))
    return found


def misled(target: Evidence, played: Sequence[Evidence]) -> bool:
    """Whether the references find the target's records harder or easier than the records that the attack is fitted on.

    Nothing of the target is read: what OUT references say of a record does not hang on its membership.
    """
    known = np.concatenate([evidence.outside.mean.mean(axis=1) for evidence in played])
    asked = target.outside.mean.mean(axis=1)
    share = roc.auc(roc.curve(np.r_[known, asked], np.r_[np.zeros(len(known), bool), np.ones(len(asked), bool)]))
    return abs(share - 0.5) > MISLEADING


def cautious(evidence: Evidence, unlike: Floats | None) -> Floats:
    """The score where references mislead: the smaller of two ranks, in standard deviations of a normal law.

    One is RMIA's offline with a = 0, which depends least on references. unlike, (samples,): of the quantile
    regression, which queries the target itself about known non-members; None where there are none. A record must stand
    out by both.
    """
    outside = evidence.outside
    damped = (log_p(evidence.target) - np.logaddexp(outside.log_mean_p, 0)).mean(axis=1)
    ranks = [norm.ppf((rankdata(score) - 0.5) / len(score)) for score in (damped, unlike) if score is not None]
    score: Floats = np.min(ranks, axis=0)
    return score


def log_odds(probability: Sequence[float] | Floats) -> Floats:
    """P(member) as log odds, so that scores near 0 and 1 keep apart in a figure; the order is the same."""
    p = np.clip(np.asarray(probability, np.float64), 1e-15, 1 - 1e-15)
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds
