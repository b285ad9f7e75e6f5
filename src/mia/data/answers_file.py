"""A table of a model's answers as a file: CSV or Parquet, its columns found and brought to one form, batch by batch.

Columns: id, label, member, for shadows model, perhaps view; and the answers in one of these forms: `logit_CLASS` or
`p_CLASS`, one column a class; `logits` or `probabilities`, a list a row (Parquet); `loss`; `predicted`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from mia.arrays import Bools, Floats, Integers
from mia.errors import InputError

Form = Literal["logits", "probabilities", "loss", "predicted"]
WIDE: dict[str, Form] = {"logit_": "logits", "p_": "probabilities"}
LISTS: dict[str, Form] = {"logits": "logits", "probabilities": "probabilities"}
TRUE, FALSE = ("true", "1", "1.0", "yes", "t"), ("false", "0", "0.0", "no", "f")
ROWS = 1 << 16  # of Parquet, held at a time
HELP = "docs/answers.md shows the columns"


@dataclass(frozen=True)
class Layout:
    """What a file's columns say. classes: of wide answers, in the file's order; empty for other forms."""

    form: Form
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of a file; start: rows before these. ids, labels, model: text, labels of shadows may be left out.

    values: (rows, classes) logits or probabilities, (rows,) losses or, as text, predicted classes.
    """

    start: int
    ids: pa.Array
    labels: pa.Array | None
    member: Bools
    model: pa.Array | None
    view: Integers
    values: Floats | pa.Array

    def __len__(self) -> int:
        return len(self.ids)


def files(path: Path) -> list[Path]:
    """The file itself, or the files of a folder, sorted: shadows may be cut into several."""
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in (".csv", ".parquet"))
        if found:
            return found
        raise InputError(f"{path}: expected .csv or .parquet files in this folder, found none; {HELP}")
    if not path.is_file():
        raise InputError(f"{path}: no such file; correct the path")
    return [path]


def batches(path: Path) -> Iterator[pa.Table]:
    """The rows of one file, text as text. Raises InputError where it is neither CSV nor Parquet."""
    try:
        if path.suffix.lower() == ".parquet":
            for part in pq.ParquetFile(path).iter_batches(ROWS):
                yield pa.Table.from_batches([part])
        elif path.suffix.lower() == ".csv":
            yield from _csv(path)
        else:
            raise InputError(f"{path}: expected a .csv or .parquet file; rename or convert it")
    except (pa.ArrowException, OSError, UnicodeError) as error:
        kind = "Parquet" if path.suffix.lower() == ".parquet" else "CSV in UTF-8"
        raise InputError(f"{path}: not {kind} ({' '.join(str(error).split())[:200]}); write it anew") from None


def _csv(path: Path) -> Iterator[pa.Table]:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if not head.strip():
        raise InputError(f"{path}: an empty file; write a header and a row a record")
    first = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    if b";" in first and b"," not in first:
        raise InputError(f"{path}: columns are separated by ; here: write them with commas, and decimals with a point")
    names = pyarrow.csv.read_csv(pa.BufferReader(first.rstrip(b"\r") + b"\n")).column_names
    text = dict.fromkeys(names, pa.string())
    convert = pyarrow.csv.ConvertOptions(column_types=text, strings_can_be_null=False)
    read = pyarrow.csv.ReadOptions(block_size=1 << 24)
    parse = pyarrow.csv.ParseOptions(newlines_in_values=False)
    yield from (pa.Table.from_batches([part]) for part in pyarrow.csv.open_csv(path, read, parse, convert))


def layout(path: Path, names: Sequence[str], *, shadows: bool) -> Layout:
    """The form of the answers. Raises InputError with every fault of the header at once."""
    twice = sorted({name for name in names if names.count(name) > 1})
    faults = [f"the column {name} stands twice; leave one" for name in twice]
    needed = ["model"] if shadows else ["label"]
    faults += [f"expected a column {name}, got {_named(names)}; {HELP}" for name in ("id", "member", *needed)
               if name not in names]  # fmt: skip
    wide = {form: [name for name in names if name.startswith(prefix)] for prefix, form in WIDE.items()}
    forms: dict[Form, list[str]] = {form: columns for form, columns in wide.items() if columns}
    forms |= {form: [name] for name, form in LISTS.items() if name in names and form not in forms}
    for form in ("loss", "predicted"):
        if form in names and not forms:
            forms[form] = [form]
    if not forms:
        faults.append(f"expected answers: p_CLASS, logit_CLASS, loss or predicted, got {_named(names)}; {HELP}")
    if len(forms) > 1:
        faults.append(f"expected answers in one form, got {' and '.join(forms)}; leave one of them")
    if faults:
        raise InputError("\n".join(f"{path}: {fault}" for fault in faults))
    ((form, columns),) = forms.items()
    prefix = next((prefix for prefix in WIDE if columns[0].startswith(prefix)), "")
    classes = tuple(name.removeprefix(prefix) for name in columns) if prefix else ()
    used = {"id", "member", "label", "model", "view", *columns}
    return Layout(form, tuple(columns), classes, tuple(name for name in names if name not in used))


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def parsed(path: Path, table: pa.Table, form: Layout, start: int) -> Batch:
    """Rows as arrays. start: rows of the file before these. Raises InputError that names the first bad row."""

    def text(name: str) -> pa.Array | None:
        if name not in table.column_names:
            return None
        values = _as_text(table.column(name))
        empty = pc.fill_null(pc.equal(pc.utf8_length(values), 0), True).to_numpy(zero_copy_only=False)
        if empty.any():
            raise InputError(
                f"{_row(path, start + int(empty.argmax()))}: {name}: expected a value, got none; fill it in"
            )
        return values

    rows = table.num_rows
    view = np.zeros(rows, np.int64)
    if "view" in table.column_names:
        view = _numbers(path, table.column("view"), "view", start).astype(np.int64)
    values: Floats | pa.Array
    if form.form == "predicted":
        values = text("predicted")
    elif form.classes or form.form == "loss":
        columns = [_numbers(path, table.column(name), name, start) for name in form.columns]
        values = np.column_stack(columns) if form.classes else columns[0]
    else:
        values = _lists(path, table.column(form.columns[0]), form.columns[0], start)
    return Batch(start, text("id"), text("label"), _members(path, text("member"), start), text("model"), view, values)


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    column = _plain(column).combine_chunks()
    if pa.types.is_floating(column.type) and pc.all(pc.equal(column, pc.round(column))).as_py():
        column = column.cast(pa.int64())  # pandas makes floats of whole numbers beside a missing one
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def _numbers(path: Path, column: pa.ChunkedArray, name: str, start: int) -> Floats:
    try:
        values = _plain(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowException, TypeError):
        values = None
    if values is None:
        for row, value in enumerate(column.to_pylist()):
            try:
                float(value)
            except (TypeError, ValueError):
                comma = " with a point for the decimals" if isinstance(value, str) and "," in value else ""
                raise InputError(
                    f"{_row(path, start + row)}: {name}: expected a number{comma}, got {value!r}"
                ) from None
        values = np.array([float(value) for value in column.to_pylist()])
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InputError(
            f"{_row(path, start + bad[0])}: {name}: expected a finite number, got {values[bad[0]]}; mend it"
        )
    finite: Floats = values
    return finite


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column.cast(pa.float32()) if pa.types.is_float16(column.type) else column


def _lists(path: Path, column: pa.ChunkedArray, name: str, start: int) -> Floats:
    if not (
        pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
    ):
        raise InputError(
            f"{path}: {name}: expected a list of numbers a row, got {column.type}; or write a column a class"
        )
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    uneven = np.flatnonzero(lengths != lengths[:1])
    if len(uneven):
        row = int(uneven[0])
        rule = f"expected {lengths[0]:.0f} numbers as in the first row, got {lengths[row]:.0f}"
        raise InputError(f"{_row(path, start + row)}: {name}: {rule}")
    flat = _numbers(path, pa.chunked_array([pc.list_flatten(column.combine_chunks())]), name, start)
    return flat.reshape(len(column), -1)


def _members(path: Path, text: pa.Array, start: int) -> Bools:
    lowered = pc.utf8_lower(text)
    member, other = (
        pc.is_in(lowered, value_set=pa.array(words)).to_numpy(zero_copy_only=False) for words in (TRUE, FALSE)
    )
    wrong = ~(member | other)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{_row(path, start + row)}: member: expected true or false, got {text[row].as_py()!r}; mend it"
        )
    return np.asarray(member, bool)


def _row(path: Path, row: int) -> str:
    return f"{path}: row {row + 1:,}"
