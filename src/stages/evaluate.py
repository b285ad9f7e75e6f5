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
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mia import paths, progress, seeds
from mia.attacks import schemas
from mia.catalogue import wanted
from mia.compute import forks
from mia.data import stored_records
from mia.data.membership import MEMBERSHIP
from mia.errors import InputError
from mia.evaluation import differences, distributions, measurement, permutation, roc, strongest
from mia.params import Params
from mia.store import metrics_files, parquet
from stages import run


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

    def compare(what: str) -> Any:
        rng = seeds.generator(params.seed, what)
        if what == "permutations":
            return permutation.p_values(np.stack(list(on_target.values())), is_member, fprs=fprs, rng=rng)
        replicates = params.evaluate.bootstrap_replicates
        return differences.table(on_target, is_member, fprs=params.evaluate.fprs, replicates=replicates, rng=rng)

    chance, pairs = forks.results(compare, ["permutations", "comparisons"])
    target = measurement.Target(on_target, is_member, class_names, exposed["label"].to_numpy(), fprs, chance)

    def measure(task: tuple[str, measurement.Thresholds]) -> measurement.Result:
        attack, thresholds = task
        return measurement.measure(
            target,
            attack,
            thresholds,
            replicates=params.evaluate.bootstrap_replicates,
            histogram_bins=params.evaluate.histogram_bins,
            rng=seeds.generator(params.seed, f"bootstrap {attack}"),
        )

    tasks = by_attack(params.seed, target)
    results = list(
        progress.bar(forks.results(measure, tasks, len(scored)), "evaluate", total=len(scored), unit="attack")
    )
    measured = [result.numbers for result in results]

    report_unresolved(params.evaluate.fprs, sizes[1])
    metrics_files.write_json(paths.ATTACK_METRICS, measured)
    metrics_files.write_json(paths.SUMMARY, measurement.summary(measured))
    metrics_files.write_csv(paths.ROC_CURVES, pd.concat([result.curve for result in results]))
    metrics_files.write_csv(paths.SCORE_HISTOGRAM, pd.concat([result.histogram for result in results]))
    metrics_files.write_csv(paths.CONFUSION, pd.concat([result.decisions for result in results]))
    metrics_files.write_csv(
        paths.CLASSES,
        pd.concat([result.classes for result in results]).reindex(
            columns=["attack", "class", "n_member", "n_nonmember", "auc", "auc_low", "auc_high", "auc_p"]
        ),
    )
    metrics_files.write_csv(paths.COMPARISONS, pairs)
    kind = {} if stored_records.has_images(paths.POPULATION) else {"kind": "record"}
    numbers = strongest.verdict_numbers(on_target, is_member, fprs, chance)
    metrics_files.write_json(paths.VERDICT, numbers | kind)


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
        exposed[f"{attack}_rank"] = distributions.least_ranks(-exposed[f"{attack}_score"].to_numpy()).astype(np.int64)
    return exposed.astype({"is_member": bool})


def by_attack(seed: int, target: measurement.Target) -> Iterator[tuple[str, measurement.Thresholds]]:
    """Each attack's thresholds in turn, from its scores of shadows' records: the parts that `score` wrote for it."""
    members = int(target.is_member.sum())
    sizes = {"n_member": members, "n_nonmember": len(target.is_member) - members}
    parts = (
        (attack, part.filter(pc.equal(part.column("attack"), attack)))
        for part in parquet.read_parts(paths.SCORES, schemas.SCORES)
        for attack in part.column("attack").unique().to_pylist()
    )
    without = list(target.scores)
    for attack, rows in itertools.groupby(parts, key=lambda part: part[0]):
        frame = pa.concat_tables([table for _, table in rows]).to_pandas()
        scores, is_member = frame["score"].to_numpy(), frame["is_member"].to_numpy(bool)
        without.remove(attack)
        yield attack, measurement.on_shadows(scores, is_member, **sizes)
    for attack in without:  # there are no shadows
        rng = seeds.generator(seed, f"thresholds {attack}")
        yield attack, measurement.cross_fitted(target.scores[attack], target.is_member, rng)


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
