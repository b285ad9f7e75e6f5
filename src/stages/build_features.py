"""Collect what all models said and how they learned: attack features, and how good the models are.

Reads: data/signals/, data/membership/, data/learning/ of the target and of every block in shadow.blocks; files of other
blocks, which DVC leaves behind when a block is taken out, are removed. data/population/, data/attacker/: which records
are byte-identical.
Writes: data/features/shadows.parquet and target.parquet (every signal and the chosen features, one row a record; of
shadows features.max_records at most, as many of each),
data/margins.parquet (what every shadow says of every record, as a reference model), metrics/target.json,
metrics/shadows.json (mean over shadows, and the extremes of test accuracy), plots/learning.csv.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mia import paths, seeds
from mia.attacks import features, schemas, signals
from mia.data.membership import MEMBERSHIP
from mia.errors import InputError
from mia.evaluation import classifier
from mia.models.learning import LEARNING
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.store import metrics_files, parquet, stored_records
from stages import run

Groups = np.ndarray[tuple[int], np.dtype[np.int64]]


def main(params: Params) -> None:
    """Run the stage."""
    columns = params.features.columns
    membership = parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP)
    answers = parquet.read_table(paths.TARGET_SIGNALS, SIGNALS)
    target, quality = features_and_quality(paths.TARGET_SIGNALS, answers, membership, columns)
    write_features(paths.TARGET_FEATURES, target.drop(columns="is_member"), with_membership=False)
    metrics_files.write_json(paths.TARGET_METRICS, rounded(quality))

    group = {
        "population": stored_records.load_records(paths.POPULATION)["group"].to_numpy(),
        "attacker": stored_records.load_records(paths.ATTACKER)["group"].to_numpy(),
    }
    blocks = sorted(params.shadow.blocks)
    memberships = [parquet.read(path, MEMBERSHIP) for path in collect(paths.ALL_SHADOW_MEMBERSHIP, blocks)]
    models = sum(of_block["model_id"].nunique() for of_block in memberships)
    if params.features.max_records < 2 * models:
        raise InputError(
            f"params.yaml: features.max_records: expected at least {2 * models}, two records of each of the {models} "
            f"shadows, got {params.features.max_records}"
        )
    quota = params.features.max_records // models
    shadows, qualities = [], []
    with parquet.writer(paths.MARGINS, schemas.MARGINS) as add:
        for path, of_block in zip(collect(paths.ALL_SHADOW_SIGNALS, blocks), memberships, strict=True):
            for said in parquet.read_parts(path, SIGNALS):  # a model each
                model_id, *others = said.column("model_id").unique().to_pylist()
                if others:
                    raise InputError(
                        f"{path}: expected a part a model, got one of {1 + len(others)}; `dvc repro` asks anew"
                    )
                known = of_block[of_block["model_id"] == model_id]
                frame, quality = features_and_quality(path, said, known, columns)
                kept = seeds.generator(params.seed, "attack features", model_id).permutation(len(frame))[:quota]
                shadows.append(frame.iloc[np.sort(kept)])
                qualities.append(quality)
                add(margins(path, said, known, group, paired=params.attacker.knowledge == "population"))
    write_features(paths.SHADOW_FEATURES, pd.concat(shadows, ignore_index=True), with_membership=True)
    mean = {name: float(np.mean([one[name] for one in qualities])) for name in qualities[0]}
    test = [one["test_accuracy"] for one in qualities]
    extremes = {"test_accuracy_min": min(test), "test_accuracy_max": max(test)}
    metrics_files.write_json(paths.SHADOW_METRICS, {"models": len(qualities), **rounded({**mean, **extremes})})

    curves = [paths.TARGET_LEARNING, *collect(paths.ALL_SHADOW_LEARNING, blocks)]
    learning = pd.concat([parquet.read(path, LEARNING) for path in curves], ignore_index=True)
    names = learning.pop("model_id").map(lambda model_id: f"shadow {model_id}" if model_id else "target")
    learning.insert(0, "model", names)
    metrics_files.write_csv(paths.LEARNING_CURVES, learning)


def collect(folder: Path, blocks: list[int]) -> list[Path]:
    """One file a block, in order; whatever else lies in the folder is removed."""
    wanted = [folder / f"{block}.parquet" for block in blocks]
    for path in sorted(folder.glob("*")):
        if path not in wanted:
            path.unlink()
    return wanted


def features_and_quality(
    path: Path, answers: pa.Table, membership: pd.DataFrame, columns: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """One model's features with its membership, and how good the model is on its members and non-members.

    Of the records that stand in its membership table, as themselves (view 0).
    """
    on = ["model_id", "source", "sample_id"]
    keys = answers.select([*on, "view", "label"]).to_pandas()
    known = keys.merge(membership, on=on, how="left", validate="many_to_one")["is_member"]
    rows = (known.notna() & (keys["view"] == 0)).to_numpy()
    if rows.sum() != len(membership):
        raise InputError(f"{path}: its records are not those of the membership table; `dvc repro` makes both anew")
    logits = parquet.matrix(path, answers, "logits")[rows]
    labels = keys["label"].to_numpy(np.int64)[rows]
    frame = keys.loc[rows, [*on, "label"]].assign(is_member=known[rows].to_numpy(bool)).reset_index(drop=True)
    frame = pd.concat([frame, features.compute(logits, labels, columns)], axis=1)

    quality: dict[str, float] = {}
    for side, rows in (("train", frame["is_member"].to_numpy()), ("test", ~frame["is_member"].to_numpy())):
        measured = classifier.quality(
            logits[rows].argmax(1), labels[rows], frame["loss"].to_numpy()[rows], logits.shape[1]
        )
        quality |= {f"{side}_{name}": value for name, value in measured.items()}
    quality["gap"] = quality["train_accuracy"] - quality["test_accuracy"]
    return frame, quality


def margins(
    path: Path, answers: pa.Table, membership: pd.DataFrame, group: Mapping[str, Groups], *, paired: bool
) -> pa.Table:
    """One shadow's rows of schemas.MARGINS, in the order of its answers."""
    source = answers.column("source").to_numpy(zero_copy_only=False)
    sample_id = answers.column("sample_id").to_numpy()
    is_member = np.zeros(len(source), bool)
    members = membership[membership["is_member"]]
    for name, trained in members.groupby("source")["sample_id"]:
        rows = source == name
        seen = group[str(name)][trained.to_numpy()]
        is_member[rows] = np.isin(group[str(name)][sample_id[rows]], seen)
    logits, labels = parquet.matrix(path, answers, "logits"), answers.column("label").to_numpy().astype(np.int64)
    keys = answers.select(["model_id", "source", "sample_id", "view"])
    columns = {
        "is_member": is_member,
        "margin": signals.log_odds(logits, labels),
        "paired": np.full(len(source), paired),
    }
    for name, values in columns.items():
        keys = keys.append_column(name, pa.array(values))
    return keys


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Four decimals: noise digits would drown `dvc metrics diff`."""
    return {name: round(float(value), 4) for name, value in values.items()}


def write_features(path: Path, frame: pd.DataFrame, *, with_membership: bool) -> None:
    """Write a features table: keys first, then every other column as a feature."""
    keys = {"model_id", "source", "sample_id", "label", "is_member"}
    names = [name for name in frame.columns if name not in keys]
    parquet.write(path, frame, schemas.features(names, with_membership=with_membership))


if __name__ == "__main__":
    run(main)
