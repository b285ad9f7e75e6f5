"""A folder or an archive with a folder for each class, in folders of splits or not."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mia import progress
from mia.data import archives, image_splits
from mia.data.image_files import SUFFIXES, UNREAD, Account, Collected, NamedImages, Reading, listed, refuse
from mia.errors import InputError

UNREAD_KIND = "an image of a kind that is not read; convert it to PNG"


@dataclass(frozen=True)
class Layout:
    """Where images lie. class_names, splits: of each image; splits is None where there are none.

    nested: images in a folder below their class.
    """

    class_names: list[str]
    splits: list[str] | None
    nested: int


def read(path: Path, reading: Reading) -> NamedImages:
    """Every image, sorted by its path, which names its class and its split; other files are passed over.

    Raises InputError where a file is no whole image, or does not lie where all others do.
    """
    collected = collect(path, reading)
    names, account = sorted(collected.rows), collected.account
    if not names:
        raise InputError(
            f"{path}: expected images ({', '.join(SUFFIXES)}) in a folder for each class, found none{_other(account)}"
        )
    if path.is_dir():
        refuse(path, {"a folder without files": _empty(path)})
    places = layout(path, names, image_splits.known(reading.splits))
    account.nested = places.nested
    train = None
    if places.splits is not None:
        meanings = image_splits.meanings(path, places.splits, reading.splits)
        train = np.array([meaning == "member" for meaning in meanings if meaning != "unused"])
        account.unused = meanings.count("unused")
        names = [name for name, meaning in zip(names, meanings, strict=True) if meaning != "unused"]
        places = layout(path, names, image_splits.known(reading.splits))
    classes = places.class_names
    rows = np.array([collected.rows[name] for name in names], np.int64)
    return NamedImages(names, rows, classes, train, set(classes), account, collected.pixels)


def collect(path: Path, reading: Reading, wanted: frozenset[str] | None = None) -> Collected:
    """The images of a folder or archive by their paths.

    wanted: the paths to read, others are counted as unused; None: all.
    Raises InputError where one is no whole image, or of a kind that is not read.
    """
    collected = Collected(path, reading)
    account = collected.account

    def of_interest(place: str) -> bool:
        return place.lower().endswith(SUFFIXES + UNREAD)

    files = archives.files(path, wanted=of_interest, passed_over=account.passed_over)
    for place, data in progress.bar(files, f"{path.name}: read", unit="file"):
        if wanted is not None and place not in wanted:
            account.unused += 1
        elif place.lower().endswith(SUFFIXES):
            collected.add(place, data)
        else:
            collected.fault(UNREAD_KIND, place)
    collected.refuse()
    return collected


def _other(account: Account) -> str:
    kinds = ", ".join(f"{kind}: {count:,}" for kind, count in account.kinds_passed_over.items())
    skipped = f"; {len(account.broken):,} broken images were skipped" if account.broken else ""
    saved = any(name.endswith(".arrow") for name in account.passed_over)
    arrow = "; what `save_to_disk` of datasets wrote is not read: write it with `to_parquet`" if saved else ""
    return (f"; of other files {kinds}" if kinds else "") + skipped + arrow


def layout(path: Path, names: Sequence[str], known: set[str]) -> Layout:
    """The class and the split of each image by its path: CLASS/IMAGE or SPLIT/CLASS/IMAGE, or deeper below a class.

    known: names of splits, in small letters. Folders that all images share are passed over.
    Raises InputError where an image lies above the classes, or beside the splits, or where splits lie below classes.
    """
    folders = [name.split("/")[:-1] for name in names]
    above = _above(folders, known)
    inside = [parts[above:] for parts in folders]
    split = any(len(parts) > 1 and parts[0].casefold() in known for parts in inside)
    for name, parts in zip(names, inside, strict=True):
        if len(parts) < (2 if split else 1) or (split and parts[0].casefold() not in known):
            found = sorted({parts[0] for parts in inside if parts})
            raise InputError(
                f"{path}: {name}: expected CLASS/IMAGE for every image, or train/CLASS/IMAGE "
                f"and test/CLASS/IMAGE for every image; found the folders {listed(found)}; move it or take it out, or "
                "say in the audit's data.splits which folders are splits"
            )
    if not split and all(len(parts) > 1 and parts[1].casefold() in known for parts in inside):
        raise InputError(
            f"{path}: {names[0]}: expected train/CLASS/IMAGE, got CLASS/{inside[0][1]}/IMAGE; put the splits above the "
            "classes"
        )
    at = 1 if split else 0
    return Layout(
        [unicodedata.normalize("NFC", parts[at]) for parts in inside],
        [parts[0] for parts in inside] if split else None,
        sum(len(parts) > at + 1 for parts in inside),
    )


def _above(folders: list[list[str]], known: set[str]) -> int:
    """How many folders lie above the splits, or above the classes: those that all images share."""
    above = 0
    while all(len(parts) > above + 1 for parts in folders) and len({parts[above] for parts in folders}) == 1:
        if folders[0][above].casefold() in known:
            break
        above += 1
    return above


def _empty(path: Path) -> list[str]:
    """The folders with no file at all in or under them, hidden ones passed over."""
    inside = [item for item in path.rglob("*") if not archives.hidden(item.relative_to(path).as_posix())]
    parents = {parent for item in inside if item.is_file() for parent in item.parents}
    empty = [item for item in inside if item.is_dir() and not item.is_symlink() and item not in parents]
    return sorted(item.relative_to(path).as_posix() for item in empty)
