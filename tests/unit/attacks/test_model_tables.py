"""What is made of one model's answers: features of the records that are kept, quality over all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mia.attacks import model_tables
from mia.errors import InputError
from mia.models.logits import SIGNALS
from mia.store import parquet

N, VIEWS, CLASSES = 40, 2, 3
COLUMNS = ["posteriors", "signals"]


def answered() -> model_tables.Answered:
    """Two views of the records of a source, of which the model knows the second half; and records of another."""
    rng = np.random.default_rng(3)
    keys = pd.DataFrame(
        {
            "model_id": 2,
            "source": ["attacker"] * N * VIEWS + ["population"] * N,
            "sample_id": np.r_[np.tile(np.arange(N), VIEWS), np.arange(N)],
            "view": np.r_[np.repeat(np.arange(VIEWS), N), np.zeros(N, int)],
            "label": rng.integers(0, CLASSES, N * (VIEWS + 1)),
            "holds": "posteriors",
        }
    ).sample(frac=1, random_state=1)
    table = pa.Table.from_pandas(keys, preserve_index=False)
    logits = rng.normal(size=(len(keys), CLASSES)).astype(np.float32)
    table = table.append_column("logits", parquet.list_column(logits)).cast(SIGNALS)
    return model_tables.Answered(Path("answers.parquet"), table)


def membership() -> pd.DataFrame:
    sample_id = np.arange(N // 2, N)
    return pd.DataFrame({"model_id": 2, "source": "attacker", "sample_id": sample_id, "is_member": sample_id % 3 == 0})


def test_features_of_the_records_that_are_kept_are_those_of_all() -> None:
    whole, quality = model_tables.features_and_quality(answered(), membership(), COLUMNS)
    kept = np.array([1, 4, 5, 17])
    part, same = model_tables.features_and_quality(answered(), membership(), COLUMNS, kept)
    pd.testing.assert_frame_equal(part, whole.iloc[kept].reset_index(drop=True), rtol=1e-12)
    assert same == quality
    assert sorted(whole["sample_id"]) == list(range(N // 2, N))
    assert (whole["is_member"] == (whole["sample_id"] % 3 == 0)).all()
    assert (whole["source"] == "attacker").all()


def test_answers_of_other_records_than_the_membership_tables_are_refused() -> None:
    more = pd.concat([membership(), membership().assign(sample_id=lambda rows: rows["sample_id"] + N)])
    with pytest.raises(InputError, match=r"answers\.parquet: its records are not those of the membership table"):
        model_tables.features_and_quality(answered(), more, COLUMNS)


def test_margins_say_who_was_trained_on_a_copy() -> None:
    group = {"attacker": np.arange(N) // 2 * 2, "population": np.arange(N)}
    table = model_tables.margins(answered(), membership(), group, design="free").to_pandas()
    known = set(group["attacker"][[row for row in range(N // 2, N) if row % 3 == 0]])
    of_attacker = table[table["source"] == "attacker"]
    assert (of_attacker["is_member"] == of_attacker["sample_id"].map(lambda row: row // 2 * 2 in known)).all()
    assert not table.loc[table["source"] == "population", "is_member"].any()
    assert (table["design"] == "free").all()
