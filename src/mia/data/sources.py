"""The images of each data set that params.yaml can name, real and generated."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mia import paths
from mia.data.records import Records
from mia.errors import InputError
from mia.params import CifakeData, Cifar10Data, DataSettings, DigitsData, FolderData


def read(settings: DataSettings, *, generated: bool) -> tuple[Records, Records | None]:
    """The real images of a data set, and the generated ones.

    generated: whether the attacker holds generated images. None: it has none, or they are drawn once the population is
    known (digits). What is fetched lies in the user's cache.
    Raises InputError where they cannot be read; in a copy of the repository it says what that may have to do with it.
    """
    with _explained(settings):
        match settings:
            case DigitsData():
                from mia.data import digits  # scikit-learn takes 1.5 s to import

                return digits.load(), None
            case FolderData():
                return _folder(settings, generated)
            case CifakeData():
                from mia.data import cifake

                return cifake.load(_optional(settings.path), paths.shared("downloads"))
            case Cifar10Data():
                return _cifar10(settings, generated)


def _folder(settings: FolderData, generated: bool) -> tuple[Records, Records | None]:
    from mia.data import folder

    real = folder.load(Path(settings.path), min_per_class=settings.min_per_class)
    if not generated:
        return real, None
    likenesses = folder.load(Path(settings.generated), min_per_class=settings.min_per_class)
    return real, folder.align(real, likenesses, place=settings.generated)


def _cifar10(settings: Cifar10Data, generated: bool) -> tuple[Records, Records | None]:
    from mia.data import cifake, cifar10

    downloads = paths.shared("downloads")
    real = cifar10.load(_optional(settings.path), downloads)
    if not generated:
        return real, None
    _, fake = cifake.load(_optional(settings.cifake_path), downloads, instead="data.cifar10.cifake_path")
    print(
        "warning: only the generated images are JPEG, so shadows and target also differ in compression", file=sys.stderr
    )
    return real, fake


@contextmanager
def _explained(settings: DataSettings) -> Iterator[None]:
    """Where data is named by a relative path and cannot be read in a copy of the repository, say why that may be."""
    try:
        yield
    except InputError as error:
        named = [getattr(settings, name, None) for name in ("path", "generated", "cifake_path")]
        if paths.in_copy() and any(isinstance(path, str) and not Path(path).is_absolute() for path in named):
            raise InputError(
                f"{error}; this copy of the repository holds only what git and DVC track: give an absolute path"
            ) from error
        raise


def _optional(path: str | None) -> Path | None:
    return None if path is None else Path(path)
