"""Pixels of many images in a file, which takes disk and no memory.

The file has no name: it is gone when nobody holds it or its images any more, however the process ends.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from array import array
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia.arrays import Integers

Shape = tuple[int, int, int]  # height, width, channels
AT_ONCE = 1 << 20  # bytes in memory before they are written


class PixelFile:
    """Images of any shapes, one after the other. room: the folder whose disk takes them; None: the system's own."""

    def __init__(self, room: Path | None) -> None:
        self.room = Path(tempfile.gettempdir()) if room is None else room
        self.size = 0  # bytes
        self._file = tempfile.TemporaryFile(dir=self.room, buffering=0)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._unwritten = bytearray()
        self._kinds: dict[Shape, int] = {}
        self._kind_of = array("l")

    def __len__(self) -> int:
        return len(self._kind_of)

    def add(self, image: NDArray[np.uint8]) -> None:
        """Append an image, (height, width, channels).

        Raises OSError where the disk is full, here or later.
        """
        self._append(image, image.shape, 1)

    def _append(self, images: NDArray[np.uint8], shape: tuple[int, ...], count: int) -> None:
        """So many images of a shape."""
        height, width, channels = shape
        self._kind_of.extend([self._kinds.setdefault((height, width, channels), len(self._kinds))] * count)
        self.size += images.nbytes
        self._unwritten += images.tobytes()
        if len(self._unwritten) >= AT_ONCE:
            self._write()

    def _write(self) -> None:
        left = memoryview(self._unwritten)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            error.filename = str(self.room)
            raise
        self._unwritten = bytearray()

    @property
    def shapes(self) -> Integers:
        """Height, width and channels of each image, (images, 3)."""
        kinds = np.array(list(self._kinds), np.int64).reshape(-1, 3)
        shapes: Integers = kinds[np.frombuffer(self._kind_of, self._kind_of.typecode)]
        return shapes

    def stacked(self, rows: Integers, channels: int) -> NDArray[np.uint8]:
        """These images, all of one height and width, (images, height, width, channels): a map that is only read.

        A grey image among coloured ones has its values in all channels. Images that lie in the file as they are wanted
        stay there, others are copied to a file of their own.
        """
        shapes = self.shapes
        height, width = shapes[rows[0], :2].tolist()
        if len(rows) == len(self) and (rows == np.arange(len(rows))).all() and (shapes[:, 2] == channels).all():
            return self._mapped((len(self), height, width, channels))
        ordered, shape = PixelFile(self.room), (height, width, channels)
        if (shapes == shape).all():
            pixels = self._mapped((len(self), *shape))
            step = max(1, AT_ONCE // (height * width * channels))
            for start in range(0, len(rows), step):
                chosen = rows[start : start + step]
                ordered._append(pixels[chosen], shape, len(chosen))
        else:
            pixels, sizes = self._mapped((self.size,)), shapes.prod(axis=1)
            ends = np.cumsum(sizes)
            for row in rows.tolist():
                image = pixels[ends[row] - sizes[row] : ends[row]].reshape(shapes[row])
                ordered.add(np.broadcast_to(image, shape))
        return ordered._mapped((len(rows), *shape))

    def _mapped(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        self._write()
        return np.asarray(np.memmap(self._file, np.uint8, mode="r", shape=shape))


def free(room: Path | None) -> int:
    """Bytes that are free on the disk of a folder; None: of the system's own for temporary files."""
    return shutil.disk_usage(tempfile.gettempdir() if room is None else room).free
