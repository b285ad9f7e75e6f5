"""Tables made from one model's answers: its attack features, how good it is, and its margins as a reference model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mia.arrays import Floats, Integers
from mia.attacks import features, signals
from mia.errors import InputError
from mia.evaluation import classifier
from mia.models.logits import SIGNALS
from mia.models.short_answers import SHORT
from mia.store import parquet


@dataclass(frozen=True, eq=False)
class Answered:
    """One model's answers. path: their file. table: rows of models.logits.SIGNALS, or of models.short_answers.SHORT."""

    path: Path
    table: pa.Table

    @property
    def holds(self) -> str:
        """What the logits stand for, as SIGNALS has it."""
        return str(self.table.column("holds")[0].as_py())

    @property
    def short(self) -> bool:
        """Whether logits are kept of some records alone."""
        return "margin" in self.table.column_names

    @cached_property
    def with_logits(self) -> NDArray[np.bool_]:
        """Which rows have logits, (rows,): where answers are short, not all."""
        with_logits: NDArray[np.bool_] = pc.list_value_length(self.table.column("logits")).to_numpy() > 0
        return with_logits

    @property
    def records_with_logits(self) -> int:
        """How many rows have logits."""
        return int(self.with_logits.sum())

    @cached_property
    def _logits(self) -> NDArray[np.float32]:
        """Of the rows that have them, (rows with logits, classes)."""
        table = self.table.filter(pa.array(self.with_logits)) if self.short else self.table
        return parquet.matrix(self.path, table, "logits")

    def logits(self, rows: Integers) -> NDArray[np.float32]:
        """(rows, classes), of rows that have them."""
        assert self.with_logits[rows].all()
        place = np.cumsum(self.with_logits) - 1 if self.short else np.arange(len(self.table))
        values: NDArray[np.float32] = self._logits[place[rows]]
        return values

    @property
    def n_classes(self) -> int:
        """As many as a row has logits."""
        return int(self._logits.shape[1])

    @cached_property
    def predicted(self) -> Integers:
        """The class with the largest logit, (rows,)."""
        if not self.short:
            largest: Integers = self._logits.argmax(axis=1)
            return largest
        predicted: Integers = self.table.column("predicted").to_numpy().astype(np.int64)
        return predicted

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(rows,)."""
        labels: NDArray[np.int64] = self.table.column("label").to_numpy().astype(np.int64)
        return labels

    @cached_property
    def margin(self) -> Floats:
        """Of the true class, nats, (rows,); computed once for the model's quality and for its part as a reference."""
        if self.short:
            margin: Floats = self.table.column("margin").to_numpy()
            return margin
        return signals.log_odds(self._logits, self.labels)

    @cached_property
    def sample_id(self) -> NDArray[np.int64]:
        """(rows,)."""
        sample_id: NDArray[np.int64] = self.table.column("sample_id").to_numpy().astype(np.int64)
        return sample_id

    def rows_of(self, source: str) -> Integers:
        """Which rows are of this source's records, ascending."""
        return np.flatnonzero(pc.equal(self.table.column("source"), source).to_numpy())


def by_model(path: Path) -> Iterator[tuple[int, Answered]]:
    """Yield model_id and answers of each model in a file, in the file's order.

    InputError: a part of the file is of several models; else as `parquet.read_parts`.
    """
    for answers in parquet.read_parts(path, SIGNALS, SHORT):
        model_id, *others = answers.column("model_id").unique().to_pylist()
        if others:
            raise InputError(
                f"{path}: expected a part a model, got one of {1 + len(others)}; `dvc repro` queries the models anew"
            )
        yield model_id, Answered(path, answers)


def records_per_shadow(max_records: int, shadows: int) -> int:
    """Return how many records of each shadow a features table holds. InputError: fewer than two."""
    if max_records < 2 * shadows:
        raise InputError(
            f"params.yaml: features.max_records: expected at least {2 * shadows}, two records of each of the {shadows} "
            f"shadows, got {max_records}"
        )
    return max_records // shadows


def features_and_quality(
    answers: Answered, membership: pd.DataFrame, columns: Sequence[str], kept: Integers | None = None
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return one model's features with its membership, and how good the model is on its members and non-members.

    membership: of this model, rows of data.membership. Of the answers, those are used that are of records in the
    membership table, as themselves (view 0); views_right, where there are several views, is the share of a record's
    views in which the largest logit is the label's. kept: which of these have a row of features, ascending; None: all.
    The quality is over all, and has the keys of `classifier.quality`, with train_ and test_ before them, and gap, the
    difference of the accuracies; not rounded. Answers that hold no loss have none in their quality.
    InputError: the answers are not those of the records in the membership table.
    """
    joined = _joined(answers, membership)
    rows = np.flatnonzero((joined >= 0) & (answers.table.column("view").to_numpy() == 0))
    if len(rows) != len(membership):
        raise InputError(
            f"{answers.path}: its records are not those of the membership table; `dvc repro` makes both anew"
        )
    is_member = joined[rows] == 1
    chosen = rows if kept is None else rows[kept]
    frame = answers.table.select(["model_id", "source", "sample_id", "label"]).take(chosen).to_pandas()
    frame["is_member"] = is_member if kept is None else is_member[kept]
    of_signals = features.compute(answers.logits(chosen), answers.labels[chosen], columns, answers.holds)
    frame = pd.concat([frame, of_signals], axis=1)
    if "correctness" in frame and answers.table.column("view").to_numpy().any():
        frame["views_right"] = _views_right(answers)[chosen]

    has_loss = "loss" in frame
    loss = signals.loss(answers.margin[rows]) if has_loss else np.zeros(len(rows))
    predicted, labels = answers.predicted[rows], answers.labels[rows]
    quality: dict[str, float] = {}
    for name, side in (("train", is_member), ("test", ~is_member)):
        of_side = classifier.quality(predicted[side], labels[side], loss[side], answers.n_classes)
        quality |= {f"{name}_{key}": value for key, value in of_side.items() if key != "loss" or has_loss}
    quality["gap"] = quality["train_accuracy"] - quality["test_accuracy"]
    return frame, quality


def _views_right(answers: Answered) -> Floats:
    """Of each row's record the share of views in which the largest logit is the label's, (rows,)."""
    keys = answers.table.select(["source", "sample_id"]).to_pandas()
    right = pd.Series(answers.predicted == answers.labels)
    share: Floats = right.groupby([keys["source"], keys["sample_id"]]).transform("mean").to_numpy(np.float64)
    return share


def margins(answers: Answered, membership: pd.DataFrame, group: Mapping[str, Integers], *, design: str) -> pa.Table:
    """Return one shadow's rows of schemas.MARGINS, in the order of its answers.

    membership: as `features_and_quality`. group: source -> (samples,), equal for records that are byte-identical: a
    record is a member where the model was trained on it or on a copy of it.
    """
    is_member = np.zeros(len(answers.table), bool)
    members = membership[membership["is_member"]]
    for name, trained in members.groupby("source")["sample_id"]:
        rows = answers.rows_of(str(name))
        member_groups = group[str(name)][trained.to_numpy()]
        is_member[rows] = np.isin(group[str(name)][answers.sample_id[rows]], member_groups)
    table = answers.table.select(["model_id", "source", "sample_id", "view"])
    columns = {"is_member": is_member, "margin": answers.margin, "design": pa.repeat(design, len(table))}
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values) if isinstance(values, np.ndarray) else values)
    return table


def _joined(answers: Answered, membership: pd.DataFrame) -> NDArray[np.int8]:
    """Membership of each row's record, (rows,): 1 for a member, 0 for a non-member, -1 for one that is not there."""
    joined = np.full(len(answers.table), -1, np.int8)
    for name, records in membership.groupby("source"):
        rows, sample_id = answers.rows_of(str(name)), records["sample_id"].to_numpy()
        side = np.full(1 + max(sample_id.max(), answers.sample_id[rows].max(initial=0)), -1, np.int8)
        side[sample_id] = records["is_member"].to_numpy()
        joined[rows] = side[answers.sample_id[rows]]
    return joined
