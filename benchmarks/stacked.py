"""Does the stacked attack beat the attacks it is built of, and where does it fail?

python benchmarks/stacked.py [FOLDER] [--targets 18] [--references 4 16 60] [--out FILE.json]

FOLDER is a workspace in which an audit with attacker.knowledge=population has run. Shadows play the target in turn,
with so many of the other shadows, in pairs that split the records, as references; whatever is fitted is fitted on these
references alone. For each number of references it prints every attack's mean AUC and TPR at 1 % FPR over targets, and
how often stacked is ahead of the best other attack (the best by mean, named), with the sign test's p-value.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from mia import params, paths, progress
from mia.attacks import evidence, learned, rmia, schemas, stacked
from mia.catalogue import ATTACKS
from mia.evaluation import roc
from mia.models.logits import SIGNALS
from mia.store import parquet

FPR = 0.01
SEED = 0


def subset(known: evidence.Answers, models: list[int]) -> evidence.Answers:
    """The same records, these shadows alone."""
    rows = np.isin(known.model_ids, models)
    return evidence.Answers(
        known.model_ids[rows], known.target, known.references[rows], known.is_in[rows], known.labels, known.design
    )


def attacked(
    known: evidence.Answers, target: int, references: list[int], n_classes: int, records: int, given: params.Attacks
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Every attack's scores of one shadow in the target's place."""
    every = np.arange(len(known.labels))
    asked = subset(known, [target, *references]).of_shadow(target, every)
    played = evidence.plays(
        {"population": subset(known, references)},
        given.played.models,
        records,
        lambda model_id: np.random.default_rng([SEED, target, model_id]),
    )
    a = rmia.choose_a([play.evidence for play in played], [play.is_member for play in played])
    scores = {"loss": asked.target[:, 0]}
    given_settings = {
        "lira.variance": given.lira.variance,
        "rmia.gamma": given.rmia.gamma,
        "rmia.a": a,
        "base.offline_scale": given.base.offline_scale,
    }
    reference_attacks = [attack for attack in ATTACKS if attack.family == "reference" and attack.name != "population"]
    scores |= {attack.name: attack.with_settings(given_settings)(asked) for attack in reference_attacks}

    use_in = all(stacked.online(play.evidence) for play in played)
    described = [stacked.features(play.evidence, n_classes, use_in=use_in) for play in played]
    fitted_on = (
        described[0][0],
        np.concatenate([values for _, values in described]),
        np.concatenate([play.is_member for play in played]),
    )
    folds = np.concatenate([np.full(len(play.rows), play.fold) for play in played])
    model, _, _ = stacked.fit(given.stacked.model_dump(), *fitted_on, folds, SEED, FPR)
    features = stacked.features(asked, n_classes, use_in=use_in)[1]
    names, values, is_member = fitted_on
    read = [names.index(name) for name in model.feature_names]
    scores["stacked"] = model.scores(features[:, read], asked.labels)
    candidates: dict[str, dict[str, Any]] = {
        **given.stacked.model_dump(),
        "extra_trees": {"n_estimators": 100, "min_samples_leaf": 5, "n_jobs": -1},
    }
    for family, settings in candidates.items():
        single = model
        if family != model.family or len(read) < len(names):
            single = learned.fit(
                family, settings, names, values, np.zeros(len(values), np.int64), is_member, per_class=False, seed=SEED
            )
        scores[f"stacked: {family}"] = single.scores(features, asked.labels)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    parser.add_argument("--targets", type=int, default=18)
    parser.add_argument("--references", type=int, nargs="+", default=[4, 16, 60])
    parser.add_argument("--records", type=int, default=4000, help="of each reference that plays the target")
    parser.add_argument("--out", type=Path)
    parsed = parser.parse_args()
    given = params.load(Path("params.yaml")).attacks
    known = evidence.gather(
        parquet.read_table(parsed.folder / paths.TARGET_SIGNALS, SIGNALS),
        parquet.read_parts(parsed.folder / paths.MARGINS, schemas.MARGINS),
    )["population"]
    if known.design != "paired":
        parser.error("the audit in this folder has attacker.knowledge other than population")
    n_classes = int(known.labels.max()) + 1
    pairs = [(first, first + 1) for first in known.model_ids.tolist() if first % 2 and first + 1 in known.model_ids]
    targets = [first for first, _ in pairs][: parsed.targets]
    found = []
    for count in parsed.references:
        aucs: dict[str, list[float]] = {}
        tprs: dict[str, list[float]] = {}
        if count // 2 > len(pairs) - 1:
            parser.error(f"{count} references need {count // 2 + 1} pairs of shadows, there are {len(pairs)}")
        for target in progress.bar(targets, f"{count} references", unit="target"):
            rng = np.random.default_rng([SEED, count, target])
            others = [pair for pair in pairs if target not in pair]
            references = [model for pair in rng.permutation(len(others))[: count // 2] for model in others[pair]]
            is_member = known.is_in[int(np.flatnonzero(known.model_ids == target)[0])]
            for name, score in attacked(known, target, references, n_classes, parsed.records, given).items():
                curve = roc.curve(score, is_member)
                aucs.setdefault(name, []).append(roc.auc(curve))
                tprs.setdefault(name, []).append(roc.tpr_at(curve, FPR))
        found += report(count, aucs, tprs)
    if parsed.out:
        parsed.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def report(count: int, aucs: dict[str, list[float]], tprs: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Print one number of references as a Markdown table; its rows."""
    single = [name for name in aucs if not name.startswith("stacked")]
    print(f"\n{count} references, {len(aucs['loss'])} targets\n")
    print("| attack | AUC | TPR at 1 % FPR |\n| --- | ---: | ---: |")
    rows = []
    for name in sorted(aucs, key=lambda name: -np.mean(aucs[name])):
        row = {"references": count, "attack": name, "targets": len(aucs[name])}
        row |= {"auc": round(float(np.mean(aucs[name])), 4), "tpr_at_fpr_0_01": round(float(np.mean(tprs[name])), 4)}
        rows.append(row)
        print(f"| {name} | {row['auc']:.4f} | {row['tpr_at_fpr_0_01']:.4f} |")
    for label, values in (("AUC", aucs), ("TPR at 1 % FPR", tprs)):
        best = max(single, key=lambda name: np.mean(values[name]))
        for name in [name for name in values if name.startswith("stacked")]:
            difference = np.array(values[name]) - np.array(values[best])
            wins, decided = int((difference > 0).sum()), int((difference != 0).sum())
            p_value = binomtest(wins, decided).pvalue if decided else 1.0
            print(
                f"{label}: {name} ahead of {best} on {wins} of {decided} targets (p = {p_value:.2g}), "
                f"by {difference.mean():+.4f} on average",
                flush=True,
            )
            rows.append(
                {
                    "references": count,
                    "measure": label,
                    "attack": name,
                    "than": best,
                    "ahead": wins,
                    "of": decided,
                    "p": float(f"{p_value:.3g}"),
                    "difference": round(float(difference.mean()), 4),
                }
            )
    return rows


if __name__ == "__main__":
    main()
