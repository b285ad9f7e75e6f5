"""Asking a trained model: images in, logits out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from mia import models, progress, tables
from mia.datasets import Records
from mia.errors import InputError

BATCH = 1000  # images at once; bounds memory


def logits(model: nn.Module, images: NDArray[np.uint8], description: str | None = None) -> NDArray[np.float32]:
    """The model's logits for images (samples, height, width, channels), shape (samples, classes).

    With a description, behind a progress bar of that name.
    """
    device = models.device()
    model.to(device).eval()
    starts = range(0, len(images), BATCH)
    with torch.inference_mode():
        batches = [
            model(models.to_input(images[start : start + BATCH]).to(device)).cpu()
            for start in (progress.bar(starts, description, unit="batch") if description else starts)
        ]
        return torch.cat(batches).numpy()


def signals(model: nn.Module, records: Records, asked: pd.DataFrame) -> pa.Table:
    """What a model says of the records in `asked` (model_id, source, sample_id; one model), as tables.SIGNALS.

    Raises InputError where the model was made for other images or classes.
    """
    rows = asked["sample_id"].to_numpy()
    try:
        values = logits(model, records.images[rows], "query")
    except RuntimeError as error:
        shape = records.images.shape[1:]
        raise InputError(f"models: a model does not fit images of {shape} ({error}); `dvc repro` trains anew") from None
    if values.shape[1] != len(records.classes):
        raise InputError(
            f"models: expected a model of {len(records.classes)} classes, got {values.shape[1]}; "
            "`dvc repro` trains it anew"
        )
    columns = asked[["model_id", "source", "sample_id"]].assign(view=0, label=records.labels[rows])
    table = pa.Table.from_pandas(columns, preserve_index=False)
    return table.append_column("logits", tables.list_column(values))
