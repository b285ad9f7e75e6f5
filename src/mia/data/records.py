"""Labelled records in memory: what every source gives, what a folder of records holds, what the stages read."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mia.arrays import Integers


@dataclass(frozen=True)
class Records:
    """Labelled records, images of one size or rows of a table; row i of every field is the record with sample_id i.

    x: images as uint8, (samples, height, width, channels), channels 1 or 3, in memory or a map of a file, only to be
    read; or a table whose columns are numbers (float64, NaN where missing) or text (object, None where missing).
    labels: int64, (samples,), index into `classes`.
    classes: the class names; a label means the same class in every set of one experiment.
    published_train: bool, (samples,): stands in the published training split; None where none was published.
    names: where each record came from, (samples,): a path inside the source, or the row of a table.
    """

    x: NDArray[np.uint8] | pd.DataFrame
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    published_train: NDArray[np.bool_] | None
    names: NDArray[np.str_]

    def __post_init__(self) -> None:
        if not self.is_table:
            assert self.images.dtype == np.uint8
            assert self.images.ndim == 4, self.images.shape
        assert len(self.x) == len(self.labels) == len(self.names)
        assert self.published_train is None or len(self.published_train) == len(self.x)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def is_table(self) -> bool:
        """Whether the records are rows of a table; else they are images."""
        return isinstance(self.x, pd.DataFrame)

    @property
    def images(self) -> NDArray[np.uint8]:
        """The images, of records that are images."""
        assert isinstance(self.x, np.ndarray)
        return self.x

    @property
    def table(self) -> pd.DataFrame:
        """The table, of records that are its rows."""
        assert isinstance(self.x, pd.DataFrame)
        return self.x

    @cached_property
    def digests(self) -> NDArray[np.bytes_]:
        """The sha256 of each record's bytes, hexadecimal, (samples,); neither label nor name is among them."""
        content = row_bytes(self.table) if self.is_table else (image.tobytes() for image in self.images)
        return np.fromiter((hashlib.sha256(record).hexdigest() for record in content), "S64", len(self))

    @cached_property
    def group(self) -> Integers:
        """The least row with the same bytes, (samples,): equal for byte-identical records."""
        return self.select(np.arange(len(self))).group

    @property
    def duplicates(self) -> int:
        """Records that are byte-identical to an earlier one."""
        return self.select(np.arange(len(self))).duplicates

    def select(self, rows: Integers) -> Selected:
        """The records at these rows, in this order, not copied."""
        return Selected(self, rows)

    def take(self, rows: Integers) -> Records:
        """The records at these rows, in this order, in memory."""
        published = self.published_train
        return dataclasses.replace(
            self,
            x=self.table.iloc[rows].reset_index(drop=True) if self.is_table else self.images[rows],
            labels=self.labels[rows],
            published_train=None if published is None else published[rows],
            names=self.names[rows],
        )


@dataclass(frozen=True)
class Selected:
    """Some records of a set, whose images stay where they are. published: whether the set's published split counts."""

    records: Records
    rows: Integers
    published: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def digests(self) -> NDArray[np.bytes_]:
        """As `Records.digests`, (samples,)."""
        return self.records.digests[self.rows]

    @cached_property
    def group(self) -> Integers:
        """The least place in the selection with the same bytes, (samples,): equal for byte-identical records."""
        _, first, inverse = np.unique(self.digests, return_index=True, return_inverse=True)
        return first[inverse].astype(np.int64)

    @property
    def duplicates(self) -> int:
        """Records that are byte-identical to an earlier one."""
        return int((self.group != np.arange(len(self))).sum())

    def select(self, places: Integers) -> Selected:
        """Those at these places of the selection."""
        return dataclasses.replace(self, rows=self.rows[places])

    def images(self, at_once: int) -> Iterator[NDArray[np.uint8]]:
        """The images, so many at once."""
        for start in range(0, len(self), at_once):
            yield self.records.images[self.rows[start : start + at_once]]


def row_bytes(table: pd.DataFrame) -> list[bytes]:
    """Each row of a table as bytes that no other row has: its numbers, then its texts with their lengths."""
    numbers = table.select_dtypes("number").to_numpy(np.float64) + 0.0  # no -0
    numbers[np.isnan(numbers)] = np.nan  # one of the many
    rows = [row.tobytes() for row in numbers]
    for name in table.select_dtypes(exclude="number"):
        texts = ("-" if text is None else f"{len(text)}:{text}" for text in table[name])
        rows = [row + text.encode() for row, text in zip(rows, texts, strict=True)]
    return rows
