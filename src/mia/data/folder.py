"""The user's own images: a folder or archive with a folder for each class, or Hugging Face's Parquet."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia.data import archives, image_folders, image_lists, image_tables
from mia.data.image_files import Account, NamedImages, Reading, listed, more, refuse
from mia.data.records import Records
from mia.errors import InputError

CLASS_COUNTS = (2, 1000)
NAME_LENGTH = 255  # of a class, as of a folder


AS_THEY_ARE = Reading()


def load(path: Path, *, min_per_class: int, reading: Reading = AS_THEY_ARE) -> Records:
    """The images of `read`, without the account."""
    return read(path, min_per_class=min_per_class, reading=reading)[0]


def read(path: Path, *, min_per_class: int, reading: Reading = AS_THEY_ARE) -> tuple[Records, Account]:
    """Images of one size with their classes' names, classes in natural order (2 before 10), and what was done to them.

    path is one of: a folder or archive with CLASS/IMAGE, or with train/CLASS/IMAGE and test/CLASS/IMAGE, under one more
    folder or not, IMAGE in one of image_files.SUFFIXES; such a folder or archive with a file list (`image_lists`); a
    .parquet file, or a folder with some (`image_tables`), with a column of image files and one of labels, the classes'
    names in the schema's metadata, or else the labels themselves. published_train: the folders train and test, Parquet
    files so called (train-00000-of-00001.parquet), or a list's column; None without them.

    An image keeps its pixels as stored, turned by no EXIF tag, where it is 8-bit grey or RGB and of the size that is
    wanted; what else is done to it stands in `image_conversion.CHANGES`, and the account counts it.

    Raises InputError that names the first file of each fault (path, or path:row) and counts the others.
    """
    named = _named(path, reading)
    classes = sorted(named.classes, key=_natural)
    for name in classes:
        _check_name(path, name)
    if not CLASS_COUNTS[0] <= len(classes) <= CLASS_COUNTS[1]:
        raise InputError(
            f"{path}: expected 2 to 1,000 classes, got {len(classes):,} ({listed(classes)}); "
            "the classes are the folders that the images lie in, or the labels of the table"
        )
    counts = Counter(named.class_names)
    few = [name for name in classes if counts[name] < min_per_class]
    if few:
        raise InputError(
            f"{path}: expected at least {min_per_class:,} images in each class, "
            f"got {counts[few[0]]:,} in {few[0]!r}"
            f"{more(few)}; add images, leave the class out or lower min_per_class"
        )
    index = {name: label for label, name in enumerate(classes)}
    records = Records(
        x=_stack(path, named),
        labels=np.array([index[name] for name in named.class_names], np.int64),
        classes=tuple(classes),
        published_train=named.published_train,
        names=np.array(named.names),
    )
    return records, named.account


def _named(path: Path, reading: Reading) -> NamedImages:
    if reading.file_list is not None:
        return image_lists.read(path, reading)
    in_tables = path.suffix == ".parquet" or (path.is_dir() and image_tables.tables(path))
    return image_tables.read(path, reading) if in_tables else image_folders.read(path, reading)


def _check_name(path: Path, name: str) -> None:
    """A class is named in terminals, tables, figures and the page of `dvc plots`, which takes < for HTML."""
    if not archives.readable(name) or "<" in name or not 0 < len(name) <= NAME_LENGTH:
        raise InputError(
            f"{path}: the class {name[:NAME_LENGTH]!r}: expected a name of 1 to {NAME_LENGTH} characters that can be "
            "shown, and no <; rename it"
        )


def align(a: Records, b: Records, *, place: str = "the second data set") -> Records:
    """b with a's classes: a label means the class of the same name in both.

    Raises InputError where the names of the classes, the size or the channels differ. place: what b is, or
    where.
    """
    missing = [name for name in a.classes if name not in b.classes]
    extra = [name for name in b.classes if name not in a.classes]
    faults = []
    if missing:
        faults.append(f"lacks the classes {listed(missing)}")
    if extra:
        faults.append(f"has classes that the first lacks: {listed(extra)}")
    if a.images.shape[1:] != b.images.shape[1:]:
        faults.append(f"expected images of {_shape(a.images[0])}, got {_shape(b.images[0])}")
    if faults:
        raise InputError(f"{place}: {'; '.join(faults)}; both need the same classes by name, and images of one shape")
    index = np.array([a.classes.index(name) for name in b.classes], np.int64)
    return dataclasses.replace(b, labels=index[b.labels], classes=a.classes)


def _stack(path: Path, named: NamedImages) -> NDArray[np.uint8]:
    shapes = named.pixels.shapes[named.rows]
    (height, width), count = Counter(zip(*shapes[:, :2].T.tolist(), strict=True)).most_common(1)[0]
    other = [named.names[row] for row in np.flatnonzero((shapes[:, :2] != (height, width)).any(axis=1))]
    rule = f"expected {width}x{height} like {count:,} of {len(shapes):,} images, got another size"
    refuse(path, {rule: other}, f", or have all resized: data.size: [{width}, {height}]")
    channels = int(shapes[:, 2].max())
    if grey := int((shapes[:, 2] < channels).sum()):
        named.account.changes["grey_to_colour"] += grey
    return named.pixels.stacked(named.rows, channels)


def _shape(image: NDArray[np.uint8]) -> str:
    height, width, channels = image.shape
    return f"{width}x{height} with {channels} channel{'s' if channels > 1 else ''}"


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Sort key by which 2 comes before 10 and numbers before words; the name keeps "1" and "01" apart."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(False, int(part), "") if part[0] in "0123456789" else (True, 0, part) for part in parts], name
