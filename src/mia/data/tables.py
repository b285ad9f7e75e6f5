"""A user's table: CSV or Parquet files whose rows are records, numbers or text column by column."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mia.arrays import Bools, Integers
from mia.data.records import Records
from mia.errors import InputError
from mia.params_audit import TableData

SUFFIXES = (".csv", ".csv.gz", ".csv.xz", ".csv.bz2", ".csv.zip", ".tsv", ".parquet")
IDS = {"id", "name", "record", "record_id", "row_id", "index", "key", "uuid"}
SPLITS = {"split", "set", "subset", "member", "is_member", "train", "is_train", "fold", "partition"}
YES = {"train", "training", "true", "1", "1.0", "member", "in", "yes"}
NO = {
    "test",
    "testing",
    "validation",
    "valid",
    "val",
    "dev",
    "false",
    "0",
    "0.0",
    "nonmember",
    "non-member",
    "out",
    "no",
}


def load(path: Path, settings: TableData, place: str) -> Records:
    """The records of a file, or of all files of a folder by name.

    place: how a message names a value of the audit's `data`, such as "audits/NAME/params.yaml: data.".
    Raises InputError where a file cannot be read, a named column is absent, or a column holds what is neither number
    nor text.
    """
    frame = read(path)
    named = {"label": settings.label, "id": settings.id, "published": settings.published}
    for key, column in named.items():
        if column is not None:
            _require(frame, column, f"{place}{key}")
    for key, columns in (("ignored", settings.ignored), ("texts", settings.texts)):
        for column in columns:
            _require(frame, column, f"{place}{key}")
    labels, classes = _labels(frame[settings.label], f"{path}: {settings.label}")
    features = frame.drop(columns=[*{column for column in named.values() if column}, *settings.ignored])
    if features.empty or not len(features.columns):
        raise InputError(f"{path}: expected columns beside {settings.label}, got none; name fewer in {place}ignored")
    return Records(
        x=pd.DataFrame({name: _values(features[name], path, name in settings.texts) for name in features}),
        labels=labels,
        classes=classes,
        published_train=None if settings.published is None else _published(frame[settings.published], path),
        names=_names(frame, settings.id, path),
    )


def align(real: Records, other: Records, place: Path) -> Records:
    """The other records with the columns, kinds of columns and classes of the real ones.

    Raises InputError where columns or classes differ, or text stands where numbers do.
    """
    absent = [str(name) for name in real.table if name not in other.table]
    more = [str(name) for name in other.table if name not in real.table]
    if absent or more:
        parts = [f"without {', '.join(absent[:5])}"] * bool(absent) + [f"with {', '.join(more[:5])}"] * bool(more)
        raise InputError(f"{place}: expected the columns of the population, got a table {' and '.join(parts)}")
    columns = {}
    for name in real.table:
        column, is_text = other.table[name], real.table[name].dtype == object
        if is_text and column.dtype != object:
            column = _as_text(column)
        elif not is_text and column.dtype == object:
            raise InputError(
                f"{place}: {name}: expected numbers, as in the population, got text such as {column.dropna().iloc[0]!r}"
            )
        columns[name] = column
    known = {name: label for label, name in enumerate(real.classes)}
    if unknown := sorted(set(other.classes) - set(known)):
        raise InputError(f"{place}: expected the classes {', '.join(real.classes[:10])}, got {unknown[0]!r} too")
    labels = np.array([known[name] for name in other.classes], np.int64)[other.labels]
    return Records(pd.DataFrame(columns), labels, real.classes, other.published_train, other.names)


def settings(frame: pd.DataFrame, label: str) -> TableData:
    """What a table itself says of the settings that read it; the rest is as `mia new` writes it.

    Raises InputError where there is no such label.
    """
    _require(frame, label, "--label")
    others = [column for column in frame.columns if column != label]
    published = [column for column in others if _says_who(frame[column])]
    ids = [column for column in others if column.lower() in IDS and frame[column].is_unique]
    return TableData(
        source="table",
        split="published" if published else "half",
        population_size=None,
        attacker_size=None,
        label=label,
        id=ids[0] if ids else None,
        published=published[0] if published else None,
        ignored=[],
        texts=[],
    )


def _says_who(column: pd.Series) -> bool:
    """Whether a column tells the training split: by its name and by its two values."""
    texts = {str(value).strip().lower() for value in column.unique()[:3]}
    return str(column.name).lower() in SPLITS and len(texts) == 2 and bool(texts & YES) and bool(texts & NO)


def read(path: Path) -> pd.DataFrame:
    """A file as it is, or all files of a folder one below the other.

    Raises InputError where one is neither CSV nor Parquet, cannot be read, or has no row.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    files = [file for file in files if not file.name.startswith(".")]
    if unknown := [file for file in files if not file.name.lower().endswith(SUFFIXES)]:
        raise InputError(
            f"{unknown[0]}: expected one of {', '.join(SUFFIXES)}; convert it, or take it out of the folder"
        )
    frames = [_read(file) for file in files]
    for file, frame in zip(files, frames, strict=True):
        if odd := sorted(set(frame.columns) ^ set(frames[0].columns)):
            raise InputError(f"{file}: expected the columns of {files[0].name}, got a difference in {odd[0]!r}")
    whole = pd.concat(frames, ignore_index=True)[list(frames[0].columns)] if frames else pd.DataFrame()
    if whole.empty:
        raise InputError(f"{path}: expected rows, got none")
    return whole


def _read(file: Path) -> pd.DataFrame:
    try:
        if file.name.lower().endswith(".parquet"):
            frame = pd.read_parquet(file)
        else:
            frame = pd.read_csv(
                file, sep="\t" if file.suffix.lower() == ".tsv" else ",", encoding="utf-8-sig", low_memory=False
            )
    except (ValueError, OSError, EOFError) as error:  # UnicodeDecodeError, ParserError and ArrowInvalid with it
        raise InputError(
            f"{file}: cannot be read ({' '.join(str(error).split())[:200]}); write it as UTF-8 CSV"
        ) from None
    frame.columns = frame.columns.map(str)
    if repeated := frame.columns[frame.columns.duplicated()].tolist():
        raise InputError(f"{file}: column {repeated[0]!r} stands twice; rename one")
    if len(frame.columns) == 1 and any(mark in frame.columns[0] for mark in ";\t|"):
        raise InputError(f"{file}: expected commas between columns, got the header {frame.columns[0][:80]!r}")
    return frame


def _require(frame: pd.DataFrame, column: str, place: str) -> None:
    if column not in frame:
        close = difflib.get_close_matches(column, frame.columns, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(repr, frame.columns[:20]))}"
        raise InputError(f"{place}: no column {column!r} in the table; {hint}")


def _labels(column: pd.Series, place: str) -> tuple[Integers, tuple[str, ...]]:
    _refuse_missing(column, place)
    values: Sequence[Any] = sorted(column.unique(), key=lambda value: (isinstance(value, str), value))
    if len(values) < 2:
        raise InputError(f"{place}: expected two classes or more, got {len(values)}: {_text(values[0])}")
    if pd.api.types.is_float_dtype(column) and (column != column.round()).any():
        raise InputError(f"{place}: expected classes, got numbers such as {_text(values[0])}; this audits classifiers")
    codes = pd.Categorical(column, categories=values).codes.astype(np.int64)
    return codes, tuple(_text(value) for value in values)


def _refuse_missing(column: pd.Series, place: str) -> None:
    if column.isna().any():
        row = int(np.flatnonzero(column.isna())[0])
        raise InputError(
            f"{place}: {int(column.isna().sum())} values are missing, the first in row {row}; fill or remove them"
        )


def _values(column: pd.Series, path: Path, as_text: bool) -> pd.Series:
    """Numbers as float64, anything else as text; missing values stay so."""
    if as_text:
        return _as_text(column)
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        numbers = pd.Series(column.to_numpy(np.float64, na_value=np.nan))
        if np.isinf(numbers).any():
            row = int(np.flatnonzero(np.isinf(numbers))[0])
            raise InputError(f"{path}: {column.name}: expected finite numbers, got {numbers[row]} in row {row}")
        return numbers
    kinds = {type(value) for value in column.dropna().unique().tolist()} if column.dtype == object else {str}
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column) or kinds - {str, bool}:
        kind = column.dtype if column.dtype != object else sorted(kind.__name__ for kind in kinds - {str})[0]
        raise InputError(
            f"{path}: {column.name}: expected numbers or text, got {kind}; convert it, or name it in data.ignored"
        )
    if kinds == {bool}:
        return pd.Series(column.map({True: 1.0, False: 0.0}).to_numpy(np.float64))
    return _as_text(column)


def _as_text(column: pd.Series) -> pd.Series:
    values = [None if missing else _text(value) for value, missing in zip(column, column.isna(), strict=True)]
    return pd.Series(values, dtype=object)


def _text(value: Any) -> str:
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value)


def _published(column: pd.Series, path: Path) -> Bools:
    place = f"{path}: {column.name}"
    _refuse_missing(column, place)
    texts = column.map(lambda value: str(value).strip().lower())
    if unknown := sorted(set(texts) - YES - NO):
        raise InputError(f"{place}: expected train or test, true or false, member or nonmember, got {unknown[0]!r}")
    return texts.isin(YES).to_numpy(bool)


def _names(frame: pd.DataFrame, column: str | None, path: Path) -> np.ndarray[Any, Any]:
    if column is None:
        return np.array([f"row {row}" for row in range(len(frame))])
    _refuse_missing(frame[column], f"{path}: {column}")
    names = frame[column].map(_text)
    if names.duplicated().any():
        raise InputError(f"{path}: {column}: expected one row an id, got {names[names.duplicated()].iloc[0]!r} twice")
    return names.to_numpy(str)
