"""Writes that happen whole or not at all: to a temporary name beside the target, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def file(path: Path) -> Iterator[Path]:
    """A name to write to, which becomes `path` when the block ends well and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        _name(error, path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """An empty folder to write to, which replaces `path` when the block ends well and vanishes when it does not."""
    temporary = _temporary(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    except OSError as error:
        _name(error, path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """A name beside `path`; what a process that was killed left under such a name is removed."""
    for left in path.parent.glob(f".{path.name}.*"):
        number = left.suffix.removeprefix(".")
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}")


def _name(error: OSError, path: Path) -> None:
    """Say of which file; a failed write does not."""
    if error.errno is not None and error.filename is None:
        error.filename = str(path)
