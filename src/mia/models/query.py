"""Queries of a trained model about every record: a table of logits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mia import progress
from mia.compute import devices
from mia.data.records import Records
from mia.errors import InputError
from mia.models import building, checkpoints, views
from mia.models.checkpoints import Stored
from mia.models.short_answers import CHUNK, Short
from mia.store import parquet

BATCH = 250  # images in a query: more is no faster, and takes more memory


def logits(
    model: nn.Module, images: NDArray[np.uint8], description: str | None = None, view: int = 0
) -> NDArray[np.float32]:
    """The model's logits for a view of images (samples, height, width, channels), shape (samples, classes).

    With a description, behind a progress bar of that name.
    """
    place = devices.chosen()
    model.to(place).eval()
    starts = range(0, len(images), BATCH)
    with torch.inference_mode():
        for start in progress.bar(starts, description, unit="batch") if description else starts:
            asked = views.apply(images[start : start + BATCH], view)
            batch: Tensor = model(building.to_input(asked).to(place)).cpu()
            if start == 0:  # in one piece: small ones would lie scattered where the next batch needs room
                answers = batch.new_empty(len(images), batch.shape[1])
            answers[start : start + BATCH] = batch
        values: NDArray[np.float32] = answers.numpy()
        return values


def signals(sources: Mapping[str, Records], n_views: int, short: Short | None, stored: Stored) -> pa.Table:
    """The logits of a stored model for every record of every source, in each view: SIGNALS by source, view, record.

    short: how answers are made short (then SHORT in place of SIGNALS); None: they are kept whole.
    Raises InputError where the weights do not fit the model, or the model was made for other images or classes.
    """
    model, model_id = checkpoints.build(stored), stored.description.model_id
    answers = []
    for source, records in sources.items():
        for view in range(n_views):
            for start in range(0, len(records), CHUNK if short else len(records)):
                rows = slice(start, start + CHUNK if short else len(records))
                values = _logits(model, records, rows, source, view)
                sample_id = np.arange(start, start + len(values))
                keys = pd.DataFrame({"model_id": model_id, "source": source, "sample_id": sample_id, "view": view})
                keys = keys.assign(label=records.labels[rows], holds="posteriors")
                if short:
                    answers.append(short.table(keys, values))
                else:
                    table = pa.Table.from_pandas(keys, preserve_index=False)
                    answers.append(table.append_column("logits", parquet.list_column(values)))
    return pa.concat_tables(answers)


def _logits(model: nn.Module, records: Records, rows: slice, source: str, view: int) -> NDArray[np.float32]:
    """The logits for a view of some of the records, (rows, classes); errors as in `signals`."""
    try:
        values = logits(model, records.images[rows], f"query {source}", view)
    except RuntimeError as error:
        shape = records.images.shape[1:]
        raise InputError(f"models: a model does not fit images of {shape} ({error}); `dvc repro` trains anew") from None
    if values.shape[1] != len(records.classes):
        raise InputError(
            f"models: expected a model of {len(records.classes)} classes, got {values.shape[1]}; "
            "`dvc repro` trains it anew"
        )
    return values
