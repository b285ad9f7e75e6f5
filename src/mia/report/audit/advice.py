"""What these very numbers say on how to leak less."""

from __future__ import annotations

import pandas as pd

from mia import paths
from mia.evaluation import wording
from mia.report.audit import attacker
from mia.report.audit.measured import Audit, Numbers

Advice = tuple[str, str | None]  # what to do, and the command that tries it


def advice(audit: Audit, active: Numbers) -> list[Advice]:
    """Return what to do, and the commands that try it. active: parameters by section."""
    given = narrower_gap(audit.target) if attacker.trained_elsewhere(active) else of_training(audit, active)
    if label_only := audit.by_attack.get("correctness"):
        auc = wording.number(label_only, "auc", 3)
        what = (
            "Answering with the class alone, without probabilities, does not end it: whether the target is right tells "
            f"members from others with an AUC of {auc}, where the strongest attack has {audit.verdict['auc']:.3f}."
        )
        given.append((what, None))
    return given


def narrower_gap(target: Numbers) -> list[Advice]:
    """Return what a target that was trained elsewhere should gain, where it is better on members than on others."""
    if target["gap"] <= 0:
        return []
    inside, outside = (f"{100 * target[name]:.1f} %" for name in ("train_accuracy", "test_accuracy"))
    what = (
        f"Narrow the gap: the target is right on {inside} of members and on {outside} of others, and that difference "
        "is what attacks feed on. How it was trained is not known here."
    )
    return [(what, None)]


def of_training(audit: Audit, active: Numbers) -> list[Advice]:
    """Return what to change in the recipe of a target that was trained here."""
    values = f"{paths.audit(active['audit'])}/{paths.PARAMS}"
    given = fewer_epochs(audit.history, audit.noun, values)
    if audit.images is not None and not active["target"]["augmentation"]:
        moves = "flip,shift" if audit.images.shape[1] > 8 else "shift"  # a mirrored digit is none
        what = "Augment, so that no image is seen twice in the same way."
        given.append((what, f"dvc exp run -S '{values}:target.augmentation=[{moves}]'"))
    return given


def fewer_epochs(history: pd.DataFrame, noun: str, values: str) -> list[Advice]:
    """Return the advice to stop early, where the target was as accurate before.

    history: plots/learning.csv. noun: what one record is called. values: the audit's params.yaml.
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
        f"Train for fewer epochs. After epoch {enough['epoch']:.0f} of {last['epoch']:.0f} the target was already "
        f"right on {unseen} % of unseen {noun}s, against {unseen_last} % at the end; what came after raised its "
        f"accuracy on members from {inside} to {inside_last} %, and that difference is what attacks feed on."
    )
    return [(what, f"dvc exp run -S {values}:target.epochs={enough['epoch']:.0f}")]
