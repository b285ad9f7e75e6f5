"""What a row of a table looks like, in numbers that no training chose: its columns, and its likeness to random rows.

Source: the likeness is a Gaussian kernel's to landmarks, Nyström's method (Williams & Seeger 2001, "Using the Nyström
Method to Speed Up Kernel Machines"), as images are described by their likeness to random patches. The width is ours:
half of the pairs of a row and a landmark lie nearer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from mia.arrays import Floats

CATEGORIES = 32  # of a text column that have a feature of their own; the rarer ones share one
MEASURED = 2000  # rows whose distances to the landmarks give the width
CHUNK = 5000  # rows at once


@dataclass(frozen=True, eq=False)
class Landmarks:
    """How columns become numbers, rows of such numbers, (landmarks, columns), and the width of likeness, squared."""

    encoder: ColumnTransformer
    rows: Floats
    width: float


def draw(table: pd.DataFrame, count: int, rng: np.random.Generator) -> Landmarks:
    """Draw landmarks among the rows of a table: numbers, NaN where missing, and texts, None where missing.

    Numbers are standardised, a missing one is the median with a column that says so; texts are one column a category.
    """
    texts = [name for name in table if table[name].dtype == object]
    numbers = [name for name in table if table[name].dtype != object]
    whole = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    each = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=CATEGORIES, sparse_output=False)
    steps = [("numbers", make_pipeline(whole, StandardScaler()), numbers), ("texts", each, texts)]
    encoder = ColumnTransformer([step for step in steps if step[2]], sparse_threshold=0).fit(table)
    rows = encoder.transform(table.iloc[rng.permutation(len(table))[:count]])
    measured = encoder.transform(table.iloc[rng.permutation(len(table))[:MEASURED]])
    with threadpool_limits(1, "blas"):  # whose last bits depend on their number
        width = float(np.median(_distances(measured, rows)))
    return Landmarks(encoder, rows, max(width, 1e-9))


def compute(landmarks: Landmarks, table: pd.DataFrame) -> NDArray[np.float32]:
    """The columns of rows as numbers, and the rows' likeness to each landmark, (samples, features)."""
    parts = []
    with threadpool_limits(1, "blas"):
        for start in range(0, len(table), CHUNK):
            columns = landmarks.encoder.transform(table.iloc[start : start + CHUNK])
            likeness = np.exp(-_distances(columns, landmarks.rows) / landmarks.width)
            parts.append(np.concatenate([columns, likeness], axis=1).astype(np.float32))
    return np.concatenate(parts)


def _distances(a: Floats, b: Floats) -> Floats:
    """Squared distances between the rows of two arrays, (rows of a, rows of b)."""
    squares: Floats = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2 * (a @ b.T)
    return np.maximum(squares, 0)
