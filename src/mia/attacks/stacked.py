"""The stacked attack: one classifier learns membership from what all reference-based attacks see of a record.

Ours. Each shadow plays the target in turn with the other shadows as references, so that membership is known; a
classifier fitted on their records is asked about the target's. It uses nothing beyond the attacker's models and data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mia.arrays import Bools, Floats
from mia.attacks import learned
from mia.attacks.evidence import Evidence, log_p
from mia.attacks.learned import AttackModel
from mia.errors import NotApplicable
from mia.evaluation import roc

MOST_CLASSES = 100  # classes up to which a record's class is a feature
FLOOR = 1e-3  # nats: least standard deviation, so that references which agree give a finite number


def features(evidence: Evidence, n_classes: int, *, use_in: bool) -> tuple[tuple[str, ...], Floats]:
    """Names of the features and their values, (samples, features); means over views where a record has several.

    margin: the model's own. difficulty: mean margin of the OUT references. calibrated: margin less difficulty.
    spread: log of the OUT references' standard deviation, shrunk towards that of all records. tail: calibrated in
    units of that deviation (LiRA offline). ratio: log of the posterior over the mean OUT posterior (RMIA, BASE). With
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
            f"expected a model that was not trained on it for every record, got none for {none} of {len(evidence)} "
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
) -> tuple[AttackModel, Floats, dict[str, float]]:
    """Fit the best of the candidates (family: settings) on the records of shadows in the target's place.

    values: (samples, features). played: (samples,), equal for shadows that must stand on one side of a fold: the same
    shadow, and in the population design its partner. Best is the highest mean AUC on shadows that a candidate was not
    fitted on; their scores, (samples,), come back beside the model fitted on all, and every candidate's mean AUC.
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
    groups = [played == fold for fold in np.unique(played)]
    aucs = {
        family: float(np.mean([roc.auc(roc.curve(score[rows], is_member[rows])) for rows in groups]))
        for family, score in scores.items()
    }
    best = max(aucs, key=lambda family: aucs[family])
    return model_of[best](values, labels, is_member), scores[best], aucs


def log_odds(probability: Sequence[float] | Floats) -> Floats:
    """P(member) as log odds, so that scores near 0 and 1 keep apart in a figure; the order is the same."""
    p = np.clip(np.asarray(probability, np.float64), 1e-15, 1 - 1e-15)
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds
