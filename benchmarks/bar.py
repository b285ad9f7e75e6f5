"""The bar: the stacked attack against the strongest published ones, on the same shadows, paired over targets.

python benchmarks/bar.py [--targets 8] [--references 8 16 64] [--out docs/results/bar]

Perceptrons on a made-up table of 4,000 records of ten classes, a tenth of the labels wrong, train in a second each.
Shadows are pairs that split the records; each target is one shadow of a pair, its references are so many of the others,
and whatever is fitted is fitted on these alone. Two forms that were tried beside them are no attacks of the catalogue:
RMIA with the soft-margin Taylor softmax at temperature 2 (Zarifzadeh et al. 2024, Sec. B; order 4, margin 0.6), and
LiRA with each record's variances shrunk towards the pooled ones as if those were four references.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from mia import params, progress
from mia.arrays import Bools, Floats
from mia.attacks import evidence, rmia, signals, stacked
from mia.catalogue import BY_NAME
from mia.evaluation import roc

SEED = 0
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


def taylor(values: Floats, y: np.ndarray[Any, np.dtype[np.int64]]) -> Floats:
    """The margin log p - log(1 - p) of the soft-margin Taylor softmax at temperature 2, (samples,)."""
    rows = np.arange(len(y))
    scaled = values / 2
    scaled[rows, y] -= 0.6
    powers = np.sum([scaled**k / math.factorial(k) for k in range(5)], axis=0)
    own = powers[rows, y]
    margin: Floats = np.log(own) - np.log(powers.sum(axis=1) - own)
    return margin


def shrunk(asked: evidence.Evidence) -> Floats:
    """LiRA online with each record's variances shrunk towards the pooled ones."""
    density = []
    for side in (asked.inside, asked.outside):
        spread = stacked._spread(side.squares, side.count)
        density.append(-(((asked.target - side.mean) / spread) ** 2) / 2 - np.log(spread))
    ratio: Floats = (density[0] - density[1]).sum(axis=1)
    return ratio


def subset(known: evidence.Answers, models: list[int]) -> evidence.Answers:
    """The same records, these shadows alone."""
    at = [model - 1 for model in models]
    return evidence.Answers(
        known.model_ids[at], None, known.references[at], known.is_in[at], known.labels, known.design
    )


def attacked(
    known: evidence.Answers, softened: evidence.Answers, target: int, references: list[int], given: params.Attacks
) -> dict[str, Floats]:
    """Every attack's scores of one shadow in the target's place."""
    every = np.arange(RECORDS)
    asked = subset(known, [target, *references]).of_shadow(target, every)
    scores = {name: BY_NAME[name].with_settings(SETTINGS)(asked) for name in PUBLISHED}
    scores["tried: rmia, taylor"] = rmia.online(
        subset(softened, [target, *references]).of_shadow(target, every), gamma=2.0
    )
    scores["tried: lira, shrunk"] = shrunk(asked)
    held = {"population": subset(known, sorted(references))}
    played = evidence.plays(held, 16, 500, lambda model: np.random.default_rng([SEED, target, model]))
    use_in = all(stacked.online(play.evidence) for play in played)
    described = [stacked.features(play.evidence, CLASSES, use_in=use_in) for play in played]
    names, values = described[0][0], np.concatenate([values for _, values in described])
    model, _, _ = stacked.fit(
        given.stacked.model_dump(),
        names,
        values,
        np.concatenate([play.is_member for play in played]),
        np.concatenate([np.full(len(play.rows), play.fold) for play in played]),
        SEED,
        0.01,
    )
    seen = stacked.features(asked, CLASSES, use_in=use_in)[1][:, [names.index(name) for name in model.feature_names]]
    scores["stacked"] = model.scores(seen, asked.labels)
    return scores


def measured(score: Floats, is_member: Bools) -> list[float]:
    curve = roc.curve(score, is_member)
    return [roc.auc(curve), roc.tpr_at(curve, 0.01), roc.tpr_at(curve, 0.001)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--references", type=int, nargs="+", default=[8, 16, 64])
    parser.add_argument("--out", type=Path, default=Path("docs/results/bar"))
    parsed = parser.parse_args()
    given = params.load(Path("params.yaml")).attacks
    pairs = max(max(parsed.references) // 2 + 1, parsed.targets)
    x, y = table()
    sides = [np.random.default_rng([SEED, pair]).permutation(RECORDS) < RECORDS // 2 for pair in range(pairs)]
    is_in = np.array([half for side in sides for half in (side, ~side)])
    rows = []
    with threadpool_limits(1):
        trained = [
            logits(x, y, member, seed) for seed, member in enumerate(progress.bar(is_in, "shadows", unit="model"))
        ]
        ids = np.arange(1, len(is_in) + 1)
        known, softened = (
            evidence.Answers(ids, None, np.stack([margin(one, y) for one in trained])[:, :, None], is_in, y, "paired")
            for margin in (signals.log_odds, taylor)
        )
        for count in parsed.references:
            for number in progress.bar(range(parsed.targets), f"{count} references", unit="target"):
                others = [pair for pair in range(pairs) if pair != number]
                drawn = np.random.default_rng([SEED, count, number]).permutation(others)[: count // 2]
                references = [int(2 * pair + side) for pair in drawn for side in (1, 2)]
                target = 2 * number + 1
                for name, score in attacked(known, softened, target, references, given).items():
                    values = measured(score, is_in[target - 1])
                    of_target = {"references": count, "target": target, "attack": name}
                    rows.append(of_target | dict(zip(MEASURES, values, strict=True)))
    parsed.out.mkdir(parents=True, exist_ok=True)
    found = pd.DataFrame(rows)
    (parsed.out / "bar.json").write_text(json.dumps(found.round(4).to_dict("records"), indent=1) + "\n")
    (parsed.out / "bar.md").write_text(report(found))
    print((parsed.out / "bar.md").read_text())


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
            for tried, plain in (("tried: rmia, taylor", "rmia_online"), ("tried: lira, shrunk", "lira_online")):
                lines.append(f"- {measure}: " + paired(tried, plain, values))
        lines.append("")
    return "\n".join(lines)


def paired(name: str, than: Any, values: pd.DataFrame) -> str:
    difference = values[name] - values[than]
    ahead, decided = int((difference > 0).sum()), int((difference != 0).sum())
    p_value = binomtest(ahead, decided).pvalue if decided else 1.0
    return f"{name} ahead of {than} on {ahead} of {decided}, by {difference.mean():+.4f} (p = {p_value:.2g})"


if __name__ == "__main__":
    main()
