"""Augmentation of training images in batches, on the device: mirror image, shift, cutout.

What is drawn for an image depends on the model's own generator and the image's place in its epoch, not on the batch,
the device, or the models that train beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mia.models import building

FLIP, SHIFT, CUTOUT = "flip", "shift", "cutout"


class Draws(NamedTuple):
    """What happens to each image; every field int64, (images,) or (models, images).

    mirrored: 0 or 1. down, right: pixels it is moved by. row, column: the centre of the square that is cut out.
    """

    mirrored: Tensor
    down: Tensor
    right: Tensor
    row: Tensor
    column: Tensor

    def take(self, which: slice | Tensor, columns: slice) -> Draws:
        """The draws of these models' images, one after the other, (images,)."""
        return Draws(*(field[which, columns].flatten() for field in self))


def draw(kinds: Sequence[str], count: int, height: int, width: int, generator: torch.Generator) -> Draws:
    """Draws for `count` images of one epoch: a coin for the mirror image, shifts and centres uniform.

    A shift goes up to an eighth of the image's side each way (4 of 32 pixels: He et al. 2016, sec. 4.2); a square of
    half its side is cut out, of which a part may lie outside (16 of 32: DeVries and Taylor 2017, sec. 3). What is not
    asked for is not drawn.
    """

    def uniform(kind: str, low: int, high: int) -> Tensor:
        if kind not in kinds:
            return torch.zeros(count, dtype=torch.int64)
        return torch.randint(low, high + 1, (count,), generator=generator)

    return Draws(
        mirrored=uniform(FLIP, 0, 1),
        down=uniform(SHIFT, -(height // 8), height // 8),
        right=uniform(SHIFT, -(width // 8), width // 8),
        row=uniform(CUTOUT, 0, height - 1),
        column=uniform(CUTOUT, 0, width - 1),
    )


def inputs(kinds: Sequence[str], pixels: Tensor, rows: Tensor, draws: Draws) -> Tensor:
    """The images at `rows`, augmented, as model input (batch, channels, height, width).

    pixels: uint8, (images, height, width, channels). rows: int64, (batch,). Draws: (batch,).
    """
    if FLIP in kinds or SHIFT in kinds:
        images = building.to_input(moved(pixels, rows, draws))
    else:
        images = building.to_input(pixels[rows])
    return cut_out(images, draws) if CUTOUT in kinds else images


def moved(pixels: Tensor, rows: Tensor, draws: Draws) -> Tensor:
    """The images at `rows`, mirrored, then moved, in one gather; borders are reflected."""
    _, height, width, _ = pixels.shape
    down = _reflected(torch.arange(height, device=pixels.device) - draws.down[:, None], height)
    right = _reflected(torch.arange(width, device=pixels.device) - draws.right[:, None], width)
    right = torch.where(draws.mirrored[:, None] == 1, width - 1 - right, right)
    return pixels[rows[:, None, None], down[:, :, None], right[:, None, :]]


def cut_out(images: Tensor, draws: Draws) -> Tensor:
    """Model input with a square of each image set to 0, the middle of the range."""
    height, width = images.shape[-2:]

    def inside(centre: Tensor, side: int) -> Tensor:
        distance = torch.arange(side, device=images.device) - centre[:, None]
        return (distance >= -(side // 4)) & (distance < side // 2 - side // 4)

    square = inside(draws.row, height)[:, :, None] & inside(draws.column, width)[:, None, :]
    return images.masked_fill(square[:, None], 0)


def _reflected(index: Tensor, side: int) -> Tensor:
    """Indices outside 0 to side - 1 mirrored at the border pixel."""
    index = index.abs()
    return torch.where(index >= side, 2 * (side - 1) - index, index)
