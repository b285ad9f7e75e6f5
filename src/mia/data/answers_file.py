"""A table of a model's answers as a file: CSV or Parquet, its columns found and brought to one form, batch by batch.

Columns: id, label, member, for shadows model, perhaps view; and the answers in one of these forms: `logit_CLASS` or
`p_CLASS`, one column a class; `logits` or `probabilities`, a list a row (Parquet); `loss`; `predicted`.
"""

from __future__ import annotations

import re
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
SHORTEST = 8  # bytes of a row of shadows in CSV: 1,1,a,1 and the end of the line
SEPARATORS = {b";": ";", b"\t": "tabs"}
WHOLE = r"^(-?[0-9]+)\.0$"
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
    person: list[str]  # empty where there is no such column

    def __len__(self) -> int:
        return len(self.ids)


def files(path: Path) -> list[Path]:
    """The file itself, or the files of a folder, sorted: shadows may be cut into several."""
    if path.is_dir():
        tables = sorted(file for file in path.iterdir() if file.suffix.lower() in (".csv", ".parquet"))
        if tables:
            return tables
        raise InputError(f"{path}: expected .csv or .parquet files in this folder, found none; {HELP}")
    if not path.is_file():
        raise InputError(f"{path}: no such file; correct the path")
    return [path]


def most_rows(path: Path) -> int:
    """A bound of the rows of one file, without reading it."""
    try:
        return int(pq.read_metadata(path).num_rows) if path.suffix.lower() == ".parquet" else _most_lines(path)
    except (pa.ArrowException, OSError):
        return 0  # reading it says why


def _most_lines(path: Path) -> int:
    return path.stat().st_size // SHORTEST + 1


def batches(path: Path) -> Iterator[pa.Table]:
    """The rows of one file, text as text. Raises InputError where it is neither CSV nor Parquet."""
    try:
        if path.suffix.lower() == ".parquet":
            parts = _parquet(path)
        elif path.suffix.lower() == ".csv":
            parts = _csv(path)
        else:
            raise InputError(f"{path}: expected a .csv or .parquet file; rename or convert it")
        for part in parts:
            yield part.rename_columns([name.strip() for name in part.column_names])
    except (pa.ArrowException, OSError, UnicodeError) as error:
        kind = "Parquet" if path.suffix.lower() == ".parquet" else "CSV in UTF-8"
        raise InputError(f"{path}: not {kind} ({' '.join(str(error).split())[:200]}); write it anew") from None


def _parquet(path: Path) -> Iterator[pa.Table]:
    for part in pq.ParquetFile(path).iter_batches(ROWS):
        part.validate(full=True)  # text that is no UTF-8 is told here and not where it is used
        yield pa.Table.from_batches([part])


def _csv(path: Path) -> Iterator[pa.Table]:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    head = head.removeprefix(b"\xef\xbb\xbf")
    if not head.strip():
        raise InputError(f"{path}: an empty file; write a header and a row a record")
    first = head.split(b"\n", 1)[0]
    for separator, name in SEPARATORS.items():
        if separator in first and b"," not in first:
            rule = f"columns are separated by {name} here: write them with commas, and decimals with a point"
            raise InputError(f"{path}: {rule}")
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
    classes = tuple(_whole(name.removeprefix(prefix)) for name in columns) if prefix else ()
    if len(set(classes)) < len(classes):
        same = next(name for name in classes if classes.count(name) > 1)
        raise InputError(f"{path}: expected one column a class, got several of class {same}; leave one")
    used = {"id", "member", "label", "model", "view", *(() if shadows else ("person",)), *columns}
    return Layout(form, tuple(columns), classes, tuple(name for name in names if name not in used))


def _named(names: Sequence[str]) -> str:
    return ", ".join(name[:60] for name in names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def parsed(path: Path, table: pa.Table, form: Layout, start: int) -> Batch:
    """Rows as arrays. start: rows of the file before these. Raises InputError that names the first bad row."""

    def text(name: str) -> pa.Array | None:
        if name not in table.column_names:
            return None
        values = _as_text(path, table.column(name), name)
        empty = pc.fill_null(pc.equal(pc.utf8_length(values), 0), True).to_numpy(zero_copy_only=False)
        if empty.any():
            raise InputError(
                f"{_row(path, start + int(empty.argmax()))}: {name}: expected a value, got none; fill it in"
            )
        return values

    rows = table.num_rows
    view = np.zeros(rows, np.int64)
    if "view" in table.column_names:
        numbers = _numbers(path, table.column("view"), "view", start)
        wrong = (numbers != np.floor(numbers)) | (numbers < 0) | (numbers >= 1 << 31)
        if wrong.any():
            place, value = _row(path, start + int(wrong.argmax())), numbers[wrong.argmax()]
            raise InputError(f"{place}: view: expected 0, 1, 2 or so on, got {value:g}; mend it")
        view = numbers.astype(np.int64)
    values: Floats | pa.Array
    if form.form == "predicted":
        values = text("predicted")
    elif form.classes or form.form == "loss":
        columns = [_numbers(path, table.column(name), name, start) for name in form.columns]
        values = np.column_stack(columns) if form.classes else columns[0]
    else:
        values = _lists(path, table.column(form.columns[0]), form.columns[0], start)
    persons = text("person") if "person" not in form.ignored else None
    return Batch(
        *(start, text("id"), text("label"), _members(path, text("member"), start), text("model"), view, values),
        [] if persons is None else persons.to_pylist(),
    )


def _as_text(path: Path, column: pa.ChunkedArray, name: str) -> pa.Array:
    """Text without spaces around it; whole numbers as such: pandas writes 3 as 3.0 where a value is missing."""
    try:
        values = _plain(column).combine_chunks()
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
            whole = pc.and_(pc.equal(values, pc.round(values)), pc.less(pc.abs(values), 2.0**53))
            integers = pc.if_else(whole, values, 0).cast(pa.int64()).cast(pa.string())
            return pc.if_else(whole, integers, values.cast(pa.string()))
        text = pc.utf8_trim_whitespace(values.cast(pa.string()))
        if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
            return text
        return pc.replace_substring_regex(text, WHOLE, r"\1") if _any(pc.ends_with(text, ".0")) else text
    except pa.ArrowException:
        raise InputError(f"{path}: {name}: expected text or whole numbers, got {column.type}; convert it") from None


def _whole(name: str) -> str:
    """The name of a class as `_as_text` has it."""
    return re.sub(WHOLE, r"\1", name.strip())


def _any(values: pa.Array) -> bool:
    return bool(pc.any(values).as_py())


def _numbers(path: Path, column: pa.ChunkedArray, name: str, start: int, width: int = 1) -> Floats:
    """Numbers of a column, `width` of them a row."""
    try:
        values = _plain(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowException, TypeError):
        values = None
    if values is None:
        for place, value in enumerate(column.to_pylist()):
            try:
                float(value)
            except (TypeError, ValueError, OverflowError):
                comma = " with a point for the decimals" if isinstance(value, str) and "," in value else ""
                rule = f"expected a number{comma}, got {shortened(value)}; mend it"
                raise InputError(f"{_row(path, start + place // width)}: {name}: {rule}") from None
        values = np.array([float(value) for value in column.to_pylist()])
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        rule = f"expected a finite number, got {values[bad[0]]}; mend it"
        raise InputError(f"{_row(path, start + bad[0] // width)}: {name}: {rule}")
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
    if column.null_count:
        row = int(pc.is_null(column).to_numpy().argmax())
        raise InputError(f"{_row(path, start + row)}: {name}: expected a list of numbers, got none; fill it in")
    lengths = pc.list_value_length(column).to_numpy()
    uneven = np.flatnonzero(lengths != lengths[:1])
    if len(uneven):
        row = int(uneven[0])
        rule = f"expected {lengths[0]} numbers as in the first row, got {lengths[row]}; mend it"
        raise InputError(f"{_row(path, start + row)}: {name}: {rule}")
    width = int(lengths[0]) if len(lengths) else 1
    if not width:
        raise InputError(f"{_row(path, start)}: {name}: expected a list of numbers, got an empty one; fill it in")
    flat = pa.chunked_array([pc.list_flatten(column.combine_chunks())])
    return _numbers(path, flat, name, start, width).reshape(-1, width)


def _members(path: Path, text: pa.Array, start: int) -> Bools:
    lowered = pc.utf8_lower(text)
    member, other = (
        pc.is_in(lowered, value_set=pa.array(words)).to_numpy(zero_copy_only=False) for words in (TRUE, FALSE)
    )
    wrong = ~(member | other)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{_row(path, start + row)}: member: expected true or false, got {shortened(text[row].as_py())}; mend it"
        )
    return np.asarray(member, bool)


def _row(path: Path, row: int) -> str:
    return f"{path}: row {row + 1:,}"


def shortened(value: object) -> str:
    """A value for a message: in quotation marks where it is text, and not all of it where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
