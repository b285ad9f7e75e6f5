"""Records on disk: images.npy (uint8), records.parquet and classes.json in one folder."""

from __future__ import annotations

import hashlib
import io
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mia.arrays import Bools, Integers
from mia.data.records import Records
from mia.errors import MEND, InputError
from mia.store import atomic, parquet, sealed_json

RECORDS = pa.schema(
    [
        pa.field("sample_id", pa.int64()),  # row of images.npy
        pa.field("label", pa.int32()),
        pa.field("published_train", pa.bool_()),  # stands in the published training split; false where there is none
        pa.field("group", pa.int64()),  # equal for byte-identical images: the least sample_id among them
        pa.field("sha256", pa.string()),  # of the image's bytes, hexadecimal
        pa.field("name", pa.string()),  # where the image came from
    ]
)

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


def save(folder: Path, data: Records) -> None:
    """Write a set whole or not at all; the same set gives the same bytes."""
    published = data.published_train
    table = pd.DataFrame(
        {
            "sample_id": np.arange(len(data)),
            "label": data.labels,
            "published_train": np.zeros(len(data), bool) if published is None else published,
            "group": data.group,
            "sha256": data.digests,
            "name": data.names,
        }
    )
    with atomic.folder(folder) as temporary:
        content = io.BytesIO()  # np.save to a file says "requested and written" of a full disk, without its errno
        np.save(content, data.images, allow_pickle=False)
        (temporary / "images.npy").write_bytes(content.getbuffer())
        parquet.write(temporary / "records.parquet", table, RECORDS)
        (temporary / "classes.json").write_text(sealed_json.seal({"classes": list(data.classes)}), encoding="utf-8")


def save_table(folder: Path, labels: Integers, classes: Sequence[str], member: Bools, names: Sequence[str]) -> None:
    """Write records of which there is no image, whole or not at all. Their digests are those of their names.

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
        parquet.write(temporary / "records.parquet", table, RECORDS)
        (temporary / "classes.json").write_text(sealed_json.seal({"classes": list(classes)}), encoding="utf-8")


def has_images(folder: Path) -> bool:
    """Whether the records of a set are images: images.npy stands only then."""
    return (folder / "images.npy").is_file()


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
    """Read a set and check every image against its digest.

    Raises InputError where a file is missing or damaged.
    """
    again = f"`dvc checkout {folder}` restores it, `dvc repro` makes it anew"
    table = load_records(folder)
    try:
        # A header may declare any size: a map must lie within the file, an array is first made room for.
        images: NDArray[Any] = np.lib.format.open_memmap(folder / "images.npy", mode="r")
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: no such file; {again}") from None
    except DAMAGE as error:
        raise InputError(f"{folder}: damaged ({' '.join(str(error).split())}); {MEND}") from None
    classes = load_classes(folder)
    if len(table) and table["label"].max() >= len(classes):
        raise InputError(f"{folder / 'classes.json'}: expected a name for each of the classes; {again}")
    if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(table):
        raise InputError(
            f"{folder / 'images.npy'}: expected {len(table)} uint8 images of four axes, "
            f"got {images.dtype} of shape {images.shape}; {again}"
        )
    published = table["published_train"].to_numpy(bool)
    records = Records(
        images=np.array(images),
        labels=table["label"].to_numpy(np.int64),
        classes=tuple(classes),
        published_train=published if published.any() else None,
        names=table["name"].to_numpy(str),
    )
    wrong = np.flatnonzero(records.digests != table["sha256"].to_numpy(str))
    if len(wrong):
        raise InputError(
            f"{folder / 'images.npy'}: {len(wrong)} images differ from their sha256 in records.parquet "
            f"(first: sample {wrong[0]}); {MEND}"
        )
    return records
