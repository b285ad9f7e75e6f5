"""What is made of one model's answers: its attack features, how good it is, and its margins as a reference model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mia.arrays import Integers
from mia.attacks import features, signals
from mia.errors import InputError
from mia.evaluation import classifier
from mia.models.logits import SIGNALS
from mia.store import parquet


def by_model(path: Path) -> Iterator[tuple[int, pa.Table]]:
    """Yield model_id and answers, rows of models.logits.SIGNALS, of each model in a file, in the file's order.

    InputError: a part of the file is of several models; else as `parquet.read_parts`.
    """
    for answers in parquet.read_parts(path, SIGNALS):
        model_id, *others = answers.column("model_id").unique().to_pylist()
        if others:
            raise InputError(f"{path}: expected a part a model, got one of {1 + len(others)}; `dvc repro` asks anew")
        yield model_id, answers


def records_per_shadow(max_records: int, shadows: int) -> int:
    """Return how many records of each shadow a features table holds. InputError: fewer than two."""
    if max_records < 2 * shadows:
        raise InputError(
            f"params.yaml: features.max_records: expected at least {2 * shadows}, two records of each of the {shadows} "
            f"shadows, got {max_records}"
        )
    return max_records // shadows


def features_and_quality(
    path: Path, answers: pa.Table, membership: pd.DataFrame, columns: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return one model's features with its membership, and how good the model is on its members and non-members.

    answers: rows of models.logits.SIGNALS, read from path. membership: of this model, rows of data.membership. Of the
    answers, those are used that are of records in the membership table, as themselves (view 0); views_right, where
    there are several views, is the share of a record's views in which the largest logit is the label's.
    The quality has the keys of `classifier.quality`, with train_ and test_ before them, and gap, the difference of the
    accuracies; not rounded. Answers that hold no loss have none in their quality.
    InputError: the answers are not those of the records in the membership table.
    """
    on = ["model_id", "source", "sample_id"]
    keys = answers.select([*on, "view", "label"]).to_pandas()
    every = parquet.matrix(path, answers, "logits")
    is_member = keys.merge(membership, on=on, how="left", validate="many_to_one")["is_member"]
    rows = (is_member.notna() & (keys["view"] == 0)).to_numpy()
    if rows.sum() != len(membership):
        raise InputError(f"{path}: its records are not those of the membership table; `dvc repro` makes both anew")
    logits = every[rows]
    holds = answers.column("holds")[0].as_py()
    labels = keys["label"].to_numpy(np.int64)[rows]
    frame = keys.loc[rows, [*on, "label"]].assign(is_member=is_member[rows].to_numpy(bool)).reset_index(drop=True)
    frame = pd.concat([frame, features.compute(logits, labels, columns, holds)], axis=1)
    if "correctness" in frame and keys["view"].any():
        right = pd.Series(every.argmax(axis=1) == keys["label"]).groupby([keys["source"], keys["sample_id"]]).mean()
        frame["views_right"] = right.loc[list(zip(frame["source"], frame["sample_id"], strict=True))].to_numpy()

    loss = frame["loss"].to_numpy() if "loss" in frame else np.zeros(len(frame))
    quality: dict[str, float] = {}
    for side, rows in (("train", frame["is_member"].to_numpy()), ("test", ~frame["is_member"].to_numpy())):
        of_side = classifier.quality(logits[rows].argmax(1), labels[rows], loss[rows], logits.shape[1])
        quality |= {f"{side}_{name}": value for name, value in of_side.items() if name != "loss" or "loss" in frame}
    quality["gap"] = quality["train_accuracy"] - quality["test_accuracy"]
    return frame, quality


def margins(
    path: Path, answers: pa.Table, membership: pd.DataFrame, group: Mapping[str, Integers], *, design: str
) -> pa.Table:
    """Return one shadow's rows of schemas.MARGINS, in the order of its answers.

    answers, membership: as `features_and_quality`. group: source -> (samples,), equal for records that are
    byte-identical: a record is a member where the model was trained on it or on a copy of it.
    """
    source = answers.column("source").to_numpy(zero_copy_only=False)
    sample_id = answers.column("sample_id").to_numpy()
    is_member = np.zeros(len(source), bool)
    members = membership[membership["is_member"]]
    for name, trained in members.groupby("source")["sample_id"]:
        rows = source == name
        member_groups = group[str(name)][trained.to_numpy()]
        is_member[rows] = np.isin(group[str(name)][sample_id[rows]], member_groups)
    logits, labels = parquet.matrix(path, answers, "logits"), answers.column("label").to_numpy().astype(np.int64)
    table = answers.select(["model_id", "source", "sample_id", "view"])
    columns = {
        "is_member": is_member,
        "margin": signals.log_odds(logits, labels),
        "design": np.full(len(source), design),
    }
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table
