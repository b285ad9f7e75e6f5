"""The records of each source that an audit can name, real and generated."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mia import paths
from mia.data.records import Records
from mia.errors import InputError
from mia.params_audit import CifakeData, Cifar10Data, DigitsData, ImagesData, TableData

Readable = DigitsData | CifakeData | Cifar10Data | ImagesData | TableData


def read(settings: Readable, own: Path, *, generated: bool) -> tuple[Records, Records | None, dict[str, Any]]:
    """The real records of a data set, the generated ones, and what was done to the user's images in reading them.

    own: the folder audits/NAME/data. generated: whether the attacker holds generated records. None: it has none, or
    they are drawn once the population is known (digits). What is fetched lies in the user's cache.
    Raises InputError where they cannot be read; in a copy of the repository it says what that may have to do with it.
    """
    with _explained(settings):
        match settings:
            case ImagesData():
                from mia.data import own_images

                return own_images.read(settings, own, generated=generated)
            case DigitsData():
                from mia.data import digits

                return digits.load(), None, {}
            case TableData():
                return *_table(settings, own, generated), {}
            case CifakeData():
                from mia.data import cifake

                return *cifake.load(_optional(settings.path), paths.shared("downloads")), {}
            case Cifar10Data():
                return *_cifar10(settings, generated), {}


def _table(settings: TableData, own: Path, generated: bool) -> tuple[Records, Records | None]:
    from mia.data import tables

    place = f"{own.parent / paths.PARAMS}: data."
    real = tables.load(_given(own, "population"), settings, place)
    if not generated:
        return real, None
    path = _given(own, "generated")
    return real, tables.align(real, tables.load(path, settings, place), path)


def _given(own: Path, name: str) -> Path:
    """The user's table of that name; of a link, what it leads to."""
    needs = "expected a .csv or .parquet, a folder of them, or a link to one, got nothing"
    less = "; without generated records set attacker.knowledge to population or disjoint" if name == "generated" else ""
    return paths.brought(own / name, needs + less)


def _cifar10(settings: Cifar10Data, generated: bool) -> tuple[Records, Records | None]:
    from mia.data import cifake, cifar10

    downloads = paths.shared("downloads")
    real = cifar10.load(_optional(settings.path), downloads)
    if not generated:
        return real, None
    _, fake = cifake.load(_optional(settings.cifake_path), downloads, instead="data.cifake_path")
    print(
        "warning: only the generated images are JPEG, so shadows and target also differ in compression", file=sys.stderr
    )
    return real, fake


@contextmanager
def _explained(settings: Readable) -> Iterator[None]:
    """Where data is named by a relative path and cannot be read in a copy of the repository, say why that may be."""
    try:
        yield
    except InputError as error:
        named = [getattr(settings, name, None) for name in ("path", "cifake_path")]
        if paths.in_copy() and any(isinstance(path, str) and not Path(path).is_absolute() for path in named):
            raise InputError(
                f"{error}; this copy of the repository holds only what git and DVC track: give an absolute path"
            ) from error
        raise


def _optional(path: str | None) -> Path | None:
    return None if path is None else Path(path)
