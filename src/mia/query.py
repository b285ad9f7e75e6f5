"""Asking a trained model about every record: a table of logits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from mia import checkpoints, models, tables, views
from mia.checkpoints import Stored
from mia.datasets import Records
from mia.errors import InputError


def signals(sources: Mapping[str, Records], n_views: int, stored: Stored) -> pa.Table:
    """What a stored model says of every record of every source, in each view: tables.SIGNALS by source, view, record.

    Raises InputError where the model's weights do not fit it, or it was made for other images or classes.
    """
    model, model_id = checkpoints.build(stored), stored.description.model_id
    answers = []
    for source, records in sources.items():
        for view in range(n_views):
            try:
                values = models.logits(model, views.apply(records.images, view), f"query {source}")
            except RuntimeError as error:
                shape = records.images.shape[1:]
                raise InputError(
                    f"models: a model does not fit images of {shape} ({error}); `dvc repro` trains anew"
                ) from None
            if values.shape[1] != len(records.classes):
                raise InputError(
                    f"models: expected a model of {len(records.classes)} classes, got {values.shape[1]}; "
                    "`dvc repro` trains it anew"
                )
            keys = {"model_id": model_id, "source": source, "sample_id": np.arange(len(records)), "view": view}
            table = pa.Table.from_pandas(pd.DataFrame(keys).assign(label=records.labels), preserve_index=False)
            answers.append(table.append_column("logits", tables.list_column(values)))
    return pa.concat_tables(answers)
