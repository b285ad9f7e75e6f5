"""Hugging Face's Parquet: a file, or a folder of some, whose rows hold an image file and a label."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mia import progress
from mia.data import archives, image_splits, page_headers
from mia.data.image_files import MAX_BYTES, Collected, Meaning, NamedImages, Reading, listed
from mia.errors import InputError

ROWS = 1000  # of Parquet, held in memory at a time
# The first that a table has is taken.
IMAGE_COLUMNS = ("image", "img", "picture", "photo", "jpg", "png", "webp")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "category", "target", "cls")
Label = int | str | bool | None


def tables(path: Path) -> list[Path]:
    """The Parquet files in a folder, sorted, hidden ones passed over."""
    files = (file for file in sorted(path.rglob("*.parquet")) if file.is_file())
    return [file for file in files if not archives.hidden(file.relative_to(path).as_posix())]


def read(path: Path, reading: Reading) -> NamedImages:
    """Every row's image, named PATH:ROW, in the order of files and rows.

    Raises InputError where a table is damaged, has other columns or other classes than the first, or where a row holds
    no whole image or no label.
    """
    files = tables(path) if path.is_dir() else [path]
    splits = _splits(path, files, image_splits.known(reading.splits))
    collected = Collected(path, reading)
    counts: list[int] = []
    class_names: list[str] = []
    classes: set[str] = set()
    for file in files:
        name = file.relative_to(path).as_posix() if file != path else path.name
        with _damage_explained(file), pq.ParquetFile(file) as opened:
            columns = _columns(file, opened.schema_arrow, reading)
            if file != files[0] and set(columns.classes or ()) != classes:
                raise InputError(f"{file}: expected the classes' names of {files[0]}, got others; write both alike")
            classes = set(columns.classes or ())
            total = opened.metadata.num_rows
            content = progress.bar(_content(opened, file, columns), f"{name}: read", total=total, unit="image")
            for row, (data, label) in enumerate(content):
                _add(collected, f"{name}:{row}", data, label, columns, class_names)
        counts.append(len(class_names) - sum(counts))
    collected.refuse()
    if not class_names:
        raise InputError(f"{path}: expected rows with images, got none; name another table")
    used, train = _membership(path, splits, counts, reading)
    names = list(collected.rows)
    collected.account.unused = len(names) - len(used)
    return NamedImages(
        names=[names[row] for row in used],
        rows=np.array(used, np.int64),
        class_names=(of_used := [class_names[row] for row in used]),
        published_train=train,
        classes=classes | set(of_used),
        account=collected.account,
        pixels=collected.pixels,
    )


@dataclass(frozen=True)
class _Columns:
    """Of a table: image and label are columns' names. content: as Parquet names what holds the image's bytes."""

    image: str
    label: str
    content: str
    classes: list[str] | None  # the names of the classes, where the metadata hold them


def _add(
    collected: Collected, name: str, data: bytes | None, label: Label, columns: _Columns, class_names: list[str]
) -> None:
    try:
        class_name = _class_name(label, columns.classes)
    except ValueError as error:
        collected.fault(str(error), name)
    else:
        if collected.add(name, data):
            class_names.append(class_name)


def _membership(
    path: Path, splits: list[str] | None, counts: list[int], reading: Reading
) -> tuple[list[int], NDArray[np.bool_] | None]:
    """The rows that are used, and whether each is a member. splits, counts: the split of each file, and its images."""
    if splits is None:
        return list(range(sum(counts))), None
    of_rows = [split for split, count in zip(splits, counts, strict=True) for _ in range(count)]
    meanings: list[Meaning] = image_splits.meanings(path, of_rows, reading.splits)
    used = [row for row, meaning in enumerate(meanings) if meaning != "unused"]
    return used, np.array([meanings[row] == "member" for row in used], bool)


@contextmanager
def _damage_explained(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; correct the path") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{file}: not a whole Parquet file ({reason}); write it again or name another") from error


def _splits(path: Path, files: list[Path], known: set[str]) -> list[str] | None:
    """The split of each file; None where none has one. known: the splits' names, in small letters.

    Raises InputError where some have one.
    """
    splits = [_split(file.relative_to(path) if file != path else Path(path.name), known) for file in files]
    found = [split for split in splits if split is not None]
    if found and len(found) < len(splits):
        raise InputError(
            f"{files[splits.index(None)]}: expected the name of a split, as other files have one "
            f"({listed(sorted(set(found)))}): train-*.parquet, test-*.parquet; take it out, rename it, or name its "
            "beginning in the audit's data.splits"
        )
    return found or None


def _split(table: Path, known: set[str]) -> str | None:
    """The split of a Parquet file: its name begins with it (train-00000.parquet), or its folder has it."""
    names = "|".join(re.escape(name) for name in sorted(known))
    begins = re.match(rf"({names})(?![A-Za-z])", table.name.casefold())
    if begins:
        return begins[1]
    return next((part for part in table.parts[:-1] if part.casefold() in known), None)


def _columns(table: Path, schema: pa.Schema, reading: Reading) -> _Columns:
    image = _column(table, schema, "image", reading.image_column, IMAGE_COLUMNS)
    label = _column(table, schema, "label", reading.label_column, LABEL_COLUMNS)
    kind = schema.field(image).type
    of_bytes = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else None
    if kind in (pa.binary(), pa.large_binary()):
        content = image
    elif of_bytes in (pa.binary(), pa.large_binary()):
        content = f"{image}.bytes"
    else:
        raise InputError(
            f"{table}: column {image}: expected the files' bytes, or a struct {{bytes: binary, path}}, got "
            f"{str(kind)!r}; write it so"
        )
    kind = schema.field(label).type
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_kind = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean)
    if not any(check(values) for check in is_kind):
        raise InputError(
            f"{table}: column {label}: expected integers, text or booleans, got {kind}; write it so, or name another: "
            "data.label_column"
        )
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        classes = [unicodedata.normalize("NFC", str(name)) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        # Other tools' metadata, or labels that are plain numbers: they name themselves.
        classes = None
    return _Columns(image, label, content, classes)


def _column(table: Path, schema: pa.Schema, what: str, given: str | None, usual: tuple[str, ...]) -> str:
    """The name of the column; given: by the audit."""
    names = schema.names
    name = given if given is not None else next((name for name in usual if name in names), None)
    if name is None or names.count(name) != 1:
        expected = f"the column {given}" if given is not None else f"a column {' or '.join(usual[:3])}"
        raise InputError(
            f"{table}: expected {expected}, once, with each row's {what}, got {listed(names)}; "
            f"name it: the audit's data.{what}_column"
        )
    return name


def _content(opened: pq.ParquetFile, table: Path, columns: _Columns) -> Iterator[tuple[bytes | None, Label]]:
    wanted = [columns.content, columns.label]
    # Each row may hold all of a dictionary again.
    rows = MAX_BYTES // max(1, page_headers.largest_dictionary(opened, table, wanted))
    for batch in opened.iter_batches(batch_size=min(max(1, rows), ROWS), columns=wanted):
        pictures = batch.column(columns.image)
        if columns.content != columns.image:
            pictures = pictures.field("bytes")
        yield from zip(pictures.to_pylist(), batch.column(columns.label).to_pylist(), strict=True)


def _class_name(label: Label, names: list[str] | None) -> str:
    """The name of a row's class. Text and booleans name themselves, and so do integers without names."""
    if isinstance(label, str):
        return unicodedata.normalize("NFC", label)
    if isinstance(label, bool):
        return str(label).lower()
    if label is None or label < 0 or (names is not None and label >= len(names)):
        limit = "" if names is None else f" and below {len(names)}"
        raise ValueError(f"expected a label from 0{limit}, got {label}")
    return str(label) if names is None else names[label]
