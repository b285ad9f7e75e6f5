"""Hugging Face's Parquet: a file, or a folder of some, whose rows hold an image file and a label."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mia import progress
from mia.data import archives, page_headers
from mia.data.image_files import MAX_BYTES, NamedImages, check_memory, decode, listed, refuse
from mia.data.image_folders import SPLITS
from mia.errors import InputError

ROWS = 1000  # of Parquet, held in memory at a time


def tables(path: Path) -> list[Path]:
    """The Parquet files in a folder, sorted, hidden ones passed over."""
    files = (file for file in sorted(path.rglob("*.parquet")) if file.is_file())
    return [file for file in files if not archives.hidden(file.relative_to(path).as_posix())]


def read(path: Path) -> NamedImages:
    """Every row's image, named PATH:ROW, in the order of files and rows.

    Raises InputError where a table is damaged, has other columns or other classes than the first, or where a row holds
    no whole image or no label.
    """
    files = tables(path) if path.is_dir() else [path]
    splits = _splits(path, files)
    rows = _Rows(path)
    classes: set[str] = set()
    for file, split in zip(files, splits, strict=True):
        name = file.relative_to(path).as_posix() if file != path else path.name
        with _damage_explained(file), pq.ParquetFile(file) as opened:
            image_column, label_column, labels = _columns(file, opened.schema_arrow)
            if file != files[0] and set(labels or ()) != classes:
                raise InputError(f"{file}: expected the classes' names of {files[0]}, got others; write both alike")
            classes = set(labels or ())
            content = _content(opened, file, image_column, label_column)
            total = opened.metadata.num_rows
            for row, (data, label) in enumerate(progress.bar(content, f"{name}: read", total=total, unit="image")):
                rows.add(f"{name}:{row}", data, label, labels, split == "train")
    refuse(path, rows.faults)
    if not rows.names:
        raise InputError(f"{path}: expected rows with images, got none; name another table")
    train = np.array(rows.train) if all(splits) else None
    return NamedImages(rows.names, rows.images, rows.class_names, train, classes | set(rows.class_names))


@dataclass
class _Rows:
    """The images of all tables so far, and which rows break which rule."""

    path: Path
    names: list[str] = field(default_factory=list)
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    class_names: list[str] = field(default_factory=list)
    train: list[bool] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    size: int = 0  # bytes of pixels

    def add(self, name: str, data: bytes | None, label: int | None, labels: list[str] | None, train: bool) -> None:
        """Take a row, or note its fault."""
        try:
            class_name, image = _class_name(label, labels), decode(data)
        except ValueError as error:
            self.faults.setdefault(str(error), []).append(name)
            return
        self.names.append(name)
        self.images.append(image)
        self.class_names.append(class_name)
        self.train.append(train)
        self.size += image.nbytes
        check_memory(self.path, len(self.images), self.size)


@contextmanager
def _damage_explained(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; correct the path") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{file}: not a whole Parquet file ({reason}); write it again or name another") from error


def _splits(path: Path, files: list[Path]) -> list[str | None]:
    """The split of each file: all of them have one, or none."""
    splits = [_split(file.relative_to(path) if file != path else Path(path.name)) for file in files]
    if any(splits) and not all(splits):
        raise InputError(
            f"{files[splits.index(None)]}: expected the files of the splits train and test alone, "
            "named as train-*.parquet and test-*.parquet; take it out or rename it"
        )
    return splits


def _split(table: Path) -> str | None:
    """The split of a Parquet file: its name begins with it (train-00000.parquet), or its folder has it."""
    begins = re.match(r"(train|test)(?![A-Za-z])", table.name)
    if begins:
        return begins[1]
    return next((part for part in table.parts[:-1] if part in SPLITS), None)


def _columns(table: Path, schema: pa.Schema) -> tuple[str, str, list[str] | None]:
    """The image column, the label column, and the names of the classes where the metadata hold them."""
    image = next((name for name in ("image", "img") if name in schema.names), None)
    label = next((name for name in ("label", "fine_label") if name in schema.names), None)
    if image is None or label is None or len(set(schema.names)) < len(schema.names):
        raise InputError(
            f"{table}: expected the columns image (or img) and label (or fine_label), each once, "
            f"got {listed(schema.names)}; rename them"
        )
    kind = schema.field(image).type
    of_bytes = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else None
    if of_bytes not in (pa.binary(), pa.large_binary()):
        raise InputError(
            f"{table}: column {image}: expected a struct {{bytes: binary, path}}, got {str(kind)!r}; write it so"
        )
    if not pa.types.is_integer(schema.field(label).type):
        raise InputError(f"{table}: column {label}: expected integers, got {schema.field(label).type}; write it so")
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return image, label, [unicodedata.normalize("NFC", str(name)) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        # Other tools' metadata, or labels that are plain numbers: they name themselves.
        return image, label, None


def _content(opened: pq.ParquetFile, table: Path, image: str, label: str) -> Iterator[tuple[bytes | None, int | None]]:
    columns = [f"{image}.bytes", label]
    # Each row may hold all of a dictionary again.
    rows = MAX_BYTES // max(1, page_headers.largest_dictionary(opened, table, columns))
    for batch in opened.iter_batches(batch_size=min(max(1, rows), ROWS), columns=columns):
        for picture, number in zip(batch.column(image).to_pylist(), batch.column(label).to_pylist(), strict=True):
            yield (picture or {}).get("bytes"), number


def _class_name(label: int | None, names: list[str] | None) -> str:
    if label is None or label < 0 or (names is not None and label >= len(names)):
        limit = "" if names is None else f" and below {len(names)}"
        raise ValueError(f"expected a label from 0{limit}, got {label}")
    return str(label) if names is None else names[label]
