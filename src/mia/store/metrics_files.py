"""Metrics as JSON and plot data as CSV, the small files that git keeps; and JSON that says whether it is whole."""

from __future__ import annotations

import io
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from mia.errors import InputError
from mia.store import atomic, sealed_json


def write_json(path: Path, values: Any) -> None:
    """Write JSON that a person can read, whole or not at all."""
    with atomic.file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON. Raises InputError where the file is missing, is not JSON, or holds NaN, which JSON has not."""
    try:
        return sealed_json.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc repro` makes it") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); delete it, then `dvc repro` makes it anew") from None


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write CSV with six significant digits, whole or not at all."""
    with atomic.file(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def read_csv(path: Path, words: Collection[str]) -> pd.DataFrame:
    """Read CSV as `write_csv` wrote it. words: as in `parse_csv`.

    Raises InputError where the file is missing or not CSV.
    """
    try:
        return parse_csv(path.read_bytes().decode("utf-8"), words)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc repro` makes it") from None
    except ValueError as error:
        raise InputError(f"{path}: not CSV ({error}); delete it, then `dvc repro` makes it anew") from None


def parse_csv(text: str, words: Collection[str]) -> pd.DataFrame:
    """The table: the columns that are `words` as they stand, all others as numbers, NaN where a field is empty.

    words: names of columns, whether or not the table has them: a class called 001, nan or None is not a number.
    Raises ValueError for whatever is not such a table.
    """
    frame = pd.read_csv(io.StringIO(text, newline=""), dtype=str, na_filter=False, lineterminator="\n")
    for name in frame.columns:
        if name not in words:
            frame[name] = pd.to_numeric(frame[name])
    return frame
