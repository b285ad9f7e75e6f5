"""Who is a member of which model: a table keyed by model and sample, never "the first half". Model 0 is the target."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from mia.arrays import Integers

MEMBERSHIP = pa.schema(
    [
        pa.field("model_id", pa.int32()),  # 0 is the target, shadows count from 1
        pa.field("source", pa.string()),  # population or attacker
        pa.field("sample_id", pa.int64()),
        pa.field("is_member", pa.bool_()),
    ]
)


def membership_table(model_id: int, source: str, members: Integers, nonmembers: Integers) -> pd.DataFrame:
    """One model's rows of the membership table, sorted by sample_id."""
    rows = pd.DataFrame(
        {
            "model_id": model_id,
            "source": source,
            "sample_id": np.r_[members, nonmembers],
            "is_member": np.r_[np.ones(len(members), bool), np.zeros(len(nonmembers), bool)],
        }
    )
    return rows.sort_values("sample_id", ignore_index=True)
