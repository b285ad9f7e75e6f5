"""What models answer: the table of logits."""

from __future__ import annotations

import pyarrow as pa

SIGNALS = pa.schema(
    [
        pa.field("model_id", pa.int32()),
        pa.field("source", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("view", pa.int16()),  # 0 is the record itself
        pa.field("label", pa.int32()),
        pa.field("holds", pa.string()),  # posteriors, or what else these logits stand for: loss, predicted
        pa.field("logits", pa.list_(pa.field("element", pa.float32()))),  # one a class
    ]
)
