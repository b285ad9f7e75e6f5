"""Views: the copies of a record that a model is queried with. View 0 is the record itself.

Source: Carlini et al. 2022, Sec. VI-C: a record and its mirror image (2 views), each moved by one pixel in all
directions (18 views), as the augmentation of training would.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SHIFTS = [(0, 0), *((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0))]
VIEWS = [(mirrored, *shift) for shift in _SHIFTS for mirrored in (False, True)]  # mirrored, pixels down, pixels right


def apply(images: NDArray[np.uint8], view: int) -> NDArray[np.uint8]:
    """View number `view`, 0 to 17, of images (samples, height, width, channels); borders are reflected when moved."""
    mirrored, down, right = VIEWS[view]
    if mirrored:
        images = images[:, :, ::-1]
    if not (down or right):
        return np.ascontiguousarray(images)
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    return np.ascontiguousarray(padded[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width])
