"""Labelled records in memory: what every source gives, what a folder of records holds, what the stages read."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Records:
    """Labelled images of one size; row i of every array is the record with sample_id i.

    images: uint8, (samples, height, width, channels), channels 1 or 3.
    labels: int64, (samples,), index into `classes`.
    classes: the class names; a label means the same class in every set of one experiment.
    published_train: bool, (samples,): stands in the published training split; None where none was published.
    names: where each image came from, (samples,): a path inside the source, or the row of a table.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    published_train: NDArray[np.bool_] | None
    names: NDArray[np.str_]

    def __post_init__(self) -> None:
        assert self.images.dtype == np.uint8
        assert self.images.ndim == 4, self.images.shape
        assert len(self.images) == len(self.labels) == len(self.names)
        assert self.published_train is None or len(self.published_train) == len(self.images)

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def digests(self) -> NDArray[np.str_]:
        """The sha256 of each image's bytes, hexadecimal, (samples,)."""
        return np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in self.images], dtype="U64")

    @cached_property
    def group(self) -> NDArray[np.int64]:
        """The least row with the same bytes, (samples,): equal for byte-identical images."""
        _, first, inverse = np.unique(self.digests, return_index=True, return_inverse=True)
        return first[inverse].astype(np.int64)

    @property
    def duplicates(self) -> int:
        """Images that are byte-identical to an earlier one."""
        return int((self.group != np.arange(len(self))).sum())

    def take(self, rows: NDArray[np.int64]) -> Records:
        """The records at these rows, in this order."""
        published = self.published_train
        return dataclasses.replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            published_train=None if published is None else published[rows],
            names=self.names[rows],
        )
