"""The quantile regression attack: how sure would the target be of this record, had it not been trained on it?

Source: Bertran et al. 2023 (Scalable Membership Inference Attacks via Quantile Regression): a regressor learns, on
records that are certainly no members, the distribution of the target's margin given the record, as a Gaussian of mean
and deviation; a record whose margin lies in the upper tail of what was predicted for it is a likely member. No shadow
model is needed, but the target's answers about records outside its training set are.

The authors train a network. Ours is linear in features of the record that nobody trained (`mia.attacks.image_features`,
`mia.attacks.table_features`): a trained network carries the last bits of the target's answers through its epochs to
another network (docs/log.md), while the least squares move by as little as the answers do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mia.arrays import Floats, Integers
from mia.errors import NotApplicable

FEWEST = 20  # known non-members
LEAST = 1e-2  # least deviation, in units of the margins' own
PRIOR = 10  # the deviation of all classes counts as so many records of each
PENALTIES = 10.0 ** np.arange(-3, 3.5, 0.5)  # of a squared weight, times the number of records
CHUNK = 5000  # records at once

Features = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Regressor:
    """A line for each class, and how far margins lie from it.

    center, slope: (classes, features). level: (classes,), nats, the margin at the center. deviation: (classes,), nats.
    """

    center: Floats
    level: Floats
    slope: Floats
    deviation: Floats

    def predict(self, features: Features, labels: Integers) -> tuple[Floats, Floats]:
        """Mean and standard deviation, nats, (samples,) each, of the margin each record would have as a non-member."""
        mean = np.empty(len(labels))
        for label in np.unique(labels):
            rows = labels == label
            mean[rows] = self.level[label] + (features[rows] - self.center[label]) @ self.slope[label]
        return mean, self.deviation[labels]

    def table(self, model_id: int, source: str, rows: Integers, features: Features, labels: Integers) -> pd.DataFrame:
        """Rows of schemas.QUANTILES: what `predict` says of these rows of a source's features and labels."""
        mean, deviation = self.predict(features[rows], labels[rows])
        keys = {"model_id": model_id, "source": source, "sample_id": rows}
        return pd.DataFrame({**keys, "mean": mean, "deviation": deviation})


def fit(features: Features, labels: Integers, margins: Floats, *, n_classes: int, name: str) -> Regressor:
    """Fit margins (samples,), nats, on features (samples, features), standardised, of records of known classes.

    Ridge regression twice: within classes with one slope for all, then on what is left in each class by itself. Each
    penalty is the one of PENALTIES that predicts left-out records best. The deviation is that of left-out records of
    the class, shrunk towards that of all. A class without records has the line of all. name: for errors.
    NotApplicable: fewer than twenty records.
    """
    if len(features) < FEWEST:
        raise NotApplicable(f"{name}: expected at least {FEWEST} known non-members to fit, got {len(features)}")
    width = features.shape[1]
    center = np.repeat(features.mean(axis=0, dtype=np.float64)[None], n_classes, axis=0)
    level = np.full(n_classes, margins.mean())
    rows_of = {label: np.flatnonzero(labels == label) for label in np.unique(labels).tolist()}
    leverage = np.empty(len(labels))  # of the class' own mean
    for label, rows in rows_of.items():
        center[label], level[label] = features[rows].mean(axis=0, dtype=np.float64), margins[rows].mean()
        leverage[rows] = 1 / max(2, len(rows))
    with threadpool_limits(1, "blas"):  # whose last bits depend on their number
        shared, left = _ridge(features, center[labels], margins - level[labels], leverage)
        slope = np.repeat(shared[None], n_classes, axis=0)
        for label, rows in rows_of.items():
            own, left[rows] = _ridge(features[rows], center[labels[rows]], left[rows], leverage[rows])
            slope[label] += own
    assert slope.shape == (n_classes, width)
    pooled = float(np.mean(left**2))
    variance = np.full(n_classes, pooled)
    for label, rows in rows_of.items():
        variance[label] = (np.sum(left[rows] ** 2) + PRIOR * pooled) / (len(rows) + PRIOR)
    least = LEAST * max(float(margins.std()), 1e-6)
    return Regressor(center, level, slope, np.maximum(np.sqrt(variance), least))


def _ridge(features: Features, center: Floats, values: Floats, leverage: Floats) -> tuple[Floats, Floats]:
    """Weights (features,) of a ridge regression, and by how much it misses each record if that one is left out.

    values: (samples,), of features less center. leverage: of what was taken off before, (samples,).
    """
    chunks = [slice(start, start + CHUNK) for start in range(0, len(values), CHUNK)]
    width = features.shape[1]
    gram, product = np.zeros((width, width)), np.zeros(width)
    for rows in chunks:
        centered = features[rows] - center[rows]
        gram += centered.T @ centered
        product += centered.T @ values[rows]
    eigenvalues, vectors = np.linalg.eigh(gram)
    inverse = 1 / (np.maximum(eigenvalues, 0)[:, None] + PENALTIES * len(values))  # (features, penalties)
    turned = vectors.T @ product
    missed = np.empty((len(values), len(PENALTIES)))
    for rows in chunks:
        seen = (features[rows] - center[rows]) @ vectors
        own = np.minimum(seen**2 @ inverse + leverage[rows, None], 0.99)
        missed[rows] = (values[rows, None] - seen @ (turned[:, None] * inverse)) / (1 - own)
    best = int(np.argmin((missed**2).mean(axis=0)))
    return vectors @ (turned * inverse[:, best]), missed[:, best]
