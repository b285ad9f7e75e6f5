"""An opened image as 8-bit grey or RGB, and of the size that was asked for. Every change has a name, to be counted.

What a change does stands in CHANGES; docs/images.md shows it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CHANGES = {
    "palette": "a palette's colours are written out; nothing is lost",
    "bilevel": "black and white become 0 and 255; nothing is lost",
    "opaque_alpha": "an alpha channel of 255 alone is left out; nothing is lost",
    "on_white": "translucent pixels are laid on white",
    "cmyk": "CMYK or YCbCr becomes RGB by Pillow's formula, without the file's colour profile",
    "sixteen_bit": "the upper 8 of 16 bits a channel are kept, also if only 12 are used: 0 to 65,535 becomes 0 to 255",
    "dark_sixteen_bit": "the same, and no value is above 4,095, so that 16 shades are left: scale the image yourself",
    "first_frame": "the first of several frames or pages is taken",
    "cropped": "the largest rectangle of the wanted shape is taken, from the middle",
    "reduced": "the image is made smaller; each pixel is the mean of the area that it covers",
    "enlarged": "the image is made larger, by bicubic interpolation",
    "grey_to_colour": "a grey image among coloured ones has its values in all three channels",
}
SIXTEEN = 16
PNG_DEPTH = 24  # the byte of a PNG that holds the bits a channel (PNG, section 11.2.1)
TIFF_DEPTH, TIFF_PHOTOMETRIC = 258, 262  # tags of TIFF 6.0, sections 4 and 8
WHITE_IS_ZERO = 0


def depth(image: Any, data: bytes) -> int:
    """Bits a channel as the file has them; 8 where its format knows no more.

    image: as `Image.open` gives it, of the file `data`.
    """
    if image.format == "PNG":
        return data[PNG_DEPTH]
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(TIFF_DEPTH, (8,))))
    return 8


def as_grey_or_rgb(image: Image.Image, bits: int) -> tuple[Image.Image, list[str]]:
    """The image in mode L or RGB, and the changes that this took. bits: of a channel as stored (`depth`).

    Raises ValueError where the mode is none that is read: 32 bits a channel, Lab.
    """
    changes = ["sixteen_bit"] if bits > 8 else []
    if image.mode.startswith("I;16") or (image.mode == "I" and bits == SIXTEEN):
        values = np.asarray(image).astype(np.uint16)
        dark = bits == SIXTEEN and values.max() < 1 << 12
        return _upper_bits(image, values, bits), [*changes, *(["dark_sixteen_bit"] if dark else [])]
    if image.mode in ("CMYK", "YCbCr"):
        return image.convert("RGB"), [*changes, "cmyk"]
    if image.mode == "1":
        image, changes = image.convert("L"), [*changes, "bilevel"]
    if image.mode in ("P", "PA"):
        changes.append("palette")
    if image.mode in ("P", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode in ("RGBA", "LA"):
        image, change = _without_alpha(image)
        # A palette always gets an alpha channel on the way: only one that the file has is counted.
        changes += [change] if change == "on_white" or "palette" not in changes else []
    if image.mode not in ("L", "RGB"):
        raise ValueError(f"expected grey or colour with 8 or 16 bits a channel, got mode {image.mode}")
    return image, changes


def _upper_bits(image: Image.Image, values: NDArray[np.uint16], bits: int) -> Image.Image:
    upper = values >> (bits - 8)
    # Pillow turns negatives of 8 bits, not of 16.
    negative = image.format == "TIFF" and image.tag_v2.get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO  # type: ignore[attr-defined]
    return Image.fromarray((255 - upper if negative else upper).astype(np.uint8))


def _without_alpha(image: Image.Image) -> tuple[Image.Image, str]:
    plain = image.mode[:-1]
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert(plain), "opaque_alpha"
    white = Image.new(plain, image.size, "white")
    white.paste(image.convert(plain), mask=image.getchannel("A"))
    return white, "on_white"


def resized(image: Image.Image, size: tuple[int, int]) -> tuple[Image.Image, list[str]]:
    """The image of another size (width, height), and the changes that this took; none where it has that size.

    The largest rectangle of the wanted shape is cut out of the middle. Where it is larger than wanted, each pixel
    becomes the mean of the area that it covers (Pillow's BOX); where it is smaller, values are interpolated (BICUBIC).
    """
    scale = min(have / want for have, want in zip(image.size, size, strict=True))
    part = [min(have, max(1, round(want * scale))) for have, want in zip(image.size, size, strict=True)]
    left, top = ((have - taken) // 2 for have, taken in zip(image.size, part, strict=True))
    changes = [] if tuple(part) == image.size else ["cropped"]
    if tuple(part) != size:
        changes.append("enlarged" if scale < 1 else "reduced")
    box = (left, top, left + part[0], top + part[1])
    return image.resize(size, Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.BOX, box=box), changes
