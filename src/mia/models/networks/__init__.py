"""Architectures, one a file: a class `Network(shape, n_classes)` with `SMALLEST`, the least side of an image.

Which files there are is what architectures there are: to add one, add its file. A training depends on the file of its
own architecture alone: `split` writes that file's digest to data/network.json, and every stage that builds the network
reads it. So an architecture that is not used trains nothing.
"""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mia.errors import InputError
from mia.store import atomic, sealed_json

if TYPE_CHECKING:
    from torch import nn

FOLDER = Path(__file__).parent


class Architecture(Protocol):
    """A class of networks for images of a shape (height, width, channels)."""

    SMALLEST: int

    def __call__(self, shape: tuple[int, int, int], n_classes: int) -> nn.Module:
        """Return a network with weights of its own initialisation."""
        ...


def of(name: str) -> Architecture:
    """The class of an architecture among `params_audit.architectures`."""
    architecture: Architecture = importlib.import_module(f"{__name__}.{name}").Network
    return architecture


def digest(name: str) -> str:
    """The sha256 of an architecture's file, hexadecimal."""
    return hashlib.sha256((FOLDER / f"{name}.py").read_bytes()).hexdigest()


def declare(path: Path, name: str) -> None:
    """Write which architecture is used, and the digest of its file."""
    with atomic.file(path) as temporary:
        temporary.write_text(sealed_json.seal({"architecture": name, "sha256": digest(name)}), encoding="utf-8")


def declared(path: Path, name: str) -> None:
    """Raise InputError where `declare` wrote of another architecture, or of another version of its file."""
    again = "`dvc repro` makes it anew"
    try:
        written: dict[str, Any] = sealed_json.unseal(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {again}") from None
    except ValueError as error:
        raise InputError(f"{path}: not what `split` writes ({error}); delete it, then {again}") from None
    if written != {"architecture": name, "sha256": digest(name)}:
        raise InputError(f"{path}: made for another version of {name}; {again}")
