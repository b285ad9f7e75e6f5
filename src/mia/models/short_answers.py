"""Short answers: what is kept of the answers of a block whose logits would fill a disk and be read by nobody.

An attack reads a record's margin, and whether the predicted class is the label's; logits it reads only of the records
of which shadows' features are made (features.max_records of them). So from LIMIT on no other logits are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mia.arrays import Floats, Integers
from mia.data.records import Records
from mia.models.logits import SIGNALS

LIMIT = 4 << 30  # bytes of a block's logits
KEPT = 60_000  # records of a block whose logits are kept
CHUNK = 50_000  # records that a model is asked about before its answers are made short: whole batches of a query

SHORT = pa.schema(
    [
        *(field for field in SIGNALS if field.name != "logits"),
        pa.field("margin", pa.float64()),  # of the true class, nats
        pa.field("predicted", pa.int32()),
        SIGNALS.field("logits"),  # empty but for the records that were drawn
    ]
)


@dataclass(frozen=True)
class Short:
    """How answers are made short.

    margin: of logits (records, classes) and labels (records,). source, kept: of each model, the records of this source
    whose logits are kept in view 0.
    """

    margin: Callable[[NDArray[np.float32], NDArray[np.int64]], Floats]
    source: str
    kept: Mapping[int, Integers]

    def table(self, keys: pd.DataFrame, logits: NDArray[np.float32]) -> pa.Table:
        """Rows of SHORT. keys: those of SIGNALS, of one model, source and view. logits: (rows, classes)."""
        model_id, source, view = keys[["model_id", "source", "view"]].iloc[0]
        kept = np.zeros(len(keys), bool)
        if source == self.source and view == 0:
            kept = np.isin(keys["sample_id"], self.kept[model_id])
        ends = np.cumsum(np.where(kept, logits.shape[1], 0))
        lists = pa.ListArray.from_arrays(np.r_[0, ends].astype(np.int32), pa.array(logits[kept].reshape(-1)))
        keys = keys.assign(
            margin=self.margin(logits, keys["label"].to_numpy(np.int64)), predicted=logits.argmax(axis=1)
        )
        return pa.Table.from_pandas(keys, preserve_index=False).append_column("logits", lists)


def needed(sources: Mapping[str, Records], n_views: int, models: int) -> bool:
    """Whether the logits of so many models about these records take more than LIMIT."""
    answers = sum(len(records) * len(records.classes) for records in sources.values())
    return answers * n_views * models * np.dtype(np.float32).itemsize > LIMIT
