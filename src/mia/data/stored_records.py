"""Records on disk: images.npy (uint8) or table.parquet, with records.parquet and classes.json, in one folder."""

from __future__ import annotations

import hashlib
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mia.arrays import Bools, Integers
from mia.data.records import Records, Selected
from mia.errors import MEND, InputError
from mia.store import atomic, parquet, sealed_json

RECORDS = pa.schema(
    [
        pa.field("sample_id", pa.int64()),  # row of images.npy or table.parquet
        pa.field("label", pa.int32()),
        pa.field("published_train", pa.bool_()),  # stands in the published training split; false where there is none
        pa.field("group", pa.int64()),  # equal for byte-identical records: the least sample_id among them
        pa.field("sha256", pa.string()),  # of the record's bytes, hexadecimal
        pa.field("name", pa.string()),  # where the record came from
    ]
)

IMAGES, TABLE = "images.npy", "table.parquet"
AT_ONCE = 250  # images that are in memory while they are written

# What NumPy and json raise over damaged files; a header of .npy is read as a literal of Python.
DAMAGE = (
    ValueError,
    TypeError,
    ArithmeticError,
    EOFError,
    OSError,
    MemoryError,
    RecursionError,
    SyntaxError,
    tokenize.TokenError,
)


def save(folder: Path, data: Records | Selected) -> None:
    """Write a set whole or not at all; the same set gives the same bytes."""
    if isinstance(data, Records):
        data = data.select(np.arange(len(data)))
    records, rows = data.records, data.rows
    published = records.published_train if data.published else None
    table = pa.table(
        {
            "sample_id": np.arange(len(data)),
            "label": records.labels[rows],
            "published_train": np.zeros(len(data), bool) if published is None else published[rows],
            "group": data.group,
            "sha256": pa.array(data.digests).cast(pa.string()),
            "name": records.names[rows],
        }
    )
    with atomic.folder(folder) as temporary:
        if records.is_table:
            content = pa.Table.from_pandas(records.take(rows).table, preserve_index=False)
            pq.write_table(content, temporary / TABLE, compression="zstd")
        else:
            _save_images(temporary / IMAGES, data)
        _save_names(temporary, table, records.classes)


def _save_images(path: Path, data: Selected) -> None:
    """What np.save writes, a few at a time; of a full disk np.save would say how much it wrote, and no errno."""
    shape = len(data), *data.records.images.shape[1:]
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for images in data.images(AT_ONCE):
            file.write(np.ascontiguousarray(images).data)


def save_names(folder: Path, labels: Integers, classes: Sequence[str], member: Bools, names: Sequence[str]) -> None:
    """Write records of which the name alone is known, whole or not at all. Their digests are those of their names.

    labels, member, names: (samples,); member stands as the published training split.
    """
    table = pd.DataFrame(
        {
            "sample_id": np.arange(len(labels)),
            "label": labels,
            "published_train": member,
            "group": np.arange(len(labels)),
            "sha256": [hashlib.sha256(name.encode()).hexdigest() for name in names],
            "name": names,
        }
    )
    with atomic.folder(folder) as temporary:
        _save_names(temporary, table, classes)


def _save_names(folder: Path, table: pd.DataFrame | pa.Table, classes: Sequence[str]) -> None:
    parquet.write(folder / "records.parquet", table, RECORDS)
    (folder / "classes.json").write_text(sealed_json.seal({"classes": list(classes)}), encoding="utf-8")


def has_images(folder: Path) -> bool:
    """Whether the records of a set are images."""
    return (folder / IMAGES).is_file()


def has_table(folder: Path) -> bool:
    """Whether the records of a set are rows of a table."""
    return (folder / TABLE).is_file()


def load_records(folder: Path) -> pd.DataFrame:
    """The records alone, without their images (RECORDS)."""
    return parquet.read(folder / "records.parquet", RECORDS)


def load_classes(folder: Path) -> list[str]:
    """The names of the classes, by label; errors as in `load`."""
    again = f"`dvc checkout {folder}` restores it, `dvc repro` makes it anew"
    try:
        classes: Any = sealed_json.unseal((folder / "classes.json").read_text(encoding="utf-8")).get("classes")
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; {again}") from None
    except DAMAGE as error:
        raise InputError(f"{folder}: damaged ({' '.join(str(error).split())}); {MEND}") from None
    if not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise InputError(f"{folder / 'classes.json'}: expected a name for each of the classes; {again}")
    return classes


def load(folder: Path) -> Records:
    """Read a set and check every record against its digest. Images are a map of their file, which takes no memory.

    Raises InputError where a file is missing or damaged.
    """
    again = f"`dvc checkout {folder}` restores it, `dvc repro` makes it anew"
    table = load_records(folder)
    path = folder / (TABLE if has_table(folder) else IMAGES)
    try:
        x = _table(path) if path.name == TABLE else _images(path)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; {again}") from None
    except (*DAMAGE, pa.ArrowException) as error:
        raise InputError(f"{folder}: damaged ({' '.join(str(error).split())}); {MEND}") from None
    classes = load_classes(folder)
    if len(table) and table["label"].max() >= len(classes):
        raise InputError(f"{folder / 'classes.json'}: expected a name for each of the classes; {again}")
    if isinstance(x, np.ndarray) and (x.dtype != np.uint8 or x.ndim != 4 or len(x) != len(table)):
        raise InputError(
            f"{path}: expected {len(table)} uint8 images of four axes, got {x.dtype} of shape {x.shape}; {again}"
        )
    if len(x) != len(table):
        raise InputError(f"{path}: expected {len(table)} rows, got {len(x)}; {again}")
    published = table["published_train"].to_numpy(bool)
    records = Records(
        x=x,
        labels=table["label"].to_numpy(np.int64),
        classes=tuple(classes),
        published_train=published if published.any() else None,
        names=table["name"].to_numpy(str),
    )
    wrong = np.flatnonzero(records.digests != np.array([text.encode() for text in table["sha256"]], "S"))
    if len(wrong):
        what = "records" if records.is_table else "images"
        raise InputError(
            f"{path}: {len(wrong)} {what} differ from their sha256 in records.parquet "
            f"(first: sample {wrong[0]}); {MEND}"
        )
    return records


def _images(path: Path) -> NDArray[Any]:
    # A header may declare any size: a map must lie within the file, an array is first made room for.
    return np.asarray(np.lib.format.open_memmap(path, mode="r"))


def _table(path: Path) -> pd.DataFrame:
    table = pq.read_table(path)
    if others := [str(kind) for kind in table.schema.types if kind not in (pa.float64(), pa.string())]:
        raise ValueError(f"a column of {others[0]}")
    frame: pd.DataFrame = table.to_pandas()
    for field in table.schema:
        if field.type == pa.string():
            frame[field.name] = frame[field.name].astype(object).where(frame[field.name].notna(), None)
    return frame
