"""A trained model that the user brings and that is queried: what it is given, and what its raw answers become.

What is wrong with it is looked for on a sample first (mia.models.model_checks), so that it is said in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mia import progress
from mia.arrays import Floats, Integers
from mia.data.records import Records
from mia.errors import InputError
from mia.models import fitting, model_files, model_kinds, views
from mia.models.model_files import Reading
from mia.params_audit import Model

BYTES = 64 << 20  # of one batch, as float32
MOST = {True: 8192, False: 256}  # rows of a batch, by whether records are rows of a table
# Divided by and subtracted, in float32 as torchvision's ToTensor does: one bit less, and trees go another way.
SCALES: dict[str, tuple[float, float]] = {"bytes": (1, 0), "unit": (255, 0), "symmetric": (127.5, 1)}


@dataclass(frozen=True)
class Asked:
    """A model that was read and fits the records. order: the class of each column of its answers, as a label.

    place: how a message names it. settings: the file of its settings, as `audits/NAME/params.yaml`.
    """

    place: Path
    settings_file: str
    reading: Reading
    settings: Model
    classes: tuple[str, ...]
    order: Integers

    def raw(self, x: Any, description: str | None = None) -> Floats:
        """Raw answers (samples, columns) about images as bytes or rows of a table, queried in batches.

        With a description, behind a progress bar of that name.
        Raises InputError where the model fails, or answers in another shape.
        """
        parts = list(_batches(len(x), self._rows(x)))
        told = progress.bar(parts, description, unit="batch") if description else parts
        return np.concatenate([self._batch(x.iloc[rows] if isinstance(x, pd.DataFrame) else x[rows]) for rows in told])

    def logits(self, raw: Floats, members: int) -> NDArray[np.float32]:
        """Raw answers as logits, one a class of the records (fitting.logits)."""
        return fitting.logits(_Answered(raw, self.settings.outputs, self.order), raw, len(self.classes), members)

    def _rows(self, x: Any) -> int:
        table = isinstance(x, pd.DataFrame)
        most: int = MOST[table] if table else max(1, min(MOST[table], BYTES // (4 * int(np.prod(x.shape[1:])))))
        return self.reading.batch or most

    def _batch(self, x: Any) -> Floats:
        count, fixed = len(x), self.reading.batch
        rows = given(x, self.settings, self.reading)
        if fixed and count < fixed:  # filled up with copies of the first row
            rows = np.concatenate([rows, np.repeat(rows[:1], fixed - count, axis=0)])
        try:
            values = np.asarray(self.reading.answer(rows))
        except Exception as error:  # of whatever library the model is of
            raise InputError(
                f"{self.place}: cannot answer rows of {self._shape(rows)}: {' '.join(str(error).split())[:300]}; "
                f"compare `model` in {self.settings_file} with what the model was trained on"
            ) from error
        values = _two_columns(values, self.settings.outputs)[:count].astype(np.float64)
        if values.shape != (count, len(self.order)):
            raise InputError(
                f"{self.place}: expected {len(self.order)} answers a row, one a class, got "
                f"{' x '.join(map(str, values.shape))} for {count} rows; set model.classes in {self.settings_file} to "
                "the classes that it answers with, or give it the output layer of this task"
            )
        return values

    @staticmethod
    def _shape(rows: Any) -> str:
        return f"{' x '.join(map(str, rows.shape[1:]))}, {getattr(rows, 'dtype', 'columns')}"


class TextColumnsError(InputError):
    """A model takes numbers where the table has text."""


class _Answered:
    """Answers as the model that gave them, for `fitting.logits`."""

    def __init__(self, raw: Floats, outputs: str, order: Integers) -> None:
        self.classes_ = order
        setattr(self, "predict_proba" if outputs == "probabilities" else "logits", lambda _: raw)


def read(place: Path, code: Path, settings: Model, settings_file: str, records: Records) -> Asked:
    """Read the model in a place, and compare what its file says with the settings and the records.

    Raises InputError where they differ.
    """
    shape = (len(columns_of(records, settings)),) if records.is_table else records.images.shape[1:]
    path = model_kinds.file(place, code)
    channels = 1 if records.is_table else shape[-1]
    if settings.mean and len(settings.mean) not in (1, channels):
        raise InputError(
            f"{settings_file}: model.mean: expected one number or one a channel, {channels}, got {len(settings.mean)}"
        )
    reading = model_files.read(place, code, settings, shape, len(records.classes))
    if records.is_table:
        reading = _of_table(path, settings_file, settings, reading, records)
    elif reading.inputs is not None:
        _check_images(path, settings_file, settings, reading, shape)
    order = _order(path, settings_file, settings, reading, records.classes)
    return Asked(path, settings_file, reading, settings, records.classes, order)


def given(x: Any, settings: Model, reading: Reading) -> Any:
    """Records as the model takes them: images (samples, height, width, channels) of bytes, or rows of a table."""
    if isinstance(x, pd.DataFrame):
        rows = x[list(reading.columns)] if reading.columns is not None else x
        return rows if reading.by_column else rows.to_numpy(reading.dtype)
    flat = reading.inputs is not None and len(reading.inputs) == 1  # an estimator takes a row of numbers
    if reading.dtype != "uint8":
        divisor, less = SCALES[str(settings.pixels)]
        x = x.astype(np.float32) / np.float32(divisor) - np.float32(less)
        if settings.mean and settings.deviation:
            x = (x - np.array(settings.mean, np.float32)) / np.array(settings.deviation, np.float32)
        x = x.astype(reading.dtype)
    if settings.layout == "channels_first":
        x = x.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(x.reshape(len(x), -1) if flat else x)


def columns_of(records: Records, settings: Model) -> list[str]:
    """The table's columns in the order that the user or the table gives."""
    return list(settings.columns or records.table.columns)


def in_view(records: Records, view: int) -> Any:
    """Records as the queries of a view hold them (mia.models.views); a table has one view."""
    return records.x if records.is_table or view == 0 else views.apply(records.images, view)


def _batches(count: int, rows: int) -> Iterator[slice]:
    return (slice(start, start + rows) for start in range(0, count, rows))


def _two_columns(values: NDArray[Any], outputs: str) -> NDArray[Any]:
    """Answers of two classes that are one number, as two: of the second class, the first has the rest."""
    if values.ndim == 2 and values.shape[1] > 1:
        return values
    if values.ndim > 2:
        return values.reshape(len(values), -1)
    second = values.reshape(len(values)).astype(np.float64)
    return np.stack([1 - second if outputs == "probabilities" else np.zeros(len(second)), second], axis=1)


def _check_images(path: Path, settings_file: str, settings: Model, reading: Reading, shape: tuple[int, ...]) -> None:
    first = settings.layout == "channels_first"
    expected = (shape[2], *shape[:2]) if first else shape
    inputs = reading.inputs or ()
    flat = len(inputs) == 1
    if flat:
        expected = (int(np.prod(shape)),)
    if len(inputs) != len(expected) or any(a not in (None, b) for a, b in zip(inputs, expected, strict=False)):
        other = (*shape[:2], shape[2]) if first else (shape[2], *shape[:2])
        turned = len(inputs) == 3 and all(a in (None, b) for a, b in zip(inputs, other, strict=True))
        step = f"set model.layout to channels_{'last' if first else 'first'}" if turned else "resize the images to it"
        raise InputError(
            f"{path}: takes images of {_sizes(inputs)}, got images of {_sizes(expected)} with model.layout: "
            f"{settings.layout}; {step} ({settings_file})"
        )
    if reading.dtype == "uint8" and (settings.pixels != "bytes" or settings.mean):
        raise InputError(
            f"{path}: takes bytes (uint8): expected model.pixels: bytes, mean: null and deviation: null, got "
            f"{settings.pixels}, {settings.mean} and {settings.deviation}; set them in {settings_file}"
        )
    if reading.dtype not in ("uint8", "float16", "float32", "float64"):
        raise InputError(f"{path}: expected an input of uint8 or floats, got {reading.dtype}; export it with one")


def _of_table(path: Path, settings_file: str, settings: Model, reading: Reading, records: Records) -> Reading:
    """The reading with the columns that it takes, in its order."""
    has = [str(name) for name in records.table.columns]
    own = list(settings.columns or reading.columns or has)
    if reading.columns and settings.columns and list(reading.columns) != settings.columns:
        raise InputError(
            f"{settings_file}: model.columns: {path.name} names its own columns, {_some(reading.columns)}, got "
            f"{_some(settings.columns)}; set it to null"
        )
    if missing := [name for name in own if name not in has]:
        raise InputError(
            f"{path}: takes columns that the table does not have: {_some(missing)}; the table has {_some(has)}; "
            f"rename them, or set model.columns in {settings_file}"
        )
    width = reading.inputs[0] if reading.inputs and len(reading.inputs) == 1 else None
    if width not in (None, len(own)):
        raise InputError(
            f"{path}: takes {width} columns, got {len(own)}: {_some(own)}; name those it takes, in its order, in "
            f"model.columns of {settings_file}"
        )
    if not reading.by_column and (texts := [name for name in own if records.table[name].dtype == object]):
        raise TextColumnsError(
            f"{path}: takes numbers, and these columns are text: {_some(texts)}; write load(path) into "
            "code/recipe.py, which turns them into numbers as your training did (docs/tables.md), or bring the model "
            "with its own preprocessing, as ONNX or skops"
        )
    return Reading(**{**vars(reading), "columns": own})


def _order(path: Path, settings_file: str, settings: Model, reading: Reading, classes: tuple[str, ...]) -> Integers:
    """The label of each column of the model's answers."""
    labels = {name: label for label, name in enumerate(classes)}
    if settings.classes is not None:
        if unknown := [name for name in settings.classes if name not in labels]:
            raise InputError(
                f"{settings_file}: model.classes: expected names of {_some(classes)}, got {_some(unknown)}; mend them"
            )
        if len(set(settings.classes)) < len(settings.classes):
            raise InputError(
                f"{settings_file}: model.classes: expected each name once, got {_some(settings.classes)}; mend them"
            )
        return np.array([labels[name] for name in settings.classes])
    own = [str(name) for name in reading.classes or classes]
    if all(name in labels for name in own):
        return np.array([labels[name] for name in own])
    if own == [str(number) for number in range(len(classes))]:
        return np.arange(len(classes))
    raise InputError(
        f"{path}: its classes are {_some(own)}, those of the data {_some(classes)}; write the data's names in the "
        f"model's order into model.classes of {settings_file}"
    )


def _sizes(sizes: Sequence[int | None]) -> str:
    return " x ".join("any" if size is None else str(size) for size in sizes)


def _some(names: Sequence[str]) -> str:
    return ", ".join(list(names)[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
