"""Reads the numbers of the stages, and checks that each file has the values that the report takes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mia import paths
from mia.attacks import schemas
from mia.errors import InputError
from mia.evaluation import metrics, roc, verdict
from mia.store import metrics_files

WORDS = (  # what is text, in metrics and in plots; all else are numbers
    *("attack", "verdict", "auc_attack", "tpr_attack", "best", "reason", "plays_of", "spread_missing"),
    *("actual", "attack_a", "attack_b", "class", "estimator", "fold_aucs", "model", "predicted"),
)
THRESHOLDS = ("shadows", "cross-fitted")  # what an attack's threshold was chosen on, the first where it is not said
ACCURACIES = ("train_accuracy", "test_accuracy")
ENDS = ("", "_low", "_high")
TNR_KEYS = ("fnr", *(f"tnr{end}" for end in ENDS))
WANTED: dict[Path, tuple[str, ...]] = {  # what is taken from each file
    paths.VERDICT: verdict.KEYS,
    paths.ATTACK_METRICS: (
        *("attack", "verdict", "auc", "auc_low", "auc_high", "balanced_accuracy", "epsilon_lower"),
        *("accuracy", "recall", "f1", "tp", "fp", "n_member", "n_nonmember"),
    ),
    paths.NOT_APPLICABLE: (),
    paths.WITHOUT_SHADOWS: (),
    paths.DATA_METRICS: ("classes",),
    paths.TARGET_METRICS: (*ACCURACIES, "gap"),
    paths.SHADOW_METRICS: ("models",),
    paths.SELECTION: (),
    paths.ROC_CURVES: ("attack", "fpr", "tpr", "tpr_low", "tpr_high"),
    paths.SCORE_HISTOGRAM: ("attack", "left", "right", "members", "nonmembers"),
    paths.CONFUSION: ("attack", "actual", "predicted", "count"),
    paths.COMPARISONS: ("attack_a", "attack_b", "auc_difference", "auc_p_holm"),
    paths.CLASSES: ("attack", "class", "n_member", "n_nonmember", "auc", "auc_low", "auc_high"),
    paths.LEARNING_CURVES: ("model", "epoch", "train_loss", *ACCURACIES),
    paths.LEADERBOARD: ("estimator", "auc_mean", "auc_std", "fold_aucs", "stopped_in_round"),
}


def read_metrics(path: Path) -> dict[str, Any]:
    """Read the JSON at `path`. Raises InputError if the file lacks a value that the report takes."""
    values = metrics_files.read_json(path)
    if not isinstance(values, dict):
        raise damaged(path, "no names with values")
    check(path, values)
    return values


def read_verdict(path: Path) -> dict[str, Any]:
    """Read metrics/verdict.json, whose numbers at a low FPR are there together or not at all."""
    values = read_metrics(path)
    if "fpr" in values:
        check(path, values, verdict.TPR_KEYS)
    check_spreads(path, values)
    if verdict.noun(values) not in verdict.KINDS:
        raise damaged(path, f"'kind' is {values['kind']!r}")
    return values


def read_shadows(path: Path) -> dict[str, Any]:
    """Read metrics/shadows.json, which has accuracies where there are shadows."""
    values = read_metrics(path)
    check(path, values, ACCURACIES if values["models"] else ())
    return values


def read_without_shadows(path: Path) -> dict[str, Any]:
    """Read metrics/without_shadows.json, whose two parts are there or not, each with its numbers and limits."""
    values = read_metrics(path)
    for name, wanted in (("members_known", ("auc", "auc_low", "auc_high")), ("loss_tnr", TNR_KEYS)):
        if values.get(name):
            check(path, values[name], wanted)
    if "tpr" in values.get("members_known", {}):
        check(path, values["members_known"], ("fpr", *(f"tpr{end}" for end in ENDS)))
    return values


def read_selection(path: Path) -> dict[str, Any]:
    """Read metrics/selection.json, whose best classifier is None where none was fitted, for a reason it has."""
    values = read_metrics(path)
    check(path, values, ("best",) if values.get("best", "") is not None else ("reason",))
    return values


def read_attacks(path: Path, fpr: float | None) -> dict[str, dict[str, Any]]:
    """Read metrics/attacks.json: attack -> its entry, whose TPR at `fpr`, or NaN, is called tpr as well."""
    entries = metrics_files.read_json(path)
    if not isinstance(entries, list) or not entries:
        raise damaged(path, "no list of attacks")
    for entry in entries:
        check(path, entry)
        if entry.get("thresholds", THRESHOLDS[0]) not in THRESHOLDS:
            raise damaged(path, f"'thresholds' is {entry['thresholds']!r}")
        resolved = fpr is not None and roc.resolvable(fpr, entry["n_nonmember"])
        key = metrics.fpr_key(fpr or verdict.ASKED_FPR)
        check(path, entry, [f"{key}{end}" for end in ENDS] if resolved else ())
        entry |= {f"tpr{end}": entry[f"{key}{end}"] if resolved else math.nan for end in ENDS}
        check_spreads(path, entry)
        entry["tpr_spread"] = entry.get(f"{key}_spread") if resolved else None
    return {entry["attack"]: entry for entry in entries}


def read_table(path: Path, attacks: Collection[str]) -> pd.DataFrame:
    """Read the CSV at `path`. Raises InputError if it lacks a column, or its attacks are others than these."""
    table = metrics_files.read_csv(path, WORDS)
    check(path, table)
    present = set(table["attack"]) if "attack" in table else set(attacks)
    for lacking, other, missing in (
        (path, paths.ATTACK_METRICS, set(attacks) - present),
        (paths.ATTACK_METRICS, path, present - set(attacks)),
    ):
        if missing:
            raise damaged(lacking, f"no attack {', '.join(map(repr, sorted(missing)))}, which {other} has")
    return table


def read_leaderboard(path: Path) -> pd.DataFrame:
    """Read plots/leaderboard.csv, fold_aucs as a list of numbers a row."""
    board = read_table(path, ())
    board["fold_aucs"] = board["fold_aucs"].map(lambda aucs: [float(auc) for auc in aucs.split()])
    return board


def read_loss(path: Path, exposure: pd.DataFrame) -> NDArray[np.float64] | None:
    """Read the target's loss on each record from its features: (records,), nats, in the order of the exposure.

    None where the features have no loss, of answers that are classes alone.
    """
    features = schemas.read_features(path, with_membership=False)
    if "loss" not in features:
        return None
    audited = features[features["source"] == "population"].set_index("sample_id")["loss"]
    loss = audited.reindex(exposure["sample_id"])
    if loss.isna().any():
        raise InputError(f"{path}: not of the records of {paths.EXPOSURE}; `dvc repro` makes both anew")
    return loss.to_numpy(np.float64)


def check(path: Path, content: Any, wanted: Iterable[str] | None = None) -> None:
    """Check an entry or the table of the file at `path`. Raises InputError if it lacks what is `wanted` of it."""
    wanted = WANTED[path] if wanted is None else list(wanted)
    present = content if isinstance(content, dict | pd.DataFrame) else ()
    missing = [name for name in wanted if name not in present]
    if missing:
        raise damaged(path, f"no {', '.join(map(repr, missing))}")
    if isinstance(content, dict):
        for name in wanted:
            kind = str if name in WORDS else int | float
            if not isinstance(content[name], kind) or isinstance(content[name], bool):
                raise damaged(path, f"{name!r} is {content[name]!r}")


def check_spreads(path: Path, entry: dict[str, Any]) -> None:
    """Check an entry's spreads over trainings (`mia.evaluation.trainings`), which audits of before have not."""
    spreads = [name for name in entry if name.endswith("_spread")]
    known = [name for name in spreads if entry[name] is not None]
    reason = ["spread_missing"] if len(known) < len(spreads) else []
    check(path, entry, [*known, *reason, *(name for name in ("plays", "plays_of") if entry.get(name) is not None)])
    if spreads:
        check(path, entry, ["plays"])


def damaged(path: Path, fault: str) -> InputError:
    """Return the error of a file that was changed since a stage wrote the file."""
    return InputError(f"{path}: damaged: {fault}; delete it, then `dvc repro` makes it anew")
