"""Image files as pixels, each checked before it is unpacked, and the faults of many in one message."""

from __future__ import annotations

import importlib.util
import io
import struct
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mia.arrays import Integers
from mia.data import image_conversion, pixel_file
from mia.data.pixel_file import PixelFile
from mia.errors import InputError

# AVIF: where Pillow has it, from 11.3 on.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF") + (
    ("AVIF",) if importlib.util.find_spec("PIL.AvifImagePlugin") else ()
)
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
# Images by their names, of kinds that are not read: passed over they would be lost without a word.
UNREAD = (".heic", ".heif", ".jp2", ".jxl", ".svg", ".psd", ".ico", ".ppm", ".pgm", ".dng", ".nef", ".cr2", ".dcm")
MAX_PIXELS = 1 << 20  # 1024x1024: more is a mistake, or an image bomb
MAX_RESIZED = 89_478_485  # of an image that is made smaller: Pillow's own guard (Image.MAX_IMAGE_PIXELS)
MAX_SIDE = 1 << 15  # libwebp takes a minute over 75 megapixels of 9 rows
MAX_BYTES = 64 << 20  # of a file that holds an image
MAX_RULES = 10  # in one message

# What Pillow 13 raised over 630,000 images damaged at random (docs/LOG.md); it documents no common class.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    struct.error,
)

Meaning = Literal["member", "nonmember", "unused"]  # of a split


class Broken(ValueError):  # noqa: N818
    """Bytes that are no whole image: what `data.skip_broken` skips."""


@dataclass(frozen=True)
class Reading:
    """How images are read: the keys of an audit's `data` of these names (`mia.params.ImagesData`).

    size: (width, height) that every image is given; None: all have one size. splits: what a folder or table of that
    name holds, beside train and test. skip_broken: whether broken images are skipped. image_column, label_column: of
    Parquet; None: the usual names. file_list: the name of a CSV in the source; None: folders are the classes. room:
    the folder on whose disk pixels lie meanwhile (`pixel_file`); None: the system's for temporary files.
    """

    size: tuple[int, int] | None = None
    splits: Mapping[str, Meaning] | None = None
    skip_broken: bool = False
    image_column: str | None = None
    label_column: str | None = None
    file_list: str | None = None
    room: Path | None = None


@dataclass
class Account:
    """What was done to images on the way, and what was left out.

    changes: images by change (`image_conversion.CHANGES`). passed_over: paths of files that are no images. broken:
    `path: rule` of each that was skipped. unused: images of splits that are unused, or that a list does not name.
    nested: images in a folder below their class. persons: (images,) of a list with that column, else None.
    notes: lines for the user.
    """

    changes: Counter[str] = field(default_factory=Counter)
    passed_over: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    unused: int = 0
    nested: int = 0
    persons: NDArray[np.str_] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def kinds_passed_over(self) -> dict[str, int]:
        """Files passed over by the end of their names, without its dot, the most frequent ten; `hidden`, `other`."""
        ends = Counter(_kind(path) for path in self.passed_over)
        shown = dict(ends.most_common(10))
        rest = ends.total() - sum(shown.values())
        return {**shown, "other": shown.get("other", 0) + rest} if rest else shown


def _kind(path: str) -> str:
    if any(part.startswith(".") or part == "__MACOSX" for part in path.split("/")):
        return "hidden"
    end = PurePosixPath(path).suffix[1:].lower()
    return end if end.isascii() and end.isalnum() and len(end) <= 8 else "other"


@dataclass(frozen=True)
class NamedImages:
    """Images as they were read, of any sizes.

    names, rows, class_names: of each image, in one order. pixels: row `rows[i]` of it is image i.
    published_train: bool, (images,); None where there are no splits. classes: every class there should be.
    """

    names: list[str]
    rows: Integers
    class_names: list[str]
    published_train: NDArray[np.bool_] | None
    classes: set[str]
    account: Account
    pixels: PixelFile


@dataclass
class Collected:
    """The pixels of a source's images so far, the row of each name in them, and which names break which rule."""

    path: Path
    reading: Reading
    rows: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    account: Account = field(default_factory=Account)

    def __post_init__(self) -> None:
        self.pixels = PixelFile(self.reading.room)
        self.free = pixel_file.free(self.reading.room)

    def add(self, name: str, data: bytes | None) -> bool:
        """Take an image, or skip it where it is broken and that was asked for, or note its fault; whether it was taken.

        Raises InputError where there are more pixels than the disk holds.
        """
        try:
            image, changes = decode(data, self.reading.size)
        except ValueError as error:
            if self.reading.skip_broken and isinstance(error, Broken):
                self.account.broken.append(f"{name}: {error}")
            else:
                self.fault(str(error), name)
            return False
        self.rows[name] = len(self.pixels)
        self.pixels.add(image)
        self.account.changes.update(changes)
        self._check_room()
        return True

    def _check_room(self) -> None:
        """Refuse more pixels than the disk can hold, here and in data/, before it is full."""
        if 2 * self.pixels.size > self.free:
            raise InputError(
                f"{self.path}: the first {len(self.pixels):,} images are {self.pixels.size / (1 << 30):.3g} GiB of "
                f"pixels, and twice that is more than was free on the disk of {self.pixels.room.resolve()}; make room, "
                "or take smaller images, or fewer"
            )

    def fault(self, rule: str, name: str) -> None:
        """Note a fault."""
        self.faults.setdefault(rule, []).append(name)

    def refuse(self) -> None:
        """Raise one InputError for all faults, if there are any."""
        broken = any(rule in (NO_IMAGE, CUT, NULL) for rule in self.faults)
        refuse(self.path, self.faults, ", or skip broken ones: data.skip_broken: true" if broken else "")


NO_IMAGE = f"not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image"
CUT = "cut short or damaged"
NULL = "expected the image's bytes, got null"


def decode(data: bytes | None, size: tuple[int, int] | None = None) -> tuple[NDArray[np.uint8], list[str]]:
    """An image as uint8, (height, width, 1 or 3), and what was changed (`image_conversion.CHANGES`).

    size: (width, height) to give it; None: its own.
    Raises ValueError with the rule that it breaks, Broken where it is no whole image.
    """
    if data is None:
        raise Broken(NULL)
    if len(data) > MAX_BYTES:
        raise ValueError(f"a file may have {MAX_BYTES:,} bytes, this has more")
    with warnings.catch_warnings():
        # The others are about metadata, which nothing here reads.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
            pixels = image.width * image.height
            bits = image_conversion.depth(image, data)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ValueError(f"an image may have {MAX_PIXELS:,} pixels, this declares far more") from error
        except DAMAGE as error:
            raise Broken(NO_IMAGE) from error
        if not 0 < pixels <= (MAX_RESIZED if size else MAX_PIXELS):
            less = "" if size else "; data.size: [32, 32] reads more and makes it smaller"
            raise ValueError(f"an image may have {MAX_PIXELS:,} pixels, this has {image.width}x{image.height}{less}")
        if max(image.size) > MAX_SIDE:
            raise ValueError(f"an image may have {MAX_SIDE:,} pixels a side, this has {image.width}x{image.height}")
        try:
            several = bool(getattr(image, "is_animated", False))
            image.load()
        except DAMAGE as error:
            raise Broken(CUT) from error
    image, changes = image_conversion.as_grey_or_rgb(image, bits)
    if several:
        changes.append("first_frame")
    if size and image.size != size:
        image, resizing = image_conversion.resized(image, size)
        changes += resizing
    return np.asarray(image).reshape(image.height, image.width, -1), changes


def refuse(path: Path, faults: dict[str, list[str]], or_else: str = "") -> None:
    """Raise one InputError for all faults, a rule with the files that break it, if there are any."""
    messages = [f"{places[0]}: {rule}{more(places)}" for rule, places in faults.items() if places]
    if messages:
        others = f"; and {len(messages) - MAX_RULES:,} more faults" if len(messages) > MAX_RULES else ""
        raise InputError(f"{path}: {'; '.join(messages[:MAX_RULES])}{others}; mend them or take them out{or_else}")


def more(items: Sequence[str]) -> str:
    """How many there are beside the first, in brackets; nothing where there is one."""
    return f" (and {len(items) - 1:,} more)" if len(items) > 1 else ""


def listed(names: Sequence[str]) -> str:
    """The first five names, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:5])
    return f"{shown} and {len(names) - 5:,} more" if len(names) > 5 else shown
