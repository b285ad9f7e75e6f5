"""Pixels in a file without a name: as they were put in, in any order, and nothing stays on the disk."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import numpy as np
import pytest

from mia.data.pixel_file import PixelFile

RNG = np.random.default_rng(0)


def filled(room: Path, *shapes: tuple[int, int, int]) -> tuple[PixelFile, list[np.ndarray]]:
    images = [RNG.integers(0, 256, shape, np.uint8) for shape in shapes]
    pixels = PixelFile(room)
    for image in images:
        pixels.add(image)
    return pixels, images


def test_images_come_back_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    pixels, images = filled(tmp_path, *[(3, 2, 3)] * 5)
    np.testing.assert_array_equal(pixels.stacked(np.arange(5), 3), images)
    np.testing.assert_array_equal(pixels.stacked(np.array([4, 0, 2]), 3), [images[4], images[0], images[2]])
    np.testing.assert_array_equal(pixels.stacked(np.array([4, 3, 2, 1, 0]), 3), images[::-1])


def test_grey_images_among_coloured_ones_have_their_values_in_all_channels(tmp_path: Path) -> None:
    pixels, images = filled(tmp_path, (2, 2, 1), (2, 2, 3), (5, 1, 1), (2, 2, 1))
    assert pixels.shapes.tolist() == [[2, 2, 1], [2, 2, 3], [5, 1, 1], [2, 2, 1]]
    found = pixels.stacked(np.array([0, 1, 3]), 3)
    np.testing.assert_array_equal(found, [np.repeat(images[0], 3, 2), images[1], np.repeat(images[3], 3, 2)])


def test_the_map_outlives_the_file_and_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    pixels, images = filled(tmp_path, *[(3, 2, 1)] * 4)
    stacked = pixels.stacked(np.arange(4), 1)
    assert not list(tmp_path.iterdir())
    del pixels
    np.testing.assert_array_equal(stacked, images)
    assert not stacked.flags.writeable


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    pixels, _ = filled(tmp_path, (40, 40, 1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            pixels.stacked(np.arange(1), 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path))
