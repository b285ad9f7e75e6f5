"""The bar: the stacked attack against the strongest published ones, on the same shadows, paired over targets.

python benchmarks/bar.py [FOLDER] [--targets 12] [--references 4 16 64] [--out docs/results/bar/mlp]

FOLDER is a workspace where an audit with attacker.knowledge=population has run as far as build_features. Without one,
perceptrons are trained, a second each, on a made-up table of 4,000 records of ten classes, a tenth of the labels wrong.
Shadows are pairs that split the records. Each target is one shadow of a pair, its references are so many of the others
in pairs, and whatever is fitted is fitted on these alone. It writes OUT.json, a row a target and attack, and OUT.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from mia import params, paths, progress
from mia.arrays import Bools, Floats
from mia.attacks import evidence, schemas, signals, stacked
from mia.catalogue import BY_NAME
from mia.evaluation import roc
from mia.models.logits import SIGNALS
from mia.store import parquet

SEED = 0
FPR = 0.01  # of the choice between candidates, as the verdict has it
RECORDS, FEATURES, CLASSES = 4000, 20, 10
PUBLISHED = ("base2_star", "base3", "bavaria_normal", "bavaria_t", "lira_online", "rmia_online", "base_online")
MEASURES = ("AUC", "TPR at 1 %", "TPR at 0.1 %")
SETTINGS = {"lira.variance": "auto", "rmia.gamma": 2.0}


def table() -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    x, y = make_classification(
        RECORDS, FEATURES, n_informative=12, n_classes=CLASSES, flip_y=0.1, class_sep=1.5, random_state=SEED
    )
    return x, y.astype(np.int64)


def logits(x: Floats, y: np.ndarray[Any, np.dtype[np.int64]], member: Bools, seed: int) -> Floats:
    """What a perceptron trained on the members says of all records, (samples, classes)."""
    model = MLPClassifier((128,), max_iter=50, batch_size=250, learning_rate_init=0.01, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fifty epochs, as asked for
        model.fit(x[member], y[member])
    hidden = np.maximum(x @ model.coefs_[0] + model.intercepts_[0], 0)
    values: Floats = hidden @ model.coefs_[1] + model.intercepts_[1]
    return values


def subset(known: evidence.Answers, models: list[int]) -> evidence.Answers:
    """The same records, these shadows alone."""
    at = [model - 1 for model in models]
    return evidence.Answers(
        known.model_ids[at], None, known.references[at], known.is_in[at], known.labels, known.design
    )


def attacked(known: evidence.Answers, target: int, references: list[int], given: params.Attacks) -> dict[str, Floats]:
    """Every attack's scores of one shadow in the target's place."""
    every, n_classes = np.arange(len(known.labels)), int(known.labels.max()) + 1
    asked = subset(known, [target, *references]).of_shadow(target, every)
    scores = {name: BY_NAME[name].with_settings(SETTINGS)(asked) for name in PUBLISHED}
    played = evidence.plays(
        {"population": subset(known, sorted(references))},
        given.played.models,
        given.played.records,
        lambda model: np.random.default_rng([SEED, target, model]),
    )
    use_in = all(stacked.online(play.evidence) for play in played)
    described = [stacked.features(play.evidence, n_classes, use_in=use_in) for play in played]
    names, values = described[0][0], np.concatenate([values for _, values in described])
    is_member = np.concatenate([play.is_member for play in played])
    folds = np.concatenate([np.full(len(play.rows), play.fold) for play in played])
    model, _, _ = stacked.fit(given.stacked.model_dump(), names, values, is_member, folds, SEED, FPR)
    seen = stacked.features(asked, n_classes, use_in=use_in)[1][:, [names.index(name) for name in model.feature_names]]
    return scores | {"stacked": model.scores(seen, asked.labels)}


def measured(score: Floats, is_member: Bools) -> list[float]:
    curve = roc.curve(score, is_member)
    return [roc.auc(curve), roc.tpr_at(curve, 0.01), roc.tpr_at(curve, 0.001)]


def audited(folder: Path) -> evidence.Answers:
    """The shadows of an audit."""
    known = evidence.gather(
        parquet.read_table(folder / paths.TARGET_SIGNALS, SIGNALS),
        parquet.read_parts(folder / paths.MARGINS, schemas.MARGINS),
    )["population"]
    if known.design != "paired":
        sys.exit(f"error: {folder}: expected an audit with attacker.knowledge=population; run one there")
    return known


def perceptrons(pairs: int) -> evidence.Answers:
    """So many pairs of perceptrons on the made-up table."""
    x, y = table()
    sides = [np.random.default_rng([SEED, pair]).permutation(RECORDS) < RECORDS // 2 for pair in range(pairs)]
    is_in = np.array([half for side in sides for half in (side, ~side)])
    trained = [logits(x, y, member, seed) for seed, member in enumerate(progress.bar(is_in, "shadows", unit="model"))]
    margins = np.stack([signals.log_odds(values, y) for values in trained])[:, :, None]
    return evidence.Answers(np.arange(1, len(is_in) + 1), None, margins, is_in, y, "paired")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--targets", type=int, default=12)
    parser.add_argument("--references", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--out", type=Path, default=Path("docs/results/bar/mlp"))
    parsed = parser.parse_args()
    given = params.load(Path("params.yaml")).attacks
    needed = max(max(parsed.references) // 2 + 1, parsed.targets)
    with threadpool_limits(1):
        known = perceptrons(needed) if parsed.folder is None else audited(parsed.folder)
        pairs = len(known.model_ids) // 2
        if pairs < needed:
            sys.exit(f"error: {parsed.folder}: expected {needed} pairs of shadows, got {pairs}; lower --references")
        rows = []
        for count in parsed.references:
            for number in progress.bar(range(parsed.targets), f"{count} references", unit="target"):
                others = [pair for pair in range(pairs) if pair != number]
                drawn = np.random.default_rng([SEED, count, number]).permutation(others)[: count // 2]
                references = [int(2 * pair + side) for pair in drawn for side in (1, 2)]
                target = 2 * number + 1
                for name, score in attacked(known, target, references, given).items():
                    values = measured(score, known.is_in[target - 1])
                    of_target = {"references": count, "target": target, "attack": name}
                    rows.append(of_target | dict(zip(MEASURES, values, strict=True)))
    found = pd.DataFrame(rows)
    parsed.out.with_suffix(".json").write_text(json.dumps(found.round(4).to_dict("records"), indent=1) + "\n")
    parsed.out.with_suffix(".md").write_text(report(found))
    print(report(found))


def report(found: pd.DataFrame) -> str:
    """Means over targets, and stacked against the best published attack of each measure, paired."""
    lines = []
    for count, part in found.groupby("references"):
        wide = {measure: part.pivot(index="target", columns="attack", values=measure) for measure in MEASURES}
        lines += [f"{count} references, {part['target'].nunique()} targets", "", f"| attack | {' | '.join(MEASURES)} |"]
        lines.append("| --- | ---: | ---: | ---: |")
        for name in wide["AUC"].mean().sort_values(ascending=False).index:
            lines.append(
                f"| {name} | " + " | ".join(f"{wide[measure][name].mean():.4f}" for measure in MEASURES) + " |"
            )
        lines.append("")
        for measure, values in wide.items():
            best = values[list(PUBLISHED)].mean().idxmax()
            lines.append(f"- {measure}: " + paired("stacked", best, values))
        lines.append("")
    return "\n".join(lines)


def paired(name: str, than: Any, values: pd.DataFrame) -> str:
    """In words; no p-value, since targets share records and references."""
    difference = values[name] - values[than]
    ahead, decided = int((difference > 0).sum()), int((difference != 0).sum())
    return f"{name} ahead of {than} on {ahead} of {decided}, by {difference.mean():+.4f}"


if __name__ == "__main__":
    main()
