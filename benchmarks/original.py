"""The original experiment's attack with its own choices, which are then mended in turn.

    P=audits/original/params.yaml
    dvc exp run -S audit=original
    python benchmarks/original.py docs/results/original/plain.json
    dvc exp run -S audit=original -S $P:shadow.mean=null -S $P:shadow.deviation=null
    python benchmarks/original.py docs/results/original/alike.json --beside docs/results/original/plain.json

Works on the features of the workspace; trains no network. The first audit's shadows see plain images. The second's see
images that are normalised as the target's. The last command also writes original.md, the table of both.

The original's classifier is as its AutoML search left it. Its shadows had their classes from folder names sorted as
text ('1', '10', '2', ...): output k of a shadow was another class than output k of the target. Training on renamed
classes renames the outputs, so that is done here by moving the shadows' columns.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from mia import params, paths, seeds
from mia.arrays import Bools, Floats
from mia.attacks import estimators, features, schemas
from mia.data.membership import MEMBERSHIP
from mia.evaluation import decisions, roc
from mia.store import metrics_files, parquet

REPORTED = {"precision": 0.8763, "recall": 0.9979, "f1": 0.9332, "accuracy": 0.8809, "auc": 0.6484}
TREES = {
    "n_estimators": 230,
    "criterion": "entropy",
    "max_depth": 9,
    "max_features": "sqrt",
    "min_samples_leaf": 6,
    "min_samples_split": 10,
    "bootstrap": True,
}
NEIGHBOURS = 5  # among which SMOTE draws


def main() -> None:
    """Mend the original's choices one after another, print and write what the attack achieves on the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--beside", type=Path, help="what the audit with plain shadows wrote")
    given = parser.parse_args()
    found = {}
    for name, measured in rows():
        found[name] = measured
        print(f"{name:52}", *(f"{key} {value:.4f}" for key, value in measured.items()), flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    metrics_files.write_json(given.out, found)
    if given.beside:
        given.out.with_name("original.md").write_text(table(metrics_files.read_json(given.beside), found))


def rows() -> Iterator[tuple[str, dict[str, float]]]:
    """Each way of making the attack, with what it achieves; a way keeps what those before it mended."""
    seed = seeds.integer(params.load(paths.PARAMS).seed, "attack model")
    shadows = schemas.read_features(paths.SHADOW_FEATURES, with_membership=True)
    target = schemas.read_features(paths.TARGET_FEATURES, with_membership=False)
    membership = parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP)
    on = ["model_id", "source", "sample_id"]
    is_member = target.merge(membership, on=on, validate="one_to_one")["is_member"].to_numpy(bool)
    known, shadow = shadows["is_member"].to_numpy(bool), shadows["model_id"].to_numpy()

    names = features.chosen(target.columns, ["posteriors"])
    as_text = [int(name) - 1 for name in sorted(str(label + 1) for label in range(len(names)))]
    posteriors = shadows[names].to_numpy()
    unmended = smote(posteriors[:, as_text], known, np.random.default_rng(seed))
    yield "the original's choices", fitted(*unmended, target[names], TREES, seed, is_member)
    balanced = smote(posteriors, known, np.random.default_rng(seed))
    yield "classes in the target's order", fitted(*balanced, target[names], TREES, seed, is_member)
    yield "no records made up", fitted(*as_many(posteriors, known, seed), target[names], TREES, seed, is_member)
    for name, columns, leaves in (
        ("leaves of 50, any depth", ["posteriors"], 50),
        ("signals of the true class and the label", ["signals", "label"], 50),
    ):
        chosen = features.chosen(target.columns, columns)
        settings = {"n_estimators": 100, "min_samples_leaf": leaves}
        X = shadows[chosen].to_numpy()
        limit = threshold(X, known, shadow, settings, seed) if columns != ["posteriors"] else 0.5
        yield name, fitted(*as_many(X, known, seed), target[chosen], settings, seed, is_member, limit)


def smote(X: Floats, is_member: Bools, rng: np.random.Generator) -> tuple[Floats, Bools]:
    """All records and made-up non-members, until there are as many as members.

    Each lies at a random point between a non-member and one of its five nearest. Chawla et al. 2002, Sec. 4.2.
    """
    few = X[~is_member]
    missing = int(is_member.sum()) - len(few)
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(few).kneighbors(few, return_distance=False)[:, 1:]
    base = rng.integers(len(few), size=missing)
    other = near[base, rng.integers(NEIGHBOURS, size=missing)]
    made = few[base] + rng.random((missing, 1)) * (few[other] - few[base])
    return np.r_[X, made], np.r_[is_member, np.zeros(missing, bool)]


def as_many(X: Floats, is_member: Bools, seed: int) -> tuple[Floats, Bools]:
    """As many members, at random, as there are non-members."""
    members = np.random.default_rng(seed).permutation(np.flatnonzero(is_member))[: int((~is_member).sum())]
    kept = np.sort(np.r_[members, np.flatnonzero(~is_member)])
    return X[kept], is_member[kept]


def threshold(X: Floats, known: Bools, shadow: np.ndarray[Any, Any], settings: dict[str, Any], seed: int) -> float:
    """P(member) that decides best on shadows that the attack model was not fitted on."""
    scores = np.empty(len(X))
    for rows, unseen in estimators.folds(shadow):
        model = estimators.build("extra_trees", settings, seed)
        scores[unseen] = estimators.probability(estimators.fit(model, X[rows], known[rows], seed), X[unseen])
    return roc.best_threshold(scores, known)


def fitted(
    X: Floats,
    known: Bools,
    target: pd.DataFrame,
    settings: dict[str, Any],
    seed: int,
    is_member: Bools,
    limit: float = 0.5,
) -> dict[str, float]:
    """What Extra Trees that were fitted on these records achieve on the target, P(member) >= limit a member."""
    model = estimators.build("extra_trees", {**settings, "n_jobs": -1}, seed).fit(X, known)
    scores = estimators.probability(model, target.to_numpy())
    curve, decision = roc.curve(scores, is_member), decisions.decision(scores >= limit, is_member)
    values = {name: getattr(decision, name).value for name in ("precision", "recall", "f1", "accuracy")}
    values |= {"auc": roc.auc(curve), "balanced_accuracy": decision.balanced_accuracy.value}
    values["tpr_at_fpr_0_01"] = roc.tpr_at(curve, 0.01)
    return {name: round(float(value), 4) for name, value in values.items()}


def table(plain: dict[str, dict[str, float]], alike: dict[str, dict[str, float]]) -> str:
    """Markdown: what was reported, each way with the original's shadows, and the last with shadows as the target."""
    names = [*REPORTED, "balanced_accuracy", "tpr_at_fpr_0_01"]
    heads = ["precision", "recall", "F1", "accuracy", "AUC", "balanced accuracy", "TPR at 1 % FPR"]
    lines = [f"| attack | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
    first = next(iter(alike))
    ways = [("as reported", REPORTED), *plain.items(), ("shadows normalised as the target", list(alike.values())[-1])]
    ways.append((f"{first}, shadows normalised as the target", alike[first]))
    for name, measured in ways:
        values = (f"{measured[key]:.4f}".lstrip("0") if key in measured else "–" for key in names)
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
