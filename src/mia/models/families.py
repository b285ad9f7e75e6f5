"""Estimators that an audit names in `target.estimator`: their classes, and how records become what these take.

Every model fits its own preprocessing on its own training records: nothing is fitted across members and non-members.
Trees take categories as codes and missing numbers as they are; the others one column a category, numbers standardised,
the median for a missing one and a column that says so.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from mia import params_faults
from mia.arrays import Integers
from mia.errors import InputError

Settings = Mapping[str, Any]

SHOKRI_MLP = "shokri_mlp"  # ours
TREES = {
    "decision_tree": "sklearn.tree.DecisionTreeClassifier",
    "extra_trees": "sklearn.ensemble.ExtraTreesClassifier",
    "hist_gradient_boosting": "sklearn.ensemble.HistGradientBoostingClassifier",
    "lightgbm": "lightgbm.LGBMClassifier",
    "random_forest": "sklearn.ensemble.RandomForestClassifier",
    "xgboost": "xgboost.XGBClassifier",
}
OTHERS = {
    "gaussian_nb": "sklearn.naive_bayes.GaussianNB",
    "k_neighbors": "sklearn.neighbors.KNeighborsClassifier",
    "logistic_regression": "sklearn.linear_model.LogisticRegression",
    "mlp": "sklearn.neural_network.MLPClassifier",
    SHOKRI_MLP: "mia.models.perceptron.ShokriMLP",
    "svm": "sklearn.svm.SVC",
}
CATEGORIES = 255  # that HistGradientBoostingClassifier bears in a column
OURS = {"lightgbm": {"verbosity": -1, "n_jobs": 1, "deterministic": True}, "xgboost": {"n_jobs": 1}}


class OfFamily:
    """A model of a family: `fit` and `predict_proba` of images or rows of a table."""

    def __init__(self, family: str, settings: Settings, seed: int, place: str) -> None:
        self.family, self.place = family, place
        self.classifier = _classifier(family, settings, seed, place)
        self.pipeline: Pipeline | None = None
        self.classes_: Integers = np.zeros(0, np.int64)

    def fit(self, x: Any, y: Integers) -> OfFamily:
        """Fit preprocessing and classifier.

        x: images (samples, height, width, channels) or a table; y: (samples,), classes. A class of which there is no
        record is one that the model gives no probability.
        Raises InputError where the classifier refuses a setting or the records.
        """
        self.classes_, codes = np.unique(y, return_inverse=True)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=UserWarning)  # of iterations and of few neighbours
                self.pipeline = make_pipeline(_preprocessing(self.family, self.classifier, x), self.classifier)
                self.pipeline.fit(_columns(x), codes)
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{self.place}: {type(self.classifier).__name__}: {' '.join(str(error).split())}"
            ) from None
        return self

    @property
    def predict_proba(self) -> Any:
        """The posteriors of records, (samples, classes of `classes_`), where the classifier has them."""
        return self._answers(self.pipeline.predict_proba)  # type: ignore[union-attr]

    @property
    def decision_function(self) -> Any:
        """The logits of records, where the classifier has them: (samples, classes), or (samples,) for two classes."""
        return self._answers(self.pipeline.decision_function)  # type: ignore[union-attr]

    def _answers(self, function: Any) -> Any:
        def answers(x: Any) -> Any:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=UserWarning)
                return function(_columns(x))

        return answers


def _classifier(family: str, settings: Settings, seed: int, place: str) -> Any:
    module, _, name = ({**TREES, **OTHERS}[family]).rpartition(".")
    try:
        made = _ours() if family == SHOKRI_MLP else getattr(importlib.import_module(module), name)()
    except ImportError:
        extra = "train" if family == SHOKRI_MLP else "tables"
        raise InputError(
            f"{place.removesuffix('settings')}estimator: {family} needs a package that is not installed: "
            f"`pip install 'membership-inference-audit[{extra}]'`"
        ) from None
    known = made.get_params()
    for setting in settings:
        if setting not in known or setting == "random_state":
            raise InputError(
                f"{place}.{setting}: no setting of {name}; {params_faults.hint(setting, [*known])}, got "
                f"{params_faults.short(settings[setting])}"
            )
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    seeded = {"random_state": seed} if "random_state" in known else {}
    made.set_params(**OURS.get(family, {}), **given, **seeded)
    return made


def _ours() -> Any:
    from mia.models.perceptron import ShokriMLP  # here: it loads torch, which no other family needs

    return ShokriMLP()


def _columns(x: Any) -> pd.DataFrame:
    """Images as rows of numbers from 0 to 1; a table as it is."""
    return x if isinstance(x, pd.DataFrame) else pd.DataFrame(x.reshape(len(x), -1) / 255.0)


def _preprocessing(family: str, classifier: Any, x: Any) -> ColumnTransformer:
    table = _columns(x)
    numbers = [name for name in table if table[name].dtype != object]
    texts = [name for name in table if table[name].dtype == object]
    if family in TREES:
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
        if family == "hist_gradient_boosting":
            bearable = [name in texts and table[name].nunique() <= CATEGORIES for name in [*numbers, *texts]]
            classifier.set_params(categorical_features=bearable)
        steps = [("numbers", "passthrough", numbers), ("texts", codes, texts)]
    else:
        whole = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        wide = make_pipeline(whole, StandardScaler())
        each = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        steps = [("numbers", wide, numbers), ("texts", each, texts)]
    return ColumnTransformer([step for step in steps if step[2]])
