"""Architectures, one a file: a class `Network(shape, n_classes)` with `SMALLEST`, the least side of an image.

Which files there are is what architectures there are: to add one, add its file. A training depends on the file of its
own architecture alone: `split` writes that file's digest to data/network.json, and every stage that builds the network
reads it. So an architecture that is not used trains nothing.

A name with a colon is of another network (mia.models.other_networks): `own:FOLDER`, `torchvision:NAME:PARAMS`, where
PARAMS is the file that names it.
"""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mia.errors import InputError
from mia.params_audit import OWN
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
    """The class of an architecture among `params_audit.architectures`, or of another network.

    Raises InputError where torchvision has no classifier of that name.
    """
    if is_other(name):
        from mia.models import other_networks

        return other_networks.of(name)
    architecture: Architecture = importlib.import_module(f"{__name__}.{name}").Network
    return architecture


def is_other(name: str) -> bool:
    """Whether an architecture is no file of this folder."""
    return ":" in name


def is_own(name: str) -> bool:
    """Whether an architecture is the user's own `network`."""
    return name.startswith(f"{OWN}:")


def place(name: str) -> str:
    """How messages name an architecture."""
    if is_other(name):
        from mia.models import other_networks

        return other_networks.of(name).place
    return name


def kind(name: str) -> str:
    """An architecture's name without the place of the user's files: what is stored with its models."""
    return OWN if is_own(name) else ":".join(name.split(":")[:2])


def digest(name: str) -> str:
    """The sha256 of an architecture's file, hexadecimal; of another network, of all that it is made with."""
    if is_other(name):
        from mia.models import other_networks

        return other_networks.digest(name)
    return hashlib.sha256((FOLDER / f"{name}.py").read_bytes()).hexdigest()


def declare(path: Path, name: str, initial: str | None = None) -> None:
    """Write which architecture is used, and the digest of its file. initial: the file of the weights it begins with.

    Raises InputError where there is no such file.
    """
    written = {"architecture": kind(name), "sha256": digest(name)}
    if initial is not None:
        written["initial"] = file_digest(initial)
    with atomic.file(path) as temporary:
        temporary.write_text(sealed_json.seal(written), encoding="utf-8")


def file_digest(initial: str) -> str:
    """The sha256 of a file of weights, hexadecimal. Raises InputError where there is no such file."""
    try:
        return hashlib.sha256(Path(initial).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"{initial}: target.initial: {error.strerror}; put the file there, or set target.initial to null"
        ) from None


def declared(path: Path, name: str, initial: str | None = None) -> None:
    """Raise InputError where `declare` wrote of another architecture, of another version of its file or of its weights.

    initial: of a training.
    """
    again = "`dvc repro` makes it anew"
    try:
        written: dict[str, Any] = sealed_json.unseal(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {again}") from None
    except ValueError as error:
        raise InputError(f"{path}: not what `split` writes ({error}); delete it, then {again}") from None
    weights = written.pop("initial", None)
    if written != {"architecture": kind(name), "sha256": digest(name)}:
        raise InputError(f"{path}: made for another version of {kind(name)}; {again}")
    if initial is not None and weights != file_digest(initial):
        raise InputError(f"{path}: made for another version of {initial}; {again}")
