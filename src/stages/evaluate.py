"""Measure every attack on the target, at thresholds chosen on the shadows.

Reads: data/scores.parquet (of shadows, for thresholds), data/target_scores.parquet, data/membership/target.parquet,
names and classes of data/population/, metrics/not_applicable.json.
Writes: data/exposure.parquet (a row an audited record, its membership, every attack's score and rank),
metrics/attacks.json (one entry an attack, every number with its interval and counts, and a verdict in words),
metrics/summary.json (the few that `dvc metrics diff` compares), plots/roc.csv, plots/scores.csv, plots/confusion.csv,
plots/comparisons.csv (every pair of attacks, which is better, and the p-value), plots/classes.csv (every attack, class
by class), metrics/verdict.json (what the strongest attack gets).
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import rankdata

from mia import paths, progress, seeds
from mia.attacks import schemas
from mia.attacks.chosen import wanted
from mia.data.membership import MEMBERSHIP
from mia.errors import InputError
from mia.evaluation import by_class, detectable, differences, metrics, permutation, roc, strongest
from mia.params import Params
from mia.store import metrics_files, parquet, stored_records
from stages import run

SUMMARY = ("auc", "balanced_accuracy", "epsilon_lower")


def main(params: Params) -> None:
    """Run the stage."""
    refused = metrics_files.read_json(paths.NOT_APPLICABLE)
    scored = [attack for attack in wanted(params.attacks.run) if attack not in refused]
    exposed = exposure(scored)
    parquet.write(paths.EXPOSURE, exposed, schemas.exposure(scored))
    is_member, class_names = exposed["is_member"].to_numpy(bool), exposed["class"].to_numpy(str)
    sizes = int(is_member.sum()), int((~is_member).sum())
    on_target = {attack: exposed[f"{attack}_score"].to_numpy() for attack in scored}
    fprs = [fpr for fpr in params.evaluate.fprs if roc.resolvable(fpr, sizes[1])]
    chance = permutation.p_values(
        np.stack(list(on_target.values())), is_member, fprs=fprs, rng=seeds.generator(params.seed, "permutations")
    )
    measured, curves, histograms, tallies, classwise = [], [], [], [], []
    for at, (attack, shadows) in enumerate(progress.bar(by_attack(), "evaluate", total=len(scored), unit="attack")):
        score = on_target[attack]
        on_shadows = shadows["score"].to_numpy(), shadows["is_member"].to_numpy(bool)
        curve = roc.thin(roc.curve(score, is_member))
        one, band = metrics.attack_metrics(
            score,
            is_member,
            threshold=roc.best_threshold(*on_shadows),
            epsilon_threshold=metrics.epsilon_threshold(*on_shadows, n_member=sizes[0], n_nonmember=sizes[1]),
            fprs=fprs,
            replicates=params.evaluate.bootstrap_replicates,
            rng=seeds.generator(params.seed, f"bootstrap {attack}"),
            band_fps=curve.fp,
        )
        one |= beside_chance(one, fprs, chance, at)
        said = detectable.verdict(one["auc"], one["auc_low"], one["auc_high"], *sizes, attacks=len(scored))
        if one["balanced_accuracy_low"] <= 0.5 < one["auc_low"]:
            said += ", but at the threshold chosen on shadows decides no better than chance"
        alike = metrics.json_ready({"classes_alike_p": by_class.alike(score, is_member, exposed["label"])})
        measured.append({"attack": attack, "verdict": said, **one, **always_member(*sizes), **alike})
        columns = {"fpr": curve.fpr, "tpr": curve.tpr, "threshold": curve.thresholds}
        curves.append(pd.DataFrame({"attack": attack, **columns, "tpr_low": band.low, "tpr_high": band.high}))
        histograms.append(histogram(attack, score, is_member, params.evaluate.histogram_bins))
        tallies.append(tally(attack, one))
        of_class = pd.DataFrame(by_class.by_class(score, is_member, class_names, p_value=float(chance.auc[at])))
        of_class.insert(0, "attack", attack)
        classwise.append(of_class.rename(columns={"label": "class"}))

    report_unresolved(params.evaluate.fprs, sizes[1])
    metrics_files.write_json(paths.ATTACK_METRICS, measured)
    metrics_files.write_json(paths.SUMMARY, summary(measured))
    metrics_files.write_csv(paths.ROC_CURVES, pd.concat(curves))
    metrics_files.write_csv(paths.SCORE_HISTOGRAM, pd.concat(histograms))
    metrics_files.write_csv(paths.CONFUSION, pd.concat(tallies))
    metrics_files.write_csv(
        paths.CLASSES,
        pd.concat(classwise).reindex(
            columns=["attack", "class", "n_member", "n_nonmember", "auc", "auc_low", "auc_high", "auc_p"]
        ),
    )
    pairs = differences.table(
        on_target,
        is_member,
        fprs=params.evaluate.fprs,
        replicates=params.evaluate.bootstrap_replicates,
        rng=seeds.generator(params.seed, "comparisons"),
    )
    metrics_files.write_csv(paths.COMPARISONS, pairs)
    metrics_files.write_json(paths.VERDICT, strongest.found(on_target, is_member, fprs, chance))


def exposure(attacks: list[str]) -> pd.DataFrame:
    """Every audited record with its name, class and membership, every attack's score and rank (schemas.exposure)."""
    scores = parquet.read(paths.TARGET_SCORES, schemas.target_scores(attacks))
    membership = parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP)[["sample_id", "is_member"]]
    records = stored_records.load_records(paths.POPULATION)[["sample_id", "name"]]
    exposed = scores.merge(membership, on="sample_id", how="left", validate="one_to_one")
    exposed = exposed.merge(records, on="sample_id", how="left", validate="one_to_one")
    if exposed[["is_member", "name"]].isna().any(axis=None):
        raise InputError(
            f"{paths.TARGET_SCORES}: not of the records of {paths.TARGET_MEMBERSHIP}; `dvc repro` makes both anew"
        )
    exposed["class"] = np.array(stored_records.load_classes(paths.POPULATION))[exposed["label"]]
    for attack in attacks:
        exposed[f"{attack}_rank"] = rankdata(-exposed[f"{attack}_score"], method="min").astype(np.int64)
    return exposed.astype({"is_member": bool})


def beside_chance(
    one: Mapping[str, float | int], fprs: Sequence[float], chance: permutation.PValues, at: int
) -> dict[str, float | int]:
    """An attack's p-values by the exact test, and its limits where they must hold guessing."""
    low, high = permutation.limited(one["auc_low"], one["auc_high"], 0.5, chance.auc[at])
    adjusted = {"auc_low": low, "auc_high": high, "auc_p": round(float(chance.auc[at]), 4)}
    for fpr, p_value in zip(fprs, chance.tpr[at], strict=True):
        key = metrics.fpr_key(fpr)
        low, _ = permutation.limited(one[f"{key}_low"], one[f"{key}_high"], fpr, p_value)
        adjusted |= {f"{key}_low": low, f"{key}_p": round(float(p_value), 4)}
    return adjusted


def by_attack() -> Iterator[tuple[str, pd.DataFrame]]:
    """Each attack's scores of shadows' records, in turn: the parts that `score` wrote for it."""
    parts = (
        (attack, part.filter(pc.equal(part.column("attack"), attack)))
        for part in parquet.read_parts(paths.SCORES, schemas.SCORES)
        for attack in part.column("attack").unique().to_pylist()
    )
    for attack, rows in itertools.groupby(parts, key=lambda one: one[0]):
        frame = pa.concat_tables([table for _, table in rows]).to_pandas()
        yield attack, frame


def always_member(n_member: int, n_nonmember: int) -> dict[str, float]:
    """What answering "member" for every record gets, to stand beside accuracy and F1."""
    guess = metrics.always_member(n_member, n_nonmember)
    return {f"always_member_{name}": round(guess[name], 4) for name in ("accuracy", "precision", "f1")}


def summary(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers to compare experiments by: few an attack, and what always answering "member" gets."""
    of_attack = {
        one["attack"]: {
            name: one[name] for name in one if name in SUMMARY or (name[:3] == "tpr" and name[-1].isdigit())
        }
        for one in measured
    }
    first = measured[0]
    guess = {name: first[f"always_member_{name}"] for name in ("accuracy", "f1")}
    return {"members": first["n_member"], "nonmembers": first["n_nonmember"], **of_attack, "always_member": guess}


def histogram(attack: str, score: NDArray[np.float64], is_member: NDArray[np.bool_], bins: int) -> pd.DataFrame:
    """Shares of members and of non-members by score; the outermost 0.1 % on each side falls into the end bins."""
    low, high = np.quantile(score, [0.001, 0.999])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    inside = np.clip(score, low, high)
    shares = {
        name: np.histogram(inside[rows], edges)[0] / rows.sum()
        for name, rows in (("members", is_member), ("nonmembers", ~is_member))
    }
    return pd.DataFrame({"attack": attack, "left": edges[:-1], "right": edges[1:], **shares})


def tally(attack: str, one: dict[str, float | int]) -> pd.DataFrame:
    """The confusion matrix of one attack, a row a cell."""
    cells = [
        ("member", "member", one["tp"], one["n_member"]),
        ("member", "non-member", one["fn"], one["n_member"]),
        ("non-member", "member", one["fp"], one["n_nonmember"]),
        ("non-member", "non-member", one["tn"], one["n_nonmember"]),
    ]
    frame = pd.DataFrame(cells, columns=["actual", "predicted", "count", "of"])
    frame["share"] = frame["count"] / frame.pop("of")
    frame.insert(0, "attack", attack)
    return frame


def report_unresolved(fprs: list[float], n_nonmember: int) -> None:
    """Say which TPR are not given, and why."""
    unresolved = [fpr for fpr in fprs if not roc.resolvable(fpr, n_nonmember)]
    if unresolved:
        print(
            f"evaluate: no TPR at FPR {', '.join(map(str, unresolved))}: {n_nonmember} non-members resolve an FPR of "
            f"{1 / n_nonmember:.2g} at the least",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
