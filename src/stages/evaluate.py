"""Measure every attack on the target, at thresholds chosen on the shadows.

Reads: data/scores.parquet (of shadows in the target's place, for thresholds and the spread over trainings),
data/target_scores.parquet, data/membership/target.parquet, names and classes of data/population/.
Writes: data/exposure.parquet (a row an audited record, its membership, every attack's score and rank),
metrics/attacks.json (one entry an attack, every number with its interval and counts, AUC and TPR
with their spread over trainings, and a verdict in words),
metrics/summary.json (the few that `dvc metrics diff` compares), plots/roc.csv, plots/scores.csv, plots/confusion.csv,
plots/comparisons.csv (every pair of attacks, which is better, and the p-value), plots/classes.csv (every attack, class
by class), metrics/verdict.json (what the strongest attack gets), metrics/without_shadows.json (of given answers, which
are read from data/features/target.parquet: mia.evaluation.without_shadows).
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mia import paths, progress, seeds
from mia.arrays import Bools
from mia.attacks import schemas
from mia.compute import forks
from mia.data import stored_records
from mia.data.membership import MEMBERSHIP
from mia.errors import InputError
from mia.evaluation import (
    differences,
    distributions,
    measurement,
    permutation,
    roc,
    strongest,
    trainings,
)
from mia.evaluation.without_shadows import WithoutShadows
from mia.params import Params
from mia.store import metrics_files, parquet
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    scored, exposed = exposure()
    parquet.write(paths.EXPOSURE, exposed, schemas.exposure(scored))
    is_member, class_names = exposed["is_member"].to_numpy(bool), exposed["class"].to_numpy(str)
    sizes = int(is_member.sum()), int((~is_member).sum())
    on_target = {attack: exposed[f"{attack}_score"].to_numpy() for attack in scored}
    fprs = [fpr for fpr in params.evaluate.fprs if roc.resolvable(fpr, sizes[1])]

    given = params.audit.data.source == "answers"
    alone = answers_alone(exposed["sample_id"], is_member, params.seed) if given else None

    def compare(what: str) -> Any:
        rng = seeds.generator(params.seed, what)
        if alone and what in alone.HALVES:
            return alone.scores(what)
        if what == "permutations":
            return permutation.p_values(np.stack(list(on_target.values())), is_member, fprs=fprs, rng=rng)
        replicates = params.evaluate.bootstrap_replicates
        return differences.table(on_target, is_member, fprs=params.evaluate.fprs, replicates=replicates, rng=rng)

    halves = WithoutShadows.HALVES if alone else ()
    chance, pairs, *of_halves = forks.results(compare, ["permutations", "comparisons", *halves])
    target = measurement.Target(on_target, is_member, class_names, exposed["label"].to_numpy(), fprs, chance)

    def measure(task: tuple[str, trainings.Played | None]) -> measurement.Result:
        attack, played = task
        return measurement.measure(
            target,
            attack,
            thresholds(params.seed, target, attack, played),
            trainings.spreads(played, *sizes, fprs),
            replicates=params.evaluate.bootstrap_replicates,
            histogram_bins=params.evaluate.histogram_bins,
            rng=seeds.generator(params.seed, f"bootstrap {attack}"),
        )

    results = list(
        progress.bar(
            forks.results(measure, by_attack(scored), len(scored)), "evaluate", total=len(scored), unit="attack"
        )
    )
    measured = [result.numbers for result in results]

    report_unresolved(params.evaluate.fprs, sizes[1])
    if given:
        report_turned(measured)
    write(results, measured)
    metrics_files.write_csv(paths.COMPARISONS, pairs)
    kind = {} if stored_records.has_images(paths.POPULATION) else {"kind": "record"}
    numbers = strongest.verdict_numbers(on_target, is_member, fprs, chance)
    metrics_files.write_json(paths.VERDICT, numbers | trainings.of_verdict(numbers, measured) | kind)
    metrics_files.write_json(paths.WITHOUT_SHADOWS, alone.numbers(of_halves, params.evaluate.fprs) if alone else {})


def answers_alone(sample_id: pd.Series, is_member: Bools, seed: int) -> WithoutShadows:
    """The target's answers about these records, as features; the label is one too."""
    frame = schemas.read_features(paths.TARGET_FEATURES, with_membership=False)
    frame = frame.set_index("sample_id").loc[sample_id]
    features = frame.drop(columns=["model_id", "source"]).to_numpy(np.float64)
    loss = frame["loss"].to_numpy() if "loss" in frame else None
    return WithoutShadows(features, loss, is_member, seeds.generator(seed, "members known"))


def write(results: Sequence[measurement.Result], measured: list[dict[str, Any]]) -> None:
    """Write every attack's numbers and what the figures are drawn from."""
    metrics_files.write_json(paths.ATTACK_METRICS, measured)
    metrics_files.write_json(paths.SUMMARY, measurement.summary(measured))
    metrics_files.write_csv(paths.ROC_CURVES, pd.concat([result.curve for result in results]))
    metrics_files.write_csv(paths.SCORE_HISTOGRAM, pd.concat([result.histogram for result in results]))
    metrics_files.write_csv(paths.CONFUSION, pd.concat([result.decisions for result in results]))
    classes = pd.concat([result.classes for result in results])
    columns = ["attack", "class", "n_member", "n_nonmember", "auc", "auc_low", "auc_high", "auc_p"]
    metrics_files.write_csv(paths.CLASSES, classes.reindex(columns=columns))


def exposure() -> tuple[list[str], pd.DataFrame]:
    """The attacks that scored, and every audited record with its name, class and membership, scores and ranks.

    The table is of schemas.exposure.
    """
    attacks, scores = schemas.read_target_scores(paths.TARGET_SCORES)
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
    return attacks, exposed.astype({"is_member": bool})


def by_attack(attacks: list[str]) -> Iterator[tuple[str, trainings.Played | None]]:
    """Each attack's scores of shadows' records in turn, the parts that `score` wrote for it; None without shadows."""
    parts = (
        (attack, part.filter(pc.equal(part.column("attack"), attack)))
        for part in parquet.read_parts(paths.SCORES, schemas.SCORES)
        for attack in part.column("attack").unique().to_pylist()
    )
    without = list(attacks)
    for attack, rows in itertools.groupby(parts, key=lambda part: part[0]):
        table = pa.concat_tables([table for _, table in rows])
        without.remove(attack)
        model_id, sample_id, is_member, score = (
            table.column(name).to_numpy() for name in ("model_id", "sample_id", "is_member", "score")
        )
        source = table.column("source")[0].as_py()
        yield attack, trainings.Played(model_id, sample_id, is_member, score, source)
    for attack in without:
        yield attack, None


def thresholds(
    seed: int, target: measurement.Target, attack: str, played: trainings.Played | None
) -> measurement.Thresholds:
    """An attack's thresholds, chosen on shadows where there are any."""
    if played is None:
        rng = seeds.generator(seed, f"thresholds {attack}")
        return measurement.cross_fitted(target.scores[attack], target.is_member, rng)
    members = int(target.is_member.sum())
    sizes = {"n_member": members, "n_nonmember": len(target.is_member) - members}
    return measurement.on_shadows(played.scores, played.is_member, **sizes)


def report_unresolved(fprs: list[float], n_nonmember: int) -> None:
    """Say which TPR are not given, and why."""
    unresolved = [fpr for fpr in fprs if not roc.resolvable(fpr, n_nonmember)]
    if unresolved:
        print(
            f"evaluate: no TPR at FPR {', '.join(map(str, unresolved))}: {n_nonmember} non-members resolve an FPR of "
            f"{1 / n_nonmember:.2g} at the least",
            file=sys.stderr,
        )


def report_turned(measured: list[dict[str, Any]]) -> None:
    """Say so where every attack that ranks records ranks non-members first."""
    if all(numbers["auc_high"] < 0.5 for numbers in measured):
        best = max(numbers["auc"] for numbers in measured)
        print(
            f"evaluate: warning: every attack ranks non-members above members, the best with an AUC of {best:.3f}; "
            "check that `member` is true for the target's training records, and that the answers are the target's",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
