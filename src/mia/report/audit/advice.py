"""What the numbers of an audit suggest for a smaller leak."""

from __future__ import annotations

import pandas as pd

from mia import paths
from mia.evaluation import wording
from mia.report.audit import attacker
from mia.report.audit.measured import Audit, Numbers

Advice = tuple[str, str | None]  # what to do, and the command that tries it
SMOOTHER = {  # by estimator: a setting that lets one record weigh less than its default does, and a value to try
    **dict.fromkeys(("decision_tree", "extra_trees", "random_forest"), ("min_samples_leaf", 50)),
    **dict.fromkeys(("hist_gradient_boosting", "lightgbm", "xgboost"), ("max_depth", 3)),
    **dict.fromkeys(("logistic_regression", "svm"), ("C", 0.1)),
    "k_neighbors": ("n_neighbors", 50),
    "mlp": ("alpha", 1.0),
    "shokri_mlp": ("epochs", 20),
}


def advice(audit: Audit, active: Numbers) -> list[Advice]:
    """Return what to do, and the commands that try it. active: parameters by section."""
    given = narrower_gap(audit.target) if attacker.trained_elsewhere(active) else of_training(audit, active)
    if label_only := audit.by_attack.get("correctness"):
        remains = "remains" if label_only["auc_low"] > 0.5 else "may remain"
        what = (
            f"If the model answers only with a class, a leak {remains}. The attack “correctness” needs only the class: "
            f"its AUC is {wording.fraction(label_only, 'auc')}. The best AUC of all attacks is "
            f"{wording.decimals(3)(audit.verdict['auc'])}."
        )
        given.append((what, None))
    return given


def narrower_gap(target: Numbers) -> list[Advice]:
    """Return the advice for a target that is better on members than on non-members, whoever trained it."""
    if target["gap"] <= 0:
        return []
    inside, outside = (f"{100 * target[name]:.1f} %" for name in ("train_accuracy", "test_accuracy"))
    what = (
        f"Narrow the gap between members and non-members: attacks use it. The target’s accuracy is {inside} on members "
        f"and {outside} on non-members. Regularisation narrows the gap."
    )
    return [(what, None)]


def of_training(audit: Audit, active: Numbers) -> list[Advice]:
    """Return what to change in the recipe of a target that was trained here."""
    values = f"{paths.audit(active['audit'])}/{paths.PARAMS}"
    if "estimator" in active["target"]:
        return of_estimator(audit.target, active["target"], values)
    given = fewer_epochs(audit.history, values)
    if audit.images is not None and not active["target"]["augmentation"]:
        moves = "flip,shift" if audit.images.shape[1] > 8 else "shift"  # a mirrored digit is no digit
        what = "Augment the images, so that the model sees no image twice in the same form."
        given.append((what, f"dvc exp run -S '{values}:target.augmentation=[{moves}]'"))
    return given


def of_estimator(target: Numbers, recipe: Numbers, values: str) -> list[Advice]:
    """Return the advice for an estimator, with a setting to try that its recipe leaves at the default.

    target: metrics/target.json. recipe: the estimator and its settings. values: the audit's params.yaml.
    """
    setting, value = SMOOTHER.get(recipe["estimator"], (None, None))
    tries = setting is not None and setting not in recipe["settings"]
    command = f"dvc exp run -S {values}:target.settings.{setting}={value}" if tries else None
    return [(what, command) for what, _ in narrower_gap(target)]


def fewer_epochs(history: pd.DataFrame, values: str) -> list[Advice]:
    """Return the advice to stop early, where the target was as accurate before.

    history: plots/learning.csv. values: the audit's params.yaml.
    """
    curve = history[history["model"] == "target"].sort_values("epoch")
    if curve.empty:
        return []
    last = curve.iloc[-1]
    enough = curve[curve["test_accuracy"] >= last["test_accuracy"]].iloc[0]
    if enough["epoch"] >= last["epoch"] or enough["train_accuracy"] >= last["train_accuracy"]:
        return []
    unseen, unseen_last, inside, inside_last = (
        f"{100 * epoch[name]:.1f}" for name in ("test_accuracy", "train_accuracy") for epoch in (enough, last)
    )
    what = (
        f"Train for fewer epochs. After epoch {enough['epoch']:.0f} of {last['epoch']:.0f}, accuracy on non-members "
        f"was {unseen} %; at the end it is {unseen_last} %. The later epochs raised only the accuracy on members, from "
        f"{inside} to {inside_last} %, and attacks use that gap."
    )
    return [(what, f"dvc exp run -S {values}:target.epochs={enough['epoch']:.0f}")]
