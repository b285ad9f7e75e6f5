"""The scikit-learn classifiers that can learn membership, and how they are fitted."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, ParameterSampler
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import ThreadpoolController

from mia.arrays import Bools, Floats
from mia.errors import InputError

Settings = Mapping[str, Any]
MAX_FOLDS = 5
MANY = 50_000  # records from which on one fit is given all cores, and half of them is enough to fit on


@dataclass(frozen=True)
class Family:
    """A kind of classifier: how to make one, whether its features are standardised, and where a search looks."""

    make: Callable[..., BaseEstimator]
    search: Mapping[str, Any]
    scaled: bool = False


def _log_uniform(low: float, high: float) -> Any:
    return scipy.stats.loguniform(low, high)


_FOREST = {
    "n_estimators": [100, 200, 300],
    "min_samples_leaf": [1, 2, 5, 10, 20, 50],
    "max_features": ["sqrt", 0.5, None],
}
FAMILIES: dict[str, Family] = {
    "dummy": Family(DummyClassifier, {}),
    "logistic_regression": Family(LogisticRegression, {"C": _log_uniform(1e-3, 1e3)}, scaled=True),
    "lda": Family(LinearDiscriminantAnalysis, {"tol": _log_uniform(1e-6, 1e-2)}, scaled=True),
    "qda": Family(QuadraticDiscriminantAnalysis, {"reg_param": _log_uniform(1e-4, 1)}, scaled=True),
    "gaussian_nb": Family(GaussianNB, {"var_smoothing": _log_uniform(1e-12, 1e-1)}),
    "k_neighbors": Family(
        KNeighborsClassifier,
        {"n_neighbors": [10, 20, 50, 100, 200], "weights": ["uniform", "distance"]},
        scaled=True,
    ),
    "decision_tree": Family(
        DecisionTreeClassifier, {"max_depth": [3, 5, 8, 12, None], "min_samples_leaf": [1, 5, 20, 50, 100]}
    ),
    "random_forest": Family(RandomForestClassifier, _FOREST),
    "extra_trees": Family(ExtraTreesClassifier, _FOREST),
    "bagging": Family(BaggingClassifier, {"n_estimators": [10, 20, 50], "max_samples": [0.1, 0.3, 1.0]}),
    "ada_boost": Family(AdaBoostClassifier, {"n_estimators": [25, 50, 100], "learning_rate": _log_uniform(0.05, 2)}),
    "hist_gradient_boosting": Family(
        HistGradientBoostingClassifier,
        {
            "max_iter": [50, 100, 200],
            "learning_rate": _log_uniform(0.01, 0.3),
            "max_leaf_nodes": [4, 8, 16, 31],
            "min_samples_leaf": [10, 20, 50, 100],
        },
    ),
    "mlp": Family(
        MLPClassifier,
        {"hidden_layer_sizes": [(16,), (32,), (64,), (32, 32)], "alpha": _log_uniform(1e-6, 1e-1)},
        scaled=True,
    ),
}


def build(family: str, settings: Settings, seed: int) -> Pipeline:
    """A classifier of a family with scikit-learn settings and a seed, its features standardised where that matters.

    Raises InputError for a setting that scikit-learn's class does not have.
    """
    kind = FAMILIES[family]
    estimator = kind.make()
    defaults = estimator.get_params()
    for name in settings:
        if name not in defaults or name == "random_state":
            close = difflib.get_close_matches(name, defaults, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"expected one of {', '.join(defaults)}"
            raise InputError(f"params.yaml: estimators.{family}.{name}: no setting of {kind.make.__name__}; {hint}")
    seeded = {"random_state": seed} if "random_state" in defaults else {}
    estimator.set_params(**settings, **seeded)
    return make_pipeline(StandardScaler(), estimator) if kind.scaled else make_pipeline(estimator)


def fit(estimator: Pipeline, features: Floats, is_member: Bools, seed: int) -> Pipeline:
    """Fit on as many members as non-members, so that P(member) of one half is the line for every classifier.

    The larger side is cut to a random subset of the smaller one's size; a classifier that takes no weights is then
    treated as the others are. Raises InputError where scikit-learn refuses a setting or one side is empty.
    """
    members, nonmembers = np.flatnonzero(is_member), np.flatnonzero(~is_member)
    size = min(len(members), len(nonmembers))
    if size == 0:
        raise InputError(
            f"attack: expected members and non-members to learn from, got {len(members)} and {len(nonmembers)}; raise "
            "features.max_records or the sizes of shadow"
        )
    rng = np.random.default_rng(seed)
    rows = np.sort(np.r_[rng.permutation(members)[:size], rng.permutation(nonmembers)[:size]])
    try:
        with _threads(len(rows)), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Using the fractional value max_samples")  # of a handful of records
            return estimator.fit(features[rows], is_member[rows])
    except (ValueError, TypeError) as error:
        raise InputError(_refusal(estimator, error)) from None


def probability(estimator: Pipeline, features: Floats) -> Floats:
    """P(member) of each record, shape (samples,).

    Raises InputError for a setting that so few records do not bear, such as more neighbours than there are.
    """
    try:
        with _threads(len(features)):
            values: Floats = estimator.predict_proba(features)[:, list(estimator.classes_).index(True)]
    except ValueError as error:
        raise InputError(_refusal(estimator, error)) from None
    return values


def _threads(records: int) -> AbstractContextManager[Any]:
    """One thread for linear algebra, whose last bits depend on their number; for few records one for trees as well.

    Boosted trees are the same on any number of threads, but those wait for each other at each node: for 4,000 records
    two took five times as long as one (docs/log.md).
    """
    limits = {"blas": 1, "openmp": 1} if records < MANY else {"blas": 1}
    context: AbstractContextManager[Any] = _libraries().limit(limits=limits)
    return context


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def _refusal(estimator: Pipeline, error: Exception) -> str:
    return f"{_REFUSED}{type(estimator[-1]).__name__}: {' '.join(str(error).split())}"


_REFUSED = "params.yaml: estimators: "


def reason(error: InputError) -> str:
    """What scikit-learn said, without the place."""
    return str(error).removeprefix(_REFUSED)


def folds(shadow: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to fit on and rows left unseen, fold by fold, no shadow's outputs on both sides.

    shadow: the model_id of each row. As many folds as shadows, MAX_FOLDS at most, and two of MANY rows: half of these
    teach an attack model what four fifths would, in less than half of the time. Raises InputError below two shadows.
    """
    count = len(np.unique(shadow))
    if count < 2:
        raise InputError(
            f"params.yaml: shadow: expected at least 2 shadow models, so that an attack model can score the records of "
            f"a shadow on which it was not fitted, got {count}; append to shadow.blocks"
        )
    most = MAX_FOLDS if len(shadow) < MANY else 2
    return list(GroupKFold(n_splits=min(most, count)).split(shadow, groups=shadow))


def random_settings(family: str, base: Settings, count: int, seed: int) -> list[dict[str, Any]]:
    """`base` itself, then `count` random settings of a family over it (fewer where its search space holds fewer)."""
    space = FAMILIES[family].search
    if not space:
        return [dict(base)]
    finite = all(isinstance(values, list) for values in space.values())
    most = int(np.prod([len(values) for values in space.values()])) if finite else count
    drawn = ParameterSampler(space, min(count, most), random_state=seed)
    return [dict(base), *({**base, **settings} for settings in drawn)]
