"""The user's own code, audits/NAME/code/recipe.py: `build(params, seed)` returns a model with `fit`.

Of a trained model that the user brings, `network(shape, n_classes)` builds what its weights are of, or `load(path)`
reads it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mia.errors import InputError

FILE = "recipe.py"


def function(folder: Path, name: str) -> Callable[..., Any]:
    """A function of the recipe in a folder `code`.

    Raises InputError where there is no recipe, it cannot be imported, or it has no such function.
    """
    path = folder / FILE
    found = getattr(_module(path), name, None)
    if not callable(found):
        raise InputError(f"{path}: expected a function {name}, got none; docs/your-own.md has its arguments")
    made: Callable[..., Any] = found
    return made


def has(folder: Path, name: str) -> bool:
    """Whether there is a recipe in a folder `code`, and a function of that name in it; errors as in `function`."""
    path = folder / FILE
    return path.is_file() and callable(getattr(_module(path), name, None))


def digest(folder: Path) -> str:
    """The sha256 of every file below a folder, hexadecimal; of a link, of what it leads to."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            whole.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"{path}: no such file; write it: docs/your-own.md has an example")
    folder = str(path.parent.resolve())
    if folder not in sys.path:  # its own modules lie beside it
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("recipe", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path}: {type(error).__name__}: {' '.join(str(error).split())}") from error
    return module
