"""Views of a record: the record itself, its mirror image, and both moved by a pixel in every direction."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mia.models import views


def some(height: int = 5, width: int = 6, channels: int = 3) -> NDArray[np.uint8]:
    """Two images without any symmetry: no two bytes of an image are equal."""
    size = height * width * channels
    return np.stack([np.arange(size), np.arange(size)[::-1] + 100]).astype(np.uint8).reshape(2, height, width, channels)


def test_the_first_view_is_the_record_and_the_second_its_mirror_image() -> None:
    images = some()
    np.testing.assert_array_equal(views.apply(images, 0), images)
    np.testing.assert_array_equal(views.apply(images, 1), images[:, :, ::-1])


@pytest.mark.parametrize("channels", [1, 3])
def test_eighteen_views_of_an_image_are_eighteen_images_of_its_shape(channels: int) -> None:
    images = some(channels=channels)
    assert len(views.VIEWS) == 18
    for image in images:
        seen = [views.apply(image[None], view) for view in range(18)]
        assert len({one.tobytes() for one in seen}) == 18
        for one in seen:
            assert one.shape == (1, *image.shape)
            assert one.dtype == np.uint8
            assert one.flags.c_contiguous


def test_a_view_has_one_number_however_many_are_asked_for() -> None:
    """Views 0 and 1 of 18 are the two views of 2, and view 0 the one of 1: nothing is moved among the first two."""
    assert views.VIEWS[:2] == [(False, 0, 0), (True, 0, 0)]
    assert set(views.VIEWS) == {
        (side, down, right) for side in (False, True) for down in (-1, 0, 1) for right in (-1, 0, 1)
    }


@pytest.mark.parametrize("view", range(18))
def test_a_view_moves_every_pixel_as_said_and_reflects_the_border(view: int) -> None:
    """The slow twin: pixel by pixel, what falls outside is read from as far inside."""
    images = some()
    mirrored, down, right = views.VIEWS[view]
    height, width = images.shape[1:3]
    seen = views.apply(images, view)
    for row in range(height):
        for column in range(width):
            above, left = row - down, column - right
            above = -above if above < 0 else 2 * (height - 1) - above if above >= height else above
            left = -left if left < 0 else 2 * (width - 1) - left if left >= width else left
            left = width - 1 - left if mirrored else left
            np.testing.assert_array_equal(seen[:, row, column], images[:, above, left])


def test_a_bright_pixel_in_the_middle_goes_where_the_view_says() -> None:
    image = np.zeros((1, 5, 5, 1), np.uint8)
    image[0, 2, 2] = 255
    for view, (_, down, right) in enumerate(views.VIEWS):
        assert np.argwhere(views.apply(image, view)[0, :, :, 0]).tolist() == [[2 + down, 2 + right]]


def test_the_record_itself_is_left_as_it_was() -> None:
    images = some()
    before = images.copy()
    for view in range(18):
        views.apply(images, view)
    np.testing.assert_array_equal(images, before)
