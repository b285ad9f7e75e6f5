"""Metrics as JSON and plot data as CSV, the small files that git keeps; and JSON that says whether it is whole."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mia import atomic
from mia.errors import InputError


def write_json(path: Path, values: Any) -> None:
    """Write JSON that a person can read, whole or not at all."""
    with atomic.file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON. Raises InputError where the file is missing or is none, or holds NaN, which JSON has not."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc repro` makes it") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); delete it, then `dvc repro` makes it anew") from None


def seal(values: Mapping[str, Any]) -> str:
    """JSON of these values and of their own digest, under the key `digest`."""
    return json.dumps({**values, "digest": _digest(values)}, indent=1, allow_nan=False) + "\n"


def unseal(text: str) -> dict[str, Any]:
    """The values of `seal`. Raises ValueError where they are not those that were sealed."""
    values = parse(text)
    if not isinstance(values, dict) or values.pop("digest", None) != _digest(values):
        raise ValueError("its content does not have the digest it names: damaged")
    return values


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def parse(text: str) -> Any:
    """Raises ValueError, of which JSONDecodeError is one, for whatever is no JSON."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("brackets in brackets in brackets, more than Python follows") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


# Columns of our CSV files that hold text, and that is what they stay: a class called 001, nan or None is no number.
TEXT = frozenset(("actual", "attack", "attack_a", "attack_b", "class", "estimator", "fold_aucs", "model", "predicted"))


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write CSV with six significant digits, whole or not at all."""
    with atomic.file(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def read_csv(path: Path) -> pd.DataFrame:
    """Read CSV as `write_csv` wrote it. Raises InputError where the file is missing or is none."""
    try:
        return parse_csv(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc repro` makes it") from None
    except ValueError as error:
        raise InputError(f"{path}: not CSV ({error}); delete it, then `dvc repro` makes it anew") from None


def parse_csv(text: str) -> pd.DataFrame:
    """The table: the columns of `TEXT` as they stand, all others as numbers, NaN where a field is empty.

    Raises ValueError for whatever is no table of that kind.
    """
    frame = pd.read_csv(io.StringIO(text, newline=""), dtype=str, na_filter=False, lineterminator="\n")
    for name in frame.columns:
        if name not in TEXT:
            frame[name] = pd.to_numeric(frame[name])
    return frame
