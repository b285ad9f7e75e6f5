"""Collect what all models answered and how they learned: attack features, and how good the models are.

Reads: data/signals/, data/membership/, data/learning/ of the target and of every block in shadow.blocks; files of other
blocks, which DVC leaves behind when a block is taken out, are removed. data/population/, data/attacker/: which records
are byte-identical.
Writes: data/features/shadows.parquet and target.parquet (every signal and the chosen features, one row a record; of
shadows features.max_records at most, as many of each),
data/margins.parquet (what every shadow says of every record, as a reference model), metrics/target.json,
metrics/shadows.json (mean over shadows, and the extremes of test accuracy), plots/learning.csv.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from mia import paths, seeds
from mia.attacks import features, model_tables, schemas
from mia.data import stored_records
from mia.data.membership import MEMBERSHIP
from mia.evaluation import classifier, metrics
from mia.models.learning import LEARNING
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.store import metrics_files, parquet
from stages import run


def main(params: Params) -> None:
    """Run the stage."""
    columns = params.features.columns
    membership = parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP)
    answers = model_tables.Answered(paths.TARGET_SIGNALS, parquet.read_table(paths.TARGET_SIGNALS, SIGNALS))
    target, quality = model_tables.features_and_quality(answers, membership, columns)
    schemas.write_features(paths.TARGET_FEATURES, target.drop(columns="is_member"), with_membership=False)
    metrics_files.write_json(paths.TARGET_METRICS, metrics.json_ready(quality))

    group = {
        "population": stored_records.load_records(paths.POPULATION)["group"].to_numpy(),
        "attacker": stored_records.load_records(paths.ATTACKER)["group"].to_numpy(),
    }
    design = "paired" if params.attacker.knowledge == "population" else "apart"
    blocks = sorted(params.shadow.blocks)
    memberships = [parquet.read(path, MEMBERSHIP) for path in collect(paths.ALL_SHADOW_MEMBERSHIP, blocks)]
    if params.audit.data.source == "answers":
        design = of_given(memberships)
    models = sum(of_block["model_id"].nunique() for of_block in memberships)
    quota = model_tables.records_per_shadow(params.features.max_records, models) if models else 0
    shadows, qualities = [target.iloc[:0]], []
    with_logits: set[int] = set()  # where answers are short: of how many records of a shadow they hold logits
    with parquet.writer(paths.MARGINS, schemas.MARGINS) as add:
        for path, of_block in zip(collect(paths.ALL_SHADOW_SIGNALS, blocks), memberships, strict=True):
            for model_id, answers in model_tables.by_model(path):
                of_model = of_block[of_block["model_id"] == model_id]
                rng = seeds.generator(params.seed, "attack features", model_id)
                drawn = features.drawn(len(of_model), min(quota, answers.records_with_logits), rng)
                with_logits |= {answers.records_with_logits} if answers.short else set()
                frame, quality = model_tables.features_and_quality(answers, of_model, columns, drawn)
                shadows.append(frame)
                qualities.append(quality)
                add(model_tables.margins(answers, of_model, group, design=design))
    schemas.write_features(paths.SHADOW_FEATURES, pd.concat(shadows, ignore_index=True), with_membership=True)
    quality_of_shadows = classifier.over_models(qualities) if models else {"models": 0}
    if with_logits:
        quality_of_shadows |= {"records_with_logits": min(with_logits)}
        say_fewer(quota, min(with_logits))
    metrics_files.write_json(paths.SHADOW_METRICS, metrics.json_ready(quality_of_shadows))

    curves = [paths.TARGET_LEARNING, *collect(paths.ALL_SHADOW_LEARNING, blocks)]
    learning = pd.concat([parquet.read(path, LEARNING) for path in curves], ignore_index=True)
    names = learning.pop("model_id").map(lambda model_id: f"shadow {model_id}" if model_id else "target")
    learning.insert(0, "model", names)
    metrics_files.write_csv(paths.LEARNING_CURVES, learning)


def say_fewer(asked: int, with_logits: int) -> None:
    """One line where features are made of fewer records of each shadow than features.max_records asks for."""
    if with_logits < asked:
        print(
            f"build_features: features.max_records asks for {asked:,} records of each shadow; data/signals holds the "
            f"logits of {with_logits:,}, and features are made of those",
            file=sys.stderr,
        )


def of_given(memberships: list[pd.DataFrame]) -> str:
    """How given shadows were drawn, one of evidence.DESIGNS; in pairs where 1 and 2, 3 and 4, ... are two halves."""
    models = pd.concat(memberships).groupby("model_id")
    sides = [model.sort_values("sample_id")["is_member"].to_numpy(bool) for _, model in models]
    pairs = zip(sides[::2], sides[1::2], strict=False)
    if len(sides) % 2 == 0 and all(np.array_equal(side, ~other) for side, other in pairs):
        return "paired"
    inside = np.sum(sides, axis=0)
    return "balanced" if (inside == inside[0]).all() and 2 <= inside[0] <= len(sides) - 2 else "free"


def collect(folder: Path, blocks: list[int]) -> list[Path]:
    """One file a block, in order; whatever else lies in the folder is removed."""
    wanted = [folder / f"{block}.parquet" for block in blocks]
    for path in sorted(folder.glob("*")):
        if path not in wanted:
            path.unlink()
    return wanted


if __name__ == "__main__":
    run(main)
