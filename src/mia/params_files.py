"""YAML as DVC reads it, version 1.2: of a file, or of a value that was typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mia.errors import InputError


def read(path: Path) -> Any:
    """What a file holds. Raises InputError where it is not there or not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the repository root, or `git checkout {path}`") from None
    except ValueError as error:  # UnicodeDecodeError
        raise InputError(f"{path}: not YAML: {error}") from None
    return _parsed(str(path), text)


def value(place: str, text: str) -> Any:
    """A value as it would stand in params.yaml; place: how a message names it."""
    return _parsed(place, text)


def _parsed(place: str, text: str) -> Any:
    from ruamel.yaml import YAML  # here: processes that train read no file
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise InputError(f"{place}: not YAML: brackets in brackets in brackets, more than Python follows") from None
    except (YAMLError, ValueError) as error:  # a date that does not exist
        raise InputError(f"{place}: not YAML: {' '.join(str(error).partition('To suppress')[0].split())}") from None
