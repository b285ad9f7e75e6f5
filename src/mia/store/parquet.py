"""Tables as files, written and read in one way; a schema stands with the code that writes its table.

Files are plain Parquet, readable by pandas, polars and DuckDB. Each holds its own sha256, verified on read; its columns
are compared with the schema that the reader gives, and a table with a missing value, NaN or infinity is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mia.errors import MEND, InputError
from mia.store import atomic

# Of how a table lies in its file, not of what stands in it: every stage depends on this module, and a new number would
# train every model again. A change of columns is found by comparing them; new values under an old name get a new name.
FORMAT = b"2"
_FORMAT_KEY = b"mia.version"

# The file's own digest stands in its footer, hashed as if there were zeros in its place. As Parquet's Thrift has it:
# the key, then the type of what follows (0x18, a string) and its length.
_DIGEST = b"mia.sha256"
_BLANK = b"0" * 64
_MARK = _DIGEST + b"\x18" + bytes([len(_BLANK)])


def write(path: Path, columns: pd.DataFrame | pa.Table, schema: pa.Schema) -> None:
    """Write a table under its schema, whole or not at all; the same rows give the same bytes."""
    if isinstance(columns, pd.DataFrame):
        columns = pa.Table.from_pandas(columns, schema=schema, preserve_index=False)
    with writer(path, schema) as add:
        add(columns)


@contextmanager
def writer(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """A function that appends rows, so that a table larger than memory is written part by part, whole or not at all."""
    with atomic.file(path) as temporary:
        metadata = schema.with_metadata({_FORMAT_KEY: FORMAT})
        floats = [
            _leaf(field) for field in schema if pa.types.is_floating(getattr(field.type, "value_type", field.type))
        ]
        with pq.ParquetWriter(
            temporary,
            metadata,
            compression="zstd",
            # No two floats are alike: a dictionary of them is dead weight, their bytes apart compress. -40 % of logits.
            use_dictionary=[field.name for field in schema if _leaf(field) not in floats],
            use_byte_stream_split=floats,
        ) as parquet:
            yield lambda rows: parquet.write_table(
                rows.select(schema.names).cast(schema).replace_schema_metadata(metadata.metadata),
                row_group_size=max(1, len(rows)),  # of itself it cuts a part at a million rows
            )
            parquet.add_key_value_metadata({_DIGEST: _BLANK})
        _seal(temporary)


def _seal(path: Path) -> None:
    """Write a finished file's digest into it."""
    with path.open("r+b") as file:
        if (place := _place(file)) is None:
            raise RuntimeError(f"{path}: no room for the digest: did pyarrow change how it writes a footer?")
        digest = _digest(file, place)
        file.seek(place)
        file.write(digest)


def _place(file: BinaryIO) -> int | None:
    """Where a Parquet file's digest stands; None where it has none."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 8))
    length = int.from_bytes(file.read(4), "little")  # of the footer, which ends 8 bytes before the file does
    start = end - 8 - length
    if start < 0:
        return None
    file.seek(start)
    offset = file.read(length).rfind(_MARK)
    return None if offset < 0 else start + offset + len(_MARK)


def _digest(file: BinaryIO, place: int) -> bytes:
    """The sha256 of a file, hexadecimal, as if zeros stood where its digest does."""
    digest = hashlib.sha256()
    file.seek(0)
    left = place
    while left and (chunk := file.read(min(left, 1 << 20))):
        digest.update(chunk)
        left -= len(chunk)
    digest.update(_BLANK)
    file.seek(place + len(_BLANK))
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest().encode()


def _leaf(field: pa.Field) -> str:
    """The name of a column's values inside Parquet."""
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read and check a table.

    Raises InputError where the file is missing, cut short or damaged, has another format or other columns, or
    holds a missing value, NaN or infinity.
    """
    return read_checked(path, lambda _: schema)


def read_parts(path: Path, *schemas: pa.Schema) -> Iterator[pa.Table]:
    """The table as it was written, part by part, of one of these schemas.

    Errors as in `read_table`, each when its part is reached.
    """
    again = f"`dvc checkout {path}` restores it, `dvc repro` makes it anew"
    file = _open(path, lambda got: next((one for one in schemas if one.names == got.names), schemas[0]), again)
    for number in range(file.num_row_groups):
        yield _read(path, again, lambda number=number: file.read_row_group(number))  # type: ignore[misc]


def read_checked(path: Path, expected: Callable[[pa.Schema], pa.Schema]) -> pa.Table:
    """As `read_table`, for a schema that depends on the columns that are there."""
    again = f"`dvc checkout {path}` restores it, `dvc repro` makes it anew"
    return _read(path, again, _open(path, expected, again).read)


def _open(path: Path, expected: Callable[[pa.Schema], pa.Schema], again: str) -> pq.ParquetFile:
    """The file, its digest, format and columns checked."""
    try:
        with path.open("rb") as content:
            place = _place(content)
            whole = _digest(content, place) if place is not None else b""
            content.seek(place or 0)
            written = content.read(len(_BLANK))
        if place is not None and whole != written:
            raise InputError(
                f"{path}: expected sha256 {written.decode(errors='replace')}, got {whole.decode()}: damaged; {MEND}"
            )
        file = pq.ParquetFile(path)
        got = file.schema_arrow
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc pull {path}` fetches it, `dvc repro` makes it") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file ({_first_line(error)}); {MEND}") from None
    written_as = (got.metadata or {}).get(_FORMAT_KEY)
    if written_as != FORMAT:
        came = written_as.decode(errors="replace") if written_as else "none"
        raise InputError(f"{path}: expected format {FORMAT.decode()}, got {came}; {again}")
    if place is None:
        raise InputError(f"{path}: holds no sha256 of its own: damaged; {MEND}")
    schema = expected(got)
    if not got.equals(schema):
        raise InputError(f"{path}: expected columns {_columns(schema)}, got {_columns(got)}; {again}")
    return file


def _read(path: Path, again: str, rows: Callable[[], pa.Table]) -> pa.Table:
    """Rows with every value checked."""
    try:
        table = rows()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file ({_first_line(error)}); {MEND}") from None
    for name in table.column_names:
        _check_values(path, name, table.column(name), again)
    return table


def read(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """Read and check a table into pandas; errors as in `read_table`."""
    frame: pd.DataFrame = read_table(path, schema).to_pandas()
    return frame


def matrix(path: Path, table: pa.Table, name: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """A list column as an array of shape (rows, width).

    Raises InputError where the rows differ in width.
    """
    column = table.column(name).combine_chunks()
    widths = np.diff(column.offsets.to_numpy())
    if len(widths) and (widths != widths[0]).any():
        raise InputError(
            f"{path}: {name}: expected one width, got {widths.min()} to {widths.max()}; "
            f"`dvc checkout {path}` restores it, `dvc repro` makes it anew"
        )
    values: np.ndarray[tuple[int, int], np.dtype[np.float32]] = column.flatten().to_numpy()
    return values.reshape(len(widths), -1)


def list_column(values: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> pa.ListArray:
    """An array of shape (rows, width) as a list column."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * np.int32(values.shape[1])
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))


def _check_values(path: Path, name: str, column: pa.ChunkedArray, again: str) -> None:
    if column.null_count:
        raise InputError(f"{path}: {name}: {column.null_count} of {len(column)} values are missing; {again}")
    per_row = 1
    if pa.types.is_list(column.type):
        column = pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)
        per_row = max(1, len(column))
    if pa.types.is_floating(column.type):
        bad = np.flatnonzero(~np.isfinite(column.to_numpy()))
        if len(bad):
            where = f"first in row {bad[0]}" if per_row == 1 else f"first at value {bad[0]}"
            raise InputError(
                f"{path}: {name}: {len(bad)} of {len(column)} numbers are NaN or infinite ({where}); the file is "
                f"damaged, or the model that wrote it diverged: lower its learning_rate; {again}"
            )


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
