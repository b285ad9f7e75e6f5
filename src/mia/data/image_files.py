"""Image files as pixels, each checked before it is unpacked, and the faults of many in one message."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mia.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MAX_PIXELS = 1 << 20  # 1024x1024: more is a mistake, or an image bomb
MAX_BYTES = 64 << 20  # of a file that holds an image
MAX_RULES = 10  # in one message

# What Pillow 13 raised over 630,000 images damaged at random; it documents no common class.
DAMAGE = (OSError, SyntaxError, ValueError)


@dataclass(frozen=True)
class NamedImages:
    """Images as they were read, of any sizes.

    names, images, class_names: of each image, in one order; an image is uint8, (height, width, 1 or 3).
    published_train: bool, (images,); None where there are no splits. classes: every class there should be.
    """

    names: list[str]
    images: list[NDArray[np.uint8]]
    class_names: list[str]
    published_train: NDArray[np.bool_] | None
    classes: set[str]


def decode(data: bytes | None) -> NDArray[np.uint8]:
    """An image as uint8, (height, width, 1 or 3).

    Raises ValueError with the rule that it breaks.
    """
    if data is None:
        raise ValueError("expected the image's bytes, got null")
    if len(data) > MAX_BYTES:
        raise ValueError(f"a file may have {MAX_BYTES:,} bytes, this has more")
    with warnings.catch_warnings():
        # The others are about metadata, which nothing here reads.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            pixels = image.width * image.height
            frames = getattr(image, "n_frames", 1)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ValueError(f"an image may have {MAX_PIXELS:,} pixels, this declares far more") from error
        except DAMAGE as error:
            raise ValueError(f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image") from error
        if not 0 < pixels <= MAX_PIXELS:
            raise ValueError(f"an image may have {MAX_PIXELS:,} pixels, this has {image.width}x{image.height}")
        if frames != 1:
            raise ValueError(f"expected one image in a file, got {frames} frames")
        # Pillow reads these as 8 bits and drops the rest. Byte 24 of a PNG is the depth (PNG, section
        # 11.2.1).
        if image.format == "PNG" and data[24] == 16:
            raise ValueError("expected 8 bits a channel, got 16")
        try:
            image.load()
        except DAMAGE as error:
            raise ValueError("cut short or damaged") from error
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA"):
        alpha = image.getchannel("A").getextrema()
        if alpha != (255, 255):
            raise ValueError("transparent pixels would be lost; put the image on a background")
        image = image.convert(image.mode[:-1])
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "RGB"):
        raise ValueError(f"expected grey or RGB with 8 bits a channel, got mode {image.mode}")
    return np.asarray(image).reshape(image.height, image.width, -1)


def refuse(path: Path, faults: dict[str, list[str]]) -> None:
    """Raise one InputError for all faults, a rule with the files that break it, if there are any."""
    messages = [f"{places[0]}: {rule}{more(places)}" for rule, places in faults.items() if places]
    if messages:
        others = f"; and {len(messages) - MAX_RULES:,} more faults" if len(messages) > MAX_RULES else ""
        raise InputError(f"{path}: {'; '.join(messages[:MAX_RULES])}{others}; mend them or take them out")


def check_memory(path: Path, count: int, size: int) -> None:
    """Refuse more pixels than this machine can hold, twice for a moment, before the kernel ends what tries."""
    if 2 * size > memory():
        raise InputError(
            f"{path}: the first {count:,} images are {size / (1 << 30):.3g} GiB of pixels, and twice that is more than "
            "this machine's memory; take smaller images, or fewer"
        )


def memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def more(items: Sequence[str]) -> str:
    """How many there are beside the first, in brackets; nothing where there is one."""
    return f" (and {len(items) - 1:,} more)" if len(items) > 1 else ""


def listed(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5:,} more" if len(names) > 5 else shown
