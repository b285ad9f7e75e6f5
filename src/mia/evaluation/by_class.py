"""Leakage class by class: which classes give their members away?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mia.errors import InputError
from mia.evaluation import differences, distributions, permutation
from mia.evaluation.metrics import json_ready
from mia.evaluation.roc import curve

_LEAST_A_SIDE = 5  # of a class, to be compared with others


def auc_rows(
    score: ArrayLike, is_member: ArrayLike, labels: ArrayLike, *, p_value: float, level: float = 0.95
) -> list[dict[str, Any]]:
    """Return one row a class that occurs, in the order of the labels, ready for JSON.

    score: (samples,), finite. is_member: bool, (samples,). labels: (samples,), whole numbers or strings. p_value: of
    "the attack knows nothing of any record", as `permutation.p_values` has it.
    Keys: label, n_member, n_nonmember; auc, auc_low, auc_high, auc_p, 4 decimals, which a class without members or
    without non-members has not. auc_p: of "nothing of this class", by Mann and Whitney's test, adjusted after Holm for
    all classes, and no smaller than p_value, for a class leaks only where anything does. The limits are those of
    `differences.auc_interval` for each class by itself (of 100 classes, 5 miss theirs at 0.95), but hold 0.5 where
    auc_p does not exclude it (`permutation.limited`). For "do classes differ at all" see `homogeneity_p_value`.
    InputError: as `roc.curve`, labels of another shape, level not in (0, 1).
    """
    values, member, classes = _checked(score, is_member, labels)
    rows: list[dict[str, Any]] = []
    for label in np.unique(classes):
        of_class = classes == label
        n_member = int(member[of_class].sum())
        row: dict[str, float | int] = {"n_member": n_member, "n_nonmember": int(of_class.sum()) - n_member}
        if 0 < n_member < of_class.sum():
            area = differences.auc_interval(differences.placements(values[of_class], member[of_class]), level=level)
            alone = distributions.mann_whitney(values[of_class & member], values[of_class & ~member])
            row |= {"auc": area.value, "auc_low": area.low, "auc_high": area.high, "auc_p": alone}
        rows.append({"label": label.item(), **row})
    with_auc = [row for row in rows if "auc" in row]
    for row, adjusted in zip(with_auc, differences.holm([row["auc_p"] for row in with_auc]), strict=True):
        row["auc_p"] = max(float(adjusted), p_value)
        row["auc_low"], row["auc_high"] = permutation.limited(row["auc_low"], row["auc_high"], 0.5, row["auc_p"])
    return [{"label": row.pop("label"), **json_ready(row)} for row in rows]


def homogeneity_p_value(score: ArrayLike, is_member: ArrayLike, labels: ArrayLike) -> float:
    """Return the p-value of "all classes leak alike", one AUC for all of them.

    Cochran's Q = sum of (AUC_c - mean)^2 / variance_c, mean weighted by 1 / variance_c, against chi-squared with one
    degree of freedom less than there are classes. variance_c is DeLong's, s10 / M_c + s01 / N_c, with s10 and s01
    pooled over the classes, as if all leaked alike, and not each class's own: that one goes with the class's AUC, so
    that with 50 records a side Q would find differences among 100 classes that have none in 12 % of runs (57 % for a
    strong leak) instead of 5 %. Pooled, it also has room for a class with AUC 1. As in an analysis of variance, equal
    AUC of different spread in classes of different sizes may still be called different.
    Classes with fewer than 5 records a side are left out: with 2, the p-value is below 0.05 in 10 % of worlds without a
    difference. NaN with fewer than 2 others, or where no class has any
    spread (each perfect, or each with one score).
    InputError: as `auc_rows`.
    """
    values, member, classes = _checked(score, is_member, labels)
    placed = []
    for label in np.unique(classes):
        rows = classes == label
        if min(member[rows].sum(), (~member[rows]).sum()) >= _LEAST_A_SIDE:
            placed.append(differences.placements(values[rows], member[rows]))
    if len(placed) < 2:
        return math.nan
    variance = _pooled([of_class.v10 for of_class in placed]) + _pooled([of_class.v01 for of_class in placed])
    if not variance.min() > 0:
        return math.nan
    area = np.array([of_class.auc for of_class in placed])
    mean = np.average(area, weights=1 / variance)
    return distributions.chi_squared_above(float(np.sum((area - mean) ** 2 / variance)), area.size - 1)


def _pooled(sides: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(classes,): variance of each class's mean, from the spread within all classes."""
    sizes = np.array([side.size for side in sides])
    within = sum(float(np.sum((side - side.mean()) ** 2)) for side in sides) / np.sum(sizes - 1)
    return np.asarray(within / sizes)


def _checked(
    score: ArrayLike, is_member: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[Any]]:
    curve(score, is_member)
    classes = np.asarray(labels)
    if classes.shape != np.shape(score):
        raise InputError(f"labels: expected one a record, shape {np.shape(score)}, got {classes.shape}")
    return np.asarray(score, dtype=np.float64), np.asarray(is_member), classes
