"""Tables of a user become records: numbers, text, missing values, classes, names, and every fault in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import people
from mia.data import stored_records, tables
from mia.data.records import Records
from mia.errors import InputError
from mia.params_audit import TableData

PLACE = "audits/people/params.yaml: data."


def settings(**changes: Any) -> TableData:
    return TableData.model_validate(people.SETTINGS | changes)


def load(path: Path, **changes: Any) -> Records:
    return tables.load(path, settings(**changes), PLACE)


def written(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_parquet(path, index=False) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def test_numbers_are_float64_and_text_is_text_with_missing_values_as_they_are(tmp_path: Path) -> None:
    records = load(written(people.table(200), tmp_path / "people.csv"))
    assert [str(kind) for kind in records.table.dtypes] == ["float64"] * 6 + ["object", "float64"]
    assert records.classes == ("high", "low")
    assert records.table["n0"].isna().sum() > 0
    assert set(records.table["work"]) == {None, "farm", "office", "shop", "sea"}
    assert set(records.table["retired"]) == {0.0, 1.0}
    assert records.names[3] == "row 3"


@pytest.mark.parametrize("name", ["people.parquet", "people.csv.gz", "people.csv.xz", "people.tsv"])
def test_the_kind_of_file_changes_nothing(tmp_path: Path, name: str) -> None:
    frame = people.table(100)
    expected = load(written(frame, tmp_path / "people.csv"))
    if name.endswith("tsv"):
        frame.to_csv(tmp_path / name, index=False, sep="\t")
    else:
        written(frame, tmp_path / name)
    records = load(tmp_path / name)
    assert (records.digests == expected.digests).all()
    assert (records.labels == expected.labels).all()


def test_files_of_a_folder_are_one_table(tmp_path: Path) -> None:
    frame = people.table(100)
    whole = load(written(frame, tmp_path / "people.csv"))
    (tmp_path / "parts").mkdir()
    written(frame[:30], tmp_path / "parts/a.csv")
    written(frame[30:][frame.columns[::-1]], tmp_path / "parts/b.parquet")
    (tmp_path / "parts/.DS_Store").write_text("x")
    parts = load(tmp_path / "parts")
    assert (parts.digests == whole.digests).all()


def test_ids_are_names_and_a_column_says_who_was_published(tmp_path: Path) -> None:
    frame = people.table(6).assign(
        id=[11, 12, 13, 14, 15, 16], split=["train", "Train", "test", "test", "TEST", "train"]
    )
    records = load(written(frame, tmp_path / "people.csv"), id="id", published="split", ignored=["n5"])
    assert records.names.tolist() == ["11", "12", "13", "14", "15", "16"]
    assert records.published_train is not None
    assert records.published_train.tolist() == [True, True, False, False, False, True]
    assert not {"id", "split", "income", "n5"} & set(records.table)


def test_numbers_that_stand_for_categories_are_text(tmp_path: Path) -> None:
    frame = people.table(50).assign(code=[float(row % 3) for row in range(50)])
    records = load(written(frame, tmp_path / "people.csv"), texts=["code"])
    assert set(records.table["code"]) == {"0", "1", "2"}


@given(
    st.lists(st.tuples(st.floats(allow_nan=True, allow_infinity=False), st.text(), st.text()), min_size=2, max_size=20)
)
def test_rows_have_equal_digests_where_they_are_equal(rows: list[tuple[float, str, str]]) -> None:
    frame = pd.DataFrame(rows, columns=["n", "a", "b"]).astype({"a": object, "b": object})
    records = Records(frame, np.zeros(len(rows), np.int64), ("x",), None, np.arange(len(rows)).astype(str))
    keys = [(None if np.isnan(number) else number, a, b) for number, a, b in rows]
    same = np.array([[one == other for other in keys] for one in keys])
    assert ((records.digests[:, None] == records.digests[None]) == same).all()


def test_records_of_a_table_are_stored_and_read_as_they_were(tmp_path: Path) -> None:
    records = load(written(people.table(80), tmp_path / "people.csv"))
    stored_records.save(tmp_path / "set", records)
    again = stored_records.load(tmp_path / "set")
    pd.testing.assert_frame_equal(again.table, records.table)
    assert again.table["work"].map(type).isin([str, type(None)]).all()
    assert not stored_records.has_images(tmp_path / "set")


def test_a_changed_value_is_found_by_its_digest(tmp_path: Path) -> None:
    records = load(written(people.table(80), tmp_path / "people.csv"))
    stored_records.save(tmp_path / "set", records)
    table = records.table.copy()
    table["n3"] = table["n3"] + 1e-12 * (np.arange(80) == 7)
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), tmp_path / "set/table.parquet")
    with pytest.raises(InputError, match=r"1 records differ from their sha256 in records.parquet \(first: sample 7\)"):
        stored_records.load(tmp_path / "set")


def test_generated_records_take_the_population_s_columns_and_classes(tmp_path: Path) -> None:
    real = load(written(people.table(80), tmp_path / "real.csv"))
    frame = people.table(40, seed=1)
    other = load(written(frame[frame.columns[::-1]], tmp_path / "other.csv"))
    aligned = tables.align(real, other, tmp_path / "other.csv")
    assert list(aligned.table) == list(real.table)
    assert aligned.classes == real.classes


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no label": ({}, {"label": "incme"}, f"{PLACE}label: no column 'incme' in the table; did you mean 'income'?"),
    "no id": ({}, {"id": "nr"}, f"{PLACE}id: no column 'nr' in the table; there are 'n0', 'n1', 'work', 'income'"),
    "ids twice": ({"work": ["a", "b", "a"]}, {"id": "work"}, "P: work: expected one row an id, got 'a' twice"),
    "label missing": (
        {"income": ["low", None, None]},
        {},
        "P: income: 2 values are missing, the first in row 1; fill or remove them",
    ),
    "one class": ({"income": ["low"] * 3}, {}, "P: income: expected two classes or more, got 1: low"),
    "a regression": (
        {"income": [0.5, 1.5, 2.0]},
        {},
        "P: income: expected classes, got numbers such as 0.5; this audits classifiers",
    ),
    "infinite": ({"n1": [1.0, np.inf, 2.0]}, {}, "P: n1: expected finite numbers, got inf in row 1"),
    "who is a member": (
        {"work": ["train", "test", "maybe"]},
        {"published": "work"},
        "P: work: expected train or test, true or false, member or nonmember, got 'maybe'",
    ),
    "no feature": (
        {},
        {"ignored": ["n0", "n1", "work"]},
        f"P: expected columns beside income, got none; name fewer in {PLACE}ignored",
    ),
    "a date": (
        {"work": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])},
        {},
        "P: work: expected numbers or text, got datetime64[us]; convert it, or name it in data.ignored",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(tmp_path: Path, fault: str) -> None:
    columns, changes, message = FAULTS[fault]
    frame = pd.DataFrame(
        {"n0": [1.0, 2, 3], "n1": [1, 2, 3], "work": ["a", "b", "c"], "income": ["low", "high", "low"]}
    )
    path = written(frame.assign(**columns), tmp_path / "people.parquet")
    with pytest.raises(InputError) as raised:
        load(path, **changes)
    assert str(raised.value) == message.replace("P:", f"{path}:")


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people.xlsx").write_text("x")
    with pytest.raises(InputError, match=r"people.xlsx: expected one of .csv, .csv.gz, .*; convert it, or take it out"):
        tables.read(tmp_path / "people.xlsx")
    (tmp_path / "people.csv").write_text("a;b;c\n1;2;3\n")
    with pytest.raises(InputError, match=r"people.csv: expected commas between columns, got the header 'a;b;c'"):
        tables.read(tmp_path / "people.csv")
    (tmp_path / "people.csv").write_bytes(b"a,b\n\xff\xfe,2\n")
    with pytest.raises(InputError, match=r"people.csv: cannot be read \(.*\); write it as UTF-8 CSV"):
        tables.read(tmp_path / "people.csv")
    (tmp_path / "people.csv").write_text("a,b\n")
    with pytest.raises(InputError, match=r"people.csv: expected rows, got none"):
        tables.read(tmp_path / "people.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n1": None}, "without n1"),
        ({"extra": 1.0}, "with extra"),
        ({"n1": "text"}, "n1: expected numbers, as in the population, got text such as 'text'"),
        ({"income": ["new", "low"] * 5}, "expected the classes high, low, got 'new' too"),
    ],
)
def test_generated_records_unlike_the_population_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    real = load(written(people.table(80), tmp_path / "real.csv"))
    frame = people.table(10, seed=1)
    for name, value in change.items():
        frame = frame.drop(columns=name) if value is None else frame.assign(**{name: value})
    other = load(written(frame, tmp_path / "other.csv"))
    with pytest.raises(InputError) as raised:
        tables.align(real, other, tmp_path / "other.csv")
    assert message in str(raised.value)


def test_what_a_table_says_of_itself_is_found() -> None:
    frame = people.table(6).assign(id=range(6), split=["train", "test"] * 3)
    found = tables.settings(frame, "income")
    assert (found.id, found.published, found.split) == ("id", "split", "published")
    assert tables.settings(people.table(6), "income") == settings()
