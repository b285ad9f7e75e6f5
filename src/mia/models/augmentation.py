"""Augmentation of training images in batches, on the device: mirror image, shift, colour, rotation, cutout, erasing.

What is drawn for an image depends on the model's own generator and the image's place in its epoch, not on the batch,
the device, or the models that train beside it. torchvision's transforms draw once for a whole batch, from torch's own
generator, and image by image they take eight times as long (docs/log.md). Colour and rotation compute what they do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mia.models import building

FLIP, SHIFT, COLOUR, ROTATE, CUTOUT, ERASE = "flip", "shift", "colour", "rotate", "cutout", "erase"
DEGREES = 15  # of a rotation, each way
JITTER = 400  # thousandths by which brightness, contrast and saturation rise or fall
AREA, RATIO = (200, 3300), 3.3  # of an erased rectangle: ten-thousandths of the image; height over width, or less
RECTANGLE = ("top", "left", "bottom", "end")
LUMA = (0.2989, 0.587, 0.114)  # of red, green and blue in grey, as torchvision weighs them
_FINE = 1 << 20  # places of a rectangle, of which the nearest pixel is taken


class Draws(NamedTuple):
    """What happens to each image; every field whole numbers, (images,) or (models, images).

    mirrored: 0 or 1. down, right: pixels it is moved by. row, column: the centre of the square that is cut out.
    brightness, contrast, saturation: thousandths added to 1. angle: hundredths of a degree, anticlockwise. top, left,
    bottom, end: the rectangle that is erased, the last two beyond it. 0 of all but row and column does nothing.
    """

    mirrored: Tensor
    down: Tensor
    right: Tensor
    row: Tensor
    column: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    angle: Tensor
    top: Tensor
    left: Tensor
    bottom: Tensor
    end: Tensor

    def take(self, which: slice | Tensor, columns: slice) -> Draws:
        """The draws of these models' images, one after the other, (images,)."""
        return Draws(*(field[which, columns].flatten() for field in self))


def draw(kinds: Sequence[str], count: int, height: int, width: int, generator: torch.Generator) -> Draws:
    """Draws for `count` images of one epoch: a coin for the mirror image, shifts and centres uniform.

    A shift goes up to an eighth of the image's side each way (4 of 32 pixels: He et al. 2016, sec. 4.2); a square of
    half its side is cut out, of which a part may lie outside (16 of 32: DeVries and Taylor 2017, sec. 3). Angles are
    uniform up to DEGREES, changes of colour up to JITTER. What is not asked for is not drawn.
    """

    nothing = torch.zeros(count, dtype=torch.int8)

    def uniform(kind: str, low: int, high: int) -> Tensor:
        return torch.randint(low, high + 1, (count,), generator=generator) if kind in kinds else nothing

    return Draws(
        mirrored=uniform(FLIP, 0, 1),
        down=uniform(SHIFT, -(height // 8), height // 8),
        right=uniform(SHIFT, -(width // 8), width // 8),
        row=uniform(CUTOUT, 0, height - 1),
        column=uniform(CUTOUT, 0, width - 1),
        brightness=uniform(COLOUR, -JITTER, JITTER),
        contrast=uniform(COLOUR, -JITTER, JITTER),
        saturation=uniform(COLOUR, -JITTER, JITTER),
        angle=uniform(ROTATE, -100 * DEGREES, 100 * DEGREES),
        **(_rectangles(uniform, height, width) if ERASE in kinds else dict.fromkeys(RECTANGLE, nothing)),
    )


def _rectangles(uniform: Callable[[str, int, int], Tensor], height: int, width: int) -> dict[str, Tensor]:
    """Of half of the images a rectangle within AREA and RATIO (Zhong et al. 2020); all uniform, of RATIO its logarithm.

    One that is too long is cut to the image's side, where the paper draws again.
    """
    half, area = uniform(ERASE, 0, 1), uniform(ERASE, *AREA) / 10_000 * height * width
    ratio = (uniform(ERASE, -_FINE, _FINE) / _FINE * math.log(RATIO)).exp()
    high = ((area * ratio).sqrt().round().clamp(max=height) * half).long()
    wide = ((area / ratio).sqrt().round().clamp(max=width) * half).long()
    top, left = (
        uniform(ERASE, 0, _FINE - 1) * (side - own + 1) // _FINE for side, own in ((height, high), (width, wide))
    )
    return dict(zip(RECTANGLE, (top, left, top + high, left + wide), strict=True))


def inputs(kinds: Sequence[str], pixels: Tensor, rows: Tensor, draws: Draws) -> Tensor:
    """The images at `rows`, augmented, as model input (batch, channels, height, width).

    pixels: uint8, (images, height, width, channels). rows: int64, (batch,). Draws: (batch,).
    """
    if FLIP in kinds or SHIFT in kinds:
        images = building.to_input(moved(pixels, rows, draws))
    else:
        images = building.to_input(pixels[rows])
    for kind, change in ((COLOUR, recoloured), (ROTATE, rotated), (CUTOUT, cut_out), (ERASE, erased)):
        images = change(images, draws) if kind in kinds else images
    return images


def moved(pixels: Tensor, rows: Tensor, draws: Draws) -> Tensor:
    """The images at `rows`, mirrored, then moved, in one gather; borders are reflected."""
    _, height, width, _ = pixels.shape
    down = _reflected(torch.arange(height, device=pixels.device) - draws.down[:, None], height)
    right = _reflected(torch.arange(width, device=pixels.device) - draws.right[:, None], width)
    right = torch.where(draws.mirrored[:, None] == 1, width - 1 - right, right)
    return pixels[rows[:, None, None], down[:, :, None], right[:, None, :]]


def recoloured(images: Tensor, draws: Draws) -> Tensor:
    """Model input, brighter or darker, then with more or less contrast, then saturation; each within -1 to 1."""
    brighter, steeper, stronger = (
        (1 + field.to(images.dtype) / 1000)[:, None, None, None]
        for field in (draws.brightness, draws.contrast, draws.saturation)
    )
    weights = torch.tensor(LUMA, device=images.device)[:, None, None]

    def grey() -> Tensor:
        return pixels if pixels.shape[1] == 1 else (pixels * weights).sum(1, keepdim=True)

    pixels = ((images + 1) / 2 * brighter).clamp(0, 1)
    pixels = torch.lerp(grey().mean((1, 2, 3), keepdim=True), pixels, steeper).clamp(0, 1)
    if images.shape[1] == len(LUMA):
        pixels = torch.lerp(grey(), pixels, stronger).clamp(0, 1)
    return pixels * 2 - 1


def rotated(images: Tensor, draws: Draws) -> Tensor:
    """Model input turned about its centre, interpolated; what comes from outside is 0, the middle of the range."""
    height, width = images.shape[-2:]
    angle = draws.angle.to(images.dtype) * (math.pi / 18_000)
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [torch.stack([cos, -sin * (height / width), none], 1), torch.stack([sin * (width / height), cos, none], 1)]
    grid = nn.functional.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return nn.functional.grid_sample(images, grid, align_corners=False)


def erased(images: Tensor, draws: Draws) -> Tensor:
    """Model input with a rectangle of each image set to 0, the middle of the range."""

    def inside(begin: Tensor, end: Tensor, side: int) -> Tensor:
        index = torch.arange(side, device=images.device)
        return (index >= begin[:, None]) & (index < end[:, None])

    height, width = images.shape[-2:]
    lines, columns = inside(draws.top, draws.bottom, height), inside(draws.left, draws.end, width)
    return images.masked_fill((lines[:, :, None] & columns[:, None, :])[:, None], 0)


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
