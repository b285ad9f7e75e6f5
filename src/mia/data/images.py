"""A set of labelled images in memory, as every data set is handed to `prepare`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageSet:
    """Labelled images of one size.

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

    def take(self, rows: NDArray[np.int64]) -> ImageSet:
        """The images at these rows, in this order."""
        published = self.published_train
        return ImageSet(
            images=self.images[rows],
            labels=self.labels[rows],
            classes=self.classes,
            published_train=None if published is None else published[rows],
            names=self.names[rows],
        )
