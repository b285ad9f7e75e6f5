"""A folder or an archive with a folder for each class, in train/ and test/ folders or not."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mia import progress
from mia.data import archives
from mia.data.image_files import NamedImages, check_memory, decode, refuse
from mia.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SPLITS = ("train", "test")


def read(path: Path) -> NamedImages:
    """Every image, sorted by its path, which names its class and its split.

    Raises InputError where a file is no whole image, or does not lie where all others do.
    """
    pixels, others = _files(path)
    if not pixels:
        raise InputError(f"{path}: expected images ({', '.join(SUFFIXES)}) in a folder for each class, found none")
    names = sorted(pixels)
    folders = {name: name.split("/")[:-1] for name in names}
    above = _above(list(folders.values()))
    inside = {name: parts[above:] for name, parts in folders.items()}
    split = any(len(parts) == 2 and parts[0] in SPLITS for parts in inside.values())
    _check_depth(path, inside, split)
    # Files above the classes (a README, a licence) are no images and claim to be none.
    deepest = above + (2 if split else 1)
    misplaced = [name for name in sorted(others) if len(name.split("/")) > deepest]
    refuse(path, {f"not an image by its name ({', '.join(SUFFIXES)})": misplaced})
    if path.is_dir():
        refuse(path, {"a folder without images": _empty(path)})
    class_names = [unicodedata.normalize("NFC", parts[-1]) for parts in inside.values()]
    train = np.array([parts[0] == "train" for parts in inside.values()]) if split else None
    return NamedImages(names, [pixels[name] for name in names], class_names, train, set(class_names))


def _files(path: Path) -> tuple[dict[str, NDArray[np.uint8]], list[str]]:
    """The pixels of every image by its path, and the paths of the other files."""
    pixels: dict[str, NDArray[np.uint8]] = {}
    others = []
    size = 0
    faults: dict[str, list[str]] = {}
    for place, data in progress.bar(archives.files(path), f"{path.name}: read", unit="file"):
        if not place.lower().endswith(SUFFIXES):
            others.append(place)
            continue
        try:
            pixels[place] = decode(data)
        except ValueError as error:
            faults.setdefault(str(error), []).append(place)
        else:
            size += pixels[place].nbytes
            check_memory(path, len(pixels), size)
    refuse(path, faults)
    return pixels, others


def _check_depth(path: Path, inside: dict[str, list[str]], split: bool) -> None:
    """Refuse an image that does not lie in a class, or in a class of a split where there are splits."""
    depth = 2 if split else 1
    for name, parts in inside.items():
        if len(parts) != depth or (split and parts[0] not in SPLITS):
            raise InputError(
                f"{path}: {name}: expected CLASS/IMAGE for every image, or train/CLASS/IMAGE "
                "and test/CLASS/IMAGE for every image; move it or take it out"
            )


def _above(folders: list[list[str]]) -> int:
    """How many folders lie above train and test, or above the classes: those that all images share."""
    above = 0
    while all(len(parts) > above + 1 for parts in folders) and len({parts[above] for parts in folders}) == 1:
        if folders[0][above] in SPLITS:
            break
        above += 1
    return above


def _empty(path: Path) -> list[str]:
    """The folders with no file at all in or under them, hidden ones passed over."""
    inside = [item for item in path.rglob("*") if not archives.hidden(item.relative_to(path).as_posix())]
    parents = {parent for item in inside if item.is_file() for parent in item.parents}
    empty = [item for item in inside if item.is_dir() and item not in parents]
    return sorted(item.relative_to(path).as_posix() for item in empty)
