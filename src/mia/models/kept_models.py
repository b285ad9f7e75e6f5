"""Files of fitted models for their owner, without pickle: skops, XGBoost's UBJ, LightGBM's text. None is read here."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from mia.models import families
from mia.store import skops_writing


def files(model: Any) -> dict[str, bytes]:
    """The content of a model's files by suffix; none where it cannot be stored without pickle.

    The same model gives the same bytes. Of a pipeline that ends in XGBoost or LightGBM, the steps before it are a file
    of their own, `preprocessing.skops`.
    """
    fitted = model.pipeline if isinstance(model, families.OfFamily) else model
    if not isinstance(fitted, BaseEstimator):
        return {}
    *before, last = [step for _, step in fitted.steps] if isinstance(fitted, Pipeline) else [fitted]
    package = type(last).__module__.partition(".")[0]
    if package not in ("xgboost", "lightgbm"):
        return _skops("skops", fitted)
    if package == "xgboost":
        own = {"ubj": bytes(last.get_booster().save_raw("ubj"))}
    else:
        own = {"txt": last.booster_.model_to_string().encode()}
    preprocessing = _skops("preprocessing.skops", Pipeline(fitted.steps[:-1])) if before else {}
    return {**own, **preprocessing} if preprocessing or not before else {}


def _skops(suffix: str, estimator: BaseEstimator) -> dict[str, bytes]:
    try:
        return {suffix: skops_writing.dumps(estimator)}
    except Exception:  # skops raises what the objects inside raise
        return {}
