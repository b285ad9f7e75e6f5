"""Learning curves: how each model did after each epoch."""

from __future__ import annotations

import pyarrow as pa

LEARNING = pa.schema(
    [
        pa.field("model_id", pa.int32()),
        pa.field("epoch", pa.int32()),
        pa.field("train_loss", pa.float64()),  # nats, mean over the epoch's batches as they were trained on
        pa.field("train_accuracy", pa.float64()),
        pa.field("test_accuracy", pa.float64()),  # on the model's non-members, at the epoch's end
    ]
)
