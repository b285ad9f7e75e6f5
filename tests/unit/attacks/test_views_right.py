"""What is made of one model's answers in several views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mia.attacks import model_tables
from mia.catalogue import BY_NAME
from mia.data.membership import membership_table
from mia.store import parquet


def answers(logits: np.ndarray[tuple[int, int, int], np.dtype[np.float32]], labels: list[int]) -> pa.Table:
    """Rows of SIGNALS for logits (views, samples, classes), in an order of their own."""
    views, samples, _ = logits.shape
    keys = {
        "model_id": 0,
        "source": "population",
        "sample_id": np.tile(np.arange(samples), views),
        "view": np.repeat(np.arange(views), samples),
        "label": np.tile(labels, views),
        "holds": "posteriors",
    }
    table = pa.Table.from_pandas(pd.DataFrame(keys), preserve_index=False)
    table = table.append_column("logits", parquet.list_column(logits.reshape(views * samples, -1)))
    return table.take(np.random.default_rng(0).permutation(views * samples))


@pytest.mark.parametrize("views", [1, 4])
def test_the_share_of_views_that_are_right_is_counted_view_by_view(views: int) -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(views, 30, 3)).astype(np.float32), rng.integers(0, 3, 30).tolist()
    membership = membership_table(0, "population", np.arange(10), np.arange(10, 30))
    frame, _ = model_tables.features_and_quality(
        model_tables.Answered(Path("test"), answers(logits, labels)), membership, ["signals"]
    )
    if views == 1:
        assert "views_right" not in frame  # the gap attack has it already
        return
    share = BY_NAME["views_right"].load()({"views_right": frame["views_right"].to_numpy()})
    for at, sample in enumerate(frame["sample_id"]):
        right = [int(logits[view, sample].argmax() == labels[sample]) for view in range(views)]
        assert share[at] == sum(right) / views
    assert 0 < frame["views_right"].mean() < 1
