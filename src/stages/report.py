"""Draw what was measured.

Reads: metrics/attacks.json, metrics/selection.json, plots/*.csv.
Writes: plots/*.png.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from mia import documents, figures, metrics, paths, roc
from mia.errors import InputError
from mia.params import Params
from stages import run

LOW_FPR = 0.01  # the FPR whose TPR stands beside the AUC, or the largest one that was measured
WANTED = {  # what the figures take from each file
    paths.ATTACK_METRICS: ("attack", "auc", "auc_low", "auc_high", "n_member", "n_nonmember"),
    paths.SELECTION: ("best",),
    paths.ROC_CURVES: ("attack", "fpr", "tpr"),
    paths.SCORE_HISTOGRAM: ("attack", "left", "right", "members", "nonmembers"),
    paths.CONFUSION: ("attack", "actual", "predicted", "count"),
    paths.COMPARISONS: ("attack_a", "attack_b", "auc_difference", "auc_p_holm"),
    paths.CLASSES: ("attack", "class", "n_member", "n_nonmember", "auc", "auc_low", "auc_high"),
    paths.LEARNING_CURVES: ("model", "epoch", "train_loss", "train_accuracy", "test_accuracy"),
    paths.LEADERBOARD: ("estimator", "auc_mean", "auc_std", "fold_aucs"),
}


def main(params: Params) -> None:
    """Run the stage."""
    fpr = min(params.evaluate.fprs, key=lambda fpr: abs(math.log(fpr / LOW_FPR)))
    measured = read_measured(fpr)
    size = next(iter(measured.values()))

    figures.save(figures.leak(measured, fpr=fpr), paths.LEAK_FIGURE)
    curves = table(paths.ROC_CURVES, measured)
    drawn = figures.roc(curves, measured, fpr=fpr, n_member=size["n_member"], n_nonmember=size["n_nonmember"])
    figures.save(drawn, paths.ROC_FIGURE)
    figures.save(figures.scores(table(paths.SCORE_HISTOGRAM, measured)), paths.SCORE_FIGURE)
    figures.save(figures.confusion(table(paths.CONFUSION, measured)), paths.CONFUSION_FIGURE)
    figures.save(figures.comparison(table(paths.COMPARISONS, measured)), paths.COMPARISON_FIGURE)
    figures.save(figures.classes(table(paths.CLASSES, measured), measured), paths.CLASSES_FIGURE)
    figures.save(figures.learning(table(paths.LEARNING_CURVES, measured)), paths.LEARNING_FIGURE)
    board = table(paths.LEADERBOARD, measured)
    board["fold_aucs"] = board["fold_aucs"].map(lambda aucs: [float(auc) for auc in aucs.split()])
    best = complete(paths.SELECTION, documents.read_json(paths.SELECTION))["best"]
    chosen = best if params.attacks.learned.estimator == "best" else params.attacks.learned.estimator
    figures.save(figures.leaderboard(board, chosen=chosen), paths.LEADERBOARD_FIGURE)


def read_measured(fpr: float) -> dict[str, dict[str, Any]]:
    """Read metrics/attacks.json: attack -> what was measured of it; its TPR at `fpr`, or NaN, is called tpr as well."""
    entries = documents.read_json(paths.ATTACK_METRICS)
    if not isinstance(entries, list) or not entries:
        raise damaged(paths.ATTACK_METRICS, "no list of attacks")
    for entry in entries:
        one = complete(paths.ATTACK_METRICS, entry)
        keys = {f"tpr{end}": f"{metrics.fpr_key(fpr)}{end}" for end in ("", "_low", "_high")}
        resolved = roc.resolvable(fpr, one["n_nonmember"])
        complete(paths.ATTACK_METRICS, one, keys.values() if resolved else ())
        one |= {name: one[key] if resolved else math.nan for name, key in keys.items()}
    return {entry["attack"]: entry for entry in entries}


def table(path: Path, measured: Collection[str]) -> pd.DataFrame:
    """Read the CSV at `path`: it has the columns it needs, and where it has attacks, those that were measured."""
    frame = documents.read_csv(path)
    complete(path, frame)
    named = set(frame["attack"]) if "attack" in frame else set(measured)
    for lacking, other, attacks in (
        (path, paths.ATTACK_METRICS, set(measured) - named),
        (paths.ATTACK_METRICS, path, named - set(measured)),
    ):
        if attacks:
            raise damaged(lacking, f"no attack {', '.join(map(repr, sorted(attacks)))}, which {other} has")
    return frame


def complete(path: Path, has: Any, wanted: Iterable[str] | None = None) -> Any:
    """Return `has`, an entry or the table of the file at `path`. Raises InputError if it lacks what is `wanted`."""
    present = has if isinstance(has, dict | pd.DataFrame) else ()
    missing = [name for name in (WANTED[path] if wanted is None else wanted) if name not in present]
    if missing:
        raise damaged(path, f"no {', '.join(map(repr, missing))}")
    return has


def damaged(path: Path, found: str) -> InputError:
    """What to say of a file that was changed since it was written."""
    return InputError(f"{path}: damaged: {found}; delete it, then `dvc repro` makes it anew")


if __name__ == "__main__":
    run(main)
