"""Tables come back as they went in, read everywhere, and what is damaged is refused with its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mia.attacks import schemas
from mia.errors import MEND, InputError
from mia.models.logits import SIGNALS
from mia.store import parquet

LOGITS = np.arange(12, dtype=np.float32).reshape(4, 3)


def signals(logits: np.ndarray[tuple[int, int], np.dtype[np.float32]] = LOGITS) -> pa.Table:
    keys = pd.DataFrame(
        {"model_id": 0, "source": "population", "sample_id": range(4), "view": 0, "label": [0, 1, 2, 0]}
    ).assign(holds="posteriors")
    return pa.Table.from_pandas(keys, preserve_index=False).append_column("logits", parquet.list_column(logits))


def test_signals_come_back_as_they_went_in(tmp_path: Path) -> None:
    path = tmp_path / "signals.parquet"
    parquet.write(path, signals(), SIGNALS)
    back = parquet.read_table(path, SIGNALS)
    np.testing.assert_array_equal(parquet.matrix(path, back, "logits"), LOGITS)
    assert back.column("label").to_pylist() == [0, 1, 2, 0]
    assert list(tmp_path.iterdir()) == [path]


def test_a_part_stays_one_however_long(tmp_path: Path) -> None:
    """Readers take a part for a model; PyArrow of itself would cut it at 1,048,576 rows."""
    schema, rows = pa.schema([pa.field("number", pa.int8())]), 1_100_000
    with parquet.writer(tmp_path / "t.parquet", schema) as add:
        for part in (1, 2):
            add(pa.table({"number": np.full(rows, part, np.int8)}))
    lengths = [
        (len(part), part.column("number")[0].as_py()) for part in parquet.read_parts(tmp_path / "t.parquet", schema)
    ]
    assert lengths == [(rows, 1), (rows, 2)]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    parquet.write(tmp_path / "a", signals(), SIGNALS)
    parquet.write(tmp_path / "b", signals(), SIGNALS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_pandas_polars_and_duckdb_read_them_without_help(tmp_path: Path) -> None:
    path = tmp_path / "signals.parquet"
    parquet.write(path, signals(), SIGNALS)
    expected = LOGITS.tolist()
    assert np.stack(pd.read_parquet(path)["logits"].to_list()).tolist() == expected
    assert polars.read_parquet(path)["logits"].to_list() == expected
    asked = duckdb.sql(f"select logits from '{path}'")
    assert asked is not None
    assert [row[0] for row in asked.fetchall()] == expected


def damaged(tmp_path: Path, table: pa.Table) -> Path:
    path = tmp_path / "signals.parquet"
    with pq.ParquetWriter(path, table.schema) as file:
        file.write_table(table)
        file.add_key_value_metadata({parquet._DIGEST: parquet._BLANK})
    parquet._seal(path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        parquet.read_table(path, SIGNALS)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert MEND in message or f"`dvc checkout {path}`" in message or "`dvc pull" in message
    return message


def versioned(table: pa.Table, version: bytes = parquet.FORMAT) -> pa.Table:
    return table.cast(SIGNALS).replace_schema_metadata({b"mia.version": version})


def test_a_missing_table_says_how_to_get_it(tmp_path: Path) -> None:
    assert "no such file; `dvc pull" in refused(tmp_path / "signals.parquet")


@pytest.mark.fault("table cut short, flipped or of another version")
def test_a_table_cut_short_is_refused_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "signals.parquet"
    parquet.write(path, signals(), SIGNALS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        assert "not a whole Parquet file" in refused(path)


@pytest.mark.fault("table cut short, flipped or of another version")
def test_a_flipped_bit_in_the_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signals.parquet"
    parquet.write(path, signals(), SIGNALS)
    whole = bytearray(path.read_bytes())
    place = whole.index(b"population")  # inside a data page
    whole[place] ^= 1
    path.write_bytes(whole)
    assert re.search("expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}: damaged; delete it, let", refused(path))


@pytest.mark.fault("table cut short, flipped or of another version")
def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """In the footer too, which Parquet's own checksums leave out."""
    path = tmp_path / "signals.parquet"
    parquet.write(path, signals(), SIGNALS)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        assert "delete it" in refused(path), place
    record_property("times", len(whole))


def test_a_table_without_its_digest_is_refused(tmp_path: Path) -> None:
    pq.write_table(versioned(signals()), tmp_path / "signals.parquet")
    assert "holds no sha256 of its own: damaged" in refused(tmp_path / "signals.parquet")


@pytest.mark.fault("table cut short, flipped or of another version")
def test_another_version_is_refused(tmp_path: Path) -> None:
    assert "expected format 2, got 7" in refused(damaged(tmp_path, versioned(signals(), b"7")))
    assert "expected format 2, got none" in refused(damaged(tmp_path, signals().replace_schema_metadata(None)))


def test_other_columns_are_refused_with_both_lists(tmp_path: Path) -> None:
    message = refused(damaged(tmp_path, versioned(signals()).drop_columns(["view"])))
    assert "expected columns model_id: int32, source: string, sample_id: int64, view: int16" in message
    assert "got model_id: int32, source: string, sample_id: int64, label: int32" in message


def test_a_missing_value_is_refused(tmp_path: Path) -> None:
    table = versioned(signals())
    column = pa.array([0, None, 1, 2], pa.int32())
    at = table.schema.get_field_index("label")
    assert "label: 1 of 4 values are missing" in refused(damaged(tmp_path, table.set_column(at, "label", column)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_none_is_refused_with_its_place(tmp_path: Path, bad: float) -> None:
    logits = LOGITS.copy()
    logits[2, 1] = bad
    message = refused(damaged(tmp_path, versioned(signals(logits))))
    assert "logits: 1 of 12 numbers are NaN or infinite (first at value 7)" in message
    assert "lower its learning_rate" in message


def test_logits_of_unequal_width_are_refused(tmp_path: Path) -> None:
    ragged = pa.array([[1.0], [1.0, 2.0], [1.0], [1.0]], pa.list_(pa.float32()))
    table = versioned(signals().set_column(6, "logits", ragged))
    path = damaged(tmp_path, table)
    with pytest.raises(InputError, match="logits: expected one width, got 1 to 2"):
        parquet.matrix(path, parquet.read_table(path, SIGNALS), "logits")


def test_a_write_that_fails_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "signals.parquet"
    parquet.write(path, signals(), SIGNALS)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(OSError, match="No space left"):
        parquet.write(path, signals(), SIGNALS)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_features_may_have_any_float_columns_but_no_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "features.parquet"
    frame = pd.DataFrame({"model_id": [1], "source": ["attacker"], "sample_id": [0], "label": [2], "is_member": [True]})
    parquet.write(path, frame.assign(loss=0.5), schemas.features(["loss"], with_membership=True))
    assert schemas.read_features(path, with_membership=True)["loss"].to_list() == [0.5]
    with pytest.raises(InputError, match="expected columns .* got .*is_member: bool"):
        schemas.read_features(path, with_membership=False)
