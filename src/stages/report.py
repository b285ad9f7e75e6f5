"""Draw what was measured, and write it as a page that people can read.

Reads: metrics/*.json, plots/*.csv; data/exposure.parquet, data/features/target.parquet (for the loss), data/population/
(for the images shown).
Writes: plots/*.png, reports/audit.html; says on stdout what was found and where it stands.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from mia import paths
from mia.attacks import schemas
from mia.errors import InputError
from mia.evaluation import metrics, roc, verdict
from mia.params import Params
from mia.report import audit_page
from mia.report.figures import classes, comparison, confusion, leaderboard, leak, learning, overview, scores, style
from mia.report.figures import roc as roc_figure
from mia.store import atomic, metrics_files, parquet, stored_records
from stages import run

WORDS = ("attack", "verdict", "auc_attack", "tpr_attack", "best")  # what is text; all else are numbers
ACCURACIES = ("train_accuracy", "test_accuracy")
WANTED: dict[Path, tuple[str, ...]] = {  # what is taken from each file
    paths.VERDICT: verdict.KEYS,
    paths.ATTACK_METRICS: (
        *("attack", "verdict", "auc", "auc_low", "auc_high", "balanced_accuracy", "epsilon_lower"),
        *("accuracy", "recall", "f1", "tp", "fp", "n_member", "n_nonmember"),
    ),
    paths.NOT_APPLICABLE: (),
    paths.DATA_METRICS: ("classes",),
    paths.TARGET_METRICS: (*ACCURACIES, "gap"),
    paths.SHADOW_METRICS: (*ACCURACIES, "models"),
    paths.SELECTION: ("best",),
    paths.ROC_CURVES: ("attack", "fpr", "tpr", "tpr_low", "tpr_high"),
    paths.SCORE_HISTOGRAM: ("attack", "left", "right", "members", "nonmembers"),
    paths.CONFUSION: ("attack", "actual", "predicted", "count"),
    paths.COMPARISONS: ("attack_a", "attack_b", "auc_difference", "auc_p_holm"),
    paths.CLASSES: ("attack", "class", "n_member", "n_nonmember", "auc", "auc_low", "auc_high"),
    paths.LEARNING_CURVES: ("model", "epoch", "train_loss", *ACCURACIES),
    paths.LEADERBOARD: ("estimator", "auc_mean", "auc_std", "fold_aucs"),
}


def main(params: Params) -> None:
    """Run the stage."""
    estimator = params.attacks.learned.estimator
    it = read()
    chosen = it.selection["best"] if estimator == "best" else estimator
    save_figures(it, chosen)
    page = audit_page.page(it, active(params), gallery=params.report.gallery, estimator=chosen)
    with atomic.file(paths.AUDIT_PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(f"\n{verdict.sentence(it.found)}\nThe report: {paths.AUDIT_PAGE}")


def active(params: Params) -> dict[str, Any]:
    """The parameters of this audit by section, of the data set that is active alone."""
    dataset = params.data.dataset
    return {
        "seed": params.seed,
        "data": {"dataset": dataset, **params.data.of(dataset).model_dump()},
        "attacker": params.attacker.model_dump(),
        "target": params.target.of(dataset).model_dump(),
        "shadow": {"blocks": params.shadow.blocks, **params.shadow.of(dataset).model_dump()},
        "query": params.query.model_dump(),
        "features": params.features.model_dump(),
        "attacks": params.attacks.model_dump(),
        "select": params.select.model_dump(),
        "estimators": params.estimators.model_dump(),
        "evaluate": params.evaluate.model_dump(),
        "report": params.report.model_dump(),
    }


def read() -> audit_page.Found:
    """Read and check what was measured."""
    found = metrics_of(paths.VERDICT)
    if "fpr" in found:
        complete(paths.VERDICT, found, verdict.TPR_KEYS)
    measured = read_measured(found.get("fpr"))
    exposure = parquet.read(paths.EXPOSURE, schemas.exposure(list(measured)))
    told = schemas.read_features(paths.TARGET_FEATURES, with_membership=False)
    loss = told[told["source"] == "population"].set_index("sample_id")["loss"].reindex(exposure["sample_id"])
    if loss.isna().any():
        raise InputError(
            f"{paths.TARGET_FEATURES}: not of the records of {paths.EXPOSURE}; `dvc repro` makes both anew"
        )
    board = table(paths.LEADERBOARD, measured)
    board["fold_aucs"] = board["fold_aucs"].map(lambda aucs: [float(auc) for auc in aucs.split()])
    return audit_page.Found(
        found=found,
        attacks=list(measured.values()),
        refused=metrics_of(paths.NOT_APPLICABLE),
        data=metrics_of(paths.DATA_METRICS),
        target=metrics_of(paths.TARGET_METRICS),
        shadows=metrics_of(paths.SHADOW_METRICS),
        selection=metrics_of(paths.SELECTION),
        curves=table(paths.ROC_CURVES, measured),
        bins=table(paths.SCORE_HISTOGRAM, measured),
        classes=table(paths.CLASSES, measured),
        pairs=table(paths.COMPARISONS, measured),
        history=table(paths.LEARNING_CURVES, measured),
        board=board,
        exposure=exposure,
        loss=loss.to_numpy(),
        records=stored_records.load(paths.POPULATION),
        reducing=metrics_files.read_json(audit_page.REDUCING),
        fingerprint=hashlib.sha256(paths.EXPOSURE.read_bytes()).hexdigest(),
    )


def save_figures(it: audit_page.Found, chosen: str) -> None:
    """The figures as files, for README and `dvc plots`."""
    measured = {one["attack"]: one for one in it.attacks}
    sizes = {"n_member": it.found["n_member"], "n_nonmember": it.found["n_nonmember"]}
    fpr = it.found.get("fpr", verdict.ASKED_FPR)
    style.save(overview.figure(it.curves, measured, fpr=fpr, **sizes), paths.OVERVIEW_FIGURE)
    style.save(leak.figure(measured, fpr=fpr), paths.LEAK_FIGURE)
    style.save(roc_figure.figure(it.curves, measured, fpr=fpr, **sizes), paths.ROC_FIGURE)
    style.save(scores.figure(it.bins), paths.SCORE_FIGURE)
    style.save(confusion.figure(table(paths.CONFUSION, measured)), paths.CONFUSION_FIGURE)
    style.save(comparison.figure(it.pairs), paths.COMPARISON_FIGURE)
    style.save(classes.figure(it.classes, measured), paths.CLASSES_FIGURE)
    style.save(learning.figure(it.history), paths.LEARNING_FIGURE)
    style.save(leaderboard.figure(it.board, chosen=chosen), paths.LEADERBOARD_FIGURE)


def read_measured(fpr: float | None) -> dict[str, dict[str, Any]]:
    """Read metrics/attacks.json: attack -> what was measured of it; its TPR at `fpr`, or NaN, is called tpr as well."""
    entries = metrics_files.read_json(paths.ATTACK_METRICS)
    if not isinstance(entries, list) or not entries:
        raise damaged(paths.ATTACK_METRICS, "no list of attacks")
    for entry in entries:
        one = complete(paths.ATTACK_METRICS, entry)
        keys = {f"tpr{end}": f"{metrics.fpr_key(fpr or verdict.ASKED_FPR)}{end}" for end in ("", "_low", "_high")}
        resolved = fpr is not None and roc.resolvable(fpr, one["n_nonmember"])
        complete(paths.ATTACK_METRICS, one, keys.values() if resolved else ())
        one |= {name: one[key] if resolved else math.nan for name, key in keys.items()}
    return {entry["attack"]: entry for entry in entries}


def metrics_of(path: Path) -> dict[str, Any]:
    """Read the JSON at `path`, which has what is wanted of it."""
    values = metrics_files.read_json(path)
    if not isinstance(values, dict):
        raise damaged(path, "no names with values")
    complete(path, values)
    return values


def table(path: Path, measured: Collection[str]) -> pd.DataFrame:
    """Read the CSV at `path`: it has the columns it needs, and where it has attacks, those that were measured."""
    frame = metrics_files.read_csv(path)
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
    if isinstance(has, dict):
        for name in WANTED[path] if wanted is None else wanted:
            kind = str if name in WORDS else int | float
            if not isinstance(has[name], kind) or isinstance(has[name], bool):
                raise damaged(path, f"{name!r} is {has[name]!r}")
    return has


def damaged(path: Path, found: str) -> InputError:
    """What to say of a file that was changed since it was written."""
    return InputError(f"{path}: damaged: {found}; delete it, then `dvc repro` makes it anew")


if __name__ == "__main__":
    run(main)
