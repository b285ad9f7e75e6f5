"""What is wrong with a table of answers is said in one line: place, rule, value, next step; and what is warned of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from answer_tables import LABELS, SUFFIXES, P, arrow, read, shadow_table, table, text, write
from mia.data import answers
from mia.errors import InputError

HELP = "docs/answers.md shows the columns"

# What is changed, and what is said after the path; in CSV and in Parquet alike.
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no label": ({"label": None}, f"expected a column label, got id, member, p_0, p_1, p_2; {HELP}"),
    "no id": ({"id": None}, f"expected a column id, got label, member, p_0, p_1, p_2; {HELP}"),
    "no member": ({"member": None}, f"expected a column member, got id, label, p_0, p_1, p_2; {HELP}"),
    "no answers": (
        {"p_0": None, "p_1": None, "p_2": None},
        f"expected answers: p_CLASS, logit_CLASS, loss or predicted, got id, label, member; {HELP}",
    ),
    "two forms": ({"logit_0": 1.0}, "expected answers in one form, got logits and probabilities; leave one of them"),
    "one class": ({"p_1": None, "p_2": None}, f"expected 2 classes or more, got 0 alone; {HELP}"),
    "class twice": ({"p_1.0": 0.1}, "expected one column a class, got several of class 1; leave one"),
    "label": ({"label": ["0", "9", "1", "2"]}, "row 2: label: expected one of 0, 1, 2, got '9'; mend it"),
    "no value": ({"id": ["a", None, "b", "c"]}, "row 2: id: expected a value, got none; fill it in"),
    "id twice": (
        {"id": ["a", "b", "a", "c"], "label": 0, "member": True},
        ("the target: expected one row of each record, got 2 of 'a'; every model must answer about every record of the "
        "target once"),
    ),
    "label of two": (
        {"id": ["a", "b", "c", "a"]},
        "row 4: label: expected '0' as in the first row of this record, got '2'; mend it",
    ),
    "member of two": (
        {"id": ["a", "b", "c", "a"], "label": 0},
        "the target: member: expected the same in every row of a record, got both of 'a'; mend it",
    ),
    "member": ({"member": ["1", "0", "2", "0"]}, "row 3: member: expected true or false, got '2'; mend it"),
    "members alone": (
        {"member": True},
        ("member: an audit needs at least 2 members and 2 non-members, got 4 and 0; add records that the model was not "
        "trained on"),
    ),
    "text": ({"p_1": ["0.2", "high", "0", "0"]}, "row 2: p_1: expected a number, got 'high'; mend it"),
    "comma": (
        {"p_1": ["0,2", "0,5", "0,1", "0,2"]},
        "row 1: p_1: expected a number with a point for the decimals, got '0,2'; mend it",
    ),
    "infinite": ({"p_1": ["0.2", "0.5", "inf", "0"]}, "row 3: p_1: expected a finite number, got inf; mend it"),
    "nan": ({"p_1": ["0.2", "nan", "0.1", "0"]}, "row 2: p_1: expected a finite number, got nan; mend it"),
    "sum": ({"p_1": [0.2, 0.5, 0.5, 0.25]}, "row 3: probabilities: expected a sum of 1, got 1.375; mend it"),
    "scores": (
        {"p_1": [0.2, -3.5, 0.125, 0.25]},
        ("row 2: probabilities: expected numbers from 0 to 1 (scores before the softmax are called logit_CLASS), got "
        "-3.5; mend it"),
    ),
    "percent": (
        {"p_1": [20, 50, 12.5, 25]},
        ("row 1: probabilities: expected numbers from 0 to 1 (scores before the softmax are called logit_CLASS), got "
        "20; mend it"),
    ),
    "view": ({"view": [0, 0.5, 0, 0]}, "row 2: view: expected 0, 1, 2 or so on, got 0.5; mend it"),
    "negative view": ({"view": [0, 0, -1, 0]}, "row 3: view: expected 0, 1, 2 or so on, got -1; mend it"),
    "far view": (
        {"view": [0, 0, 0, 1_000_000]},
        ("view: expected each record in each of 1,000,001 views, got 4 rows of 4 records; number each record's views "
        "0, 1, 2 and so on"),
    ),
    "view left out": (
        {"view": [0, 0, 0, 1]},
        ("the target: expected one row of each record, got 0 of '10' in view 0; every model must answer about every "
        "record of the target once"),
    ),
    "no row": ({"keep": 0}, "expected a row a record, got none"),
    "negative loss": (
        {"p_0": None, "p_1": None, "p_2": None, "loss": [0.1, 0.2, -1.5, 0]},
        "row 3: loss: expected a number of at least 0, got -1.5; mend it",
    ),
    "huge loss": (
        {"p_0": None, "p_1": None, "p_2": None, "loss": [0.1, 0.2, 1.5e300, 0]},
        "row 3: loss: expected numbers of at most 1e+09, got 1.5e+300; mend it",
    ),
    "predicted otherwise": (
        {"p_0": None, "p_1": None, "p_2": None, "predicted": ["cat", "dog", "cat", "cat"]},
        "predicted: expected classes as in label, such as 0, got 'cat'; write both in one way",
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_target_is_one_line(tmp_path: Path, fault: str, suffix: str) -> None:
    changes, expected = FAULTS[fault]
    frame = table(**{name: values for name, values in changes.items() if name != "keep"})
    path = write(tmp_path / f"target.{suffix}", frame.iloc[: changes.get("keep")])
    with pytest.raises(InputError) as caught:
        answers.read_target(path)
    assert str(caught.value) == f"{path}: {expected}"


def test_every_fault_of_a_header_is_told_at_once(tmp_path: Path) -> None:
    path = text(tmp_path / "t.csv", "id,id,loss", "1,1,0.5")
    with pytest.raises(InputError) as caught:
        answers.read_target(path)
    assert str(caught.value).splitlines() == [
        f"{path}: the column id stands twice; leave one",
        f"{path}: expected a column member, got id, id, loss; {HELP}",
        f"{path}: expected a column label, got id, id, loss; {HELP}",
    ]


SHADOW_FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "no model": (
        lambda frame: frame.drop(columns="model"),
        f"expected a column model, got id, label, member, p_0, p_1, p_2; {HELP}",
    ),
    "unknown record": (
        lambda frame: frame.assign(id=[1, 2, 3, 77, *frame["id"][4:]]),
        "row 4: id: expected a record of the target, got '77'; leave it out",
    ),
    "record left out": (
        lambda frame: frame.drop(index=5),
        (
            "shadow b: expected one row of each record, got 0 of '2'; every model must answer about every record of "
            "the target once"
        ),
    ),
    "other classes": (
        lambda frame: frame.rename(columns={"p_2": "p_two"}),
        f"expected the target's classes, got others: 2, two; {HELP}",
    ),
    "other form": (
        lambda frame: frame.drop(columns=list(P)).assign(loss=0.5),
        "expected answers as the target's, posteriors, got loss; write them as the target's",
    ),
    "one side": (
        lambda frame: frame.assign(member=[*frame["member"][:4], *[False] * 4]),
        "shadow b: member: expected members and non-members, got one of the two alone",
    ),
    "other label": (
        lambda frame: frame.assign(label=[*LABELS, 0, 1, 1, 2]),
        "row 7: label: expected '2' as in the first row of this record, got '1'; mend it",
    ),
    "other view": (
        lambda frame: frame.assign(view=[0] * 6 + [1, 0]),
        "row 7: view: expected 0 to 0 as the target's, got 1; leave it out",
    ),
    "no row": (lambda frame: frame.iloc[:0], "expected a row a shadow and record, got none"),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("fault", SHADOW_FAULTS)
def test_a_fault_of_shadows_is_one_line(tmp_path: Path, fault: str, suffix: str) -> None:
    change, expected = SHADOW_FAULTS[fault]
    given = read(tmp_path, table())
    path = write(tmp_path / f"shadows.{suffix}", change(shadow_table("a", "b")))
    with pytest.raises(InputError) as caught:
        answers.read_shadows(path, given)
    assert str(caught.value) == f"{path}: {expected}"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_name_a_row_is_no_shadow(tmp_path: Path, suffix: str) -> None:
    records = 200
    columns = {"id": range(records), "label": 0, "member": np.arange(records) % 2, "p_0": 0.75, "p_1": 0.25}
    given = read(tmp_path, pd.DataFrame(columns))
    path = write(tmp_path / f"s.{suffix}", pd.DataFrame({**columns, "model": np.arange(records)}))
    with pytest.raises(InputError, match="model: expected a row of each of the target's 200 records and each shadow"):
        answers.read_shadows(path, given)


BYTES: dict[str, tuple[str, bytes, str]] = {
    "empty CSV": ("t.csv", b"", "an empty file; write a header and a row a record"),
    "BOM alone": ("t.csv", b"\xef\xbb\xbf\n", "an empty file; write a header and a row a record"),
    "header alone": ("t.csv", b"id,label,member,p_0,p_1\n", "expected a row a record, got none"),
    "semicolons": (
        "t.csv", b"id;label;member;p_0;p_1\n1;0;1;0,5;0,5\n",
        "columns are separated by ; here: write them with commas, and decimals with a point",
    ),
    "tabs": (
        "t.csv", b"id\tlabel\tmember\tloss\n1\t0\t1\t0.5\n",
        "columns are separated by tabs here: write them with commas, and decimals with a point",
    ),
    "another kind": ("t.json", b"{}", "expected a .csv or .parquet file; rename or convert it"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BYTES)
def test_what_is_no_table(tmp_path: Path, fault: str) -> None:
    name, data, expected = BYTES[fault]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as caught:
        answers.read_target(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: {expected}"


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("t.parquet", b"", "Parquet"),
        ("t.parquet", b"id,label\n", "Parquet"),
        ("t.csv", "id,label,member,loss\né,0,1,1\n".encode("latin-1"), "CSV in UTF-8"),
        ("t.csv", "id,label,member,loss\n1,0,1,1\n".encode("utf-16"), "CSV in UTF-8"),
        ("t.csv", b"id,label,member,loss\n1,0,1\n", "CSV in UTF-8"),
    ],
)
def test_what_cannot_be_parsed(tmp_path: Path, name: str, data: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as caught:
        answers.read_target(tmp_path / name)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / name}: not {kind} (")
    assert message.endswith("; write it anew")
    assert "\n" not in message


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        answers.read_target(tmp_path)
    expected = f"{tmp_path}: expected .csv or .parquet files in this folder, found none; {HELP}"
    assert str(caught.value) == expected
    write(tmp_path / "a.csv", table())
    assert len(answers.read_target(tmp_path)) == 4
    write(tmp_path / "b.parquet", table())
    with pytest.raises(InputError) as caught:
        answers.read_target(tmp_path)
    assert str(caught.value) == f"{tmp_path}: expected one file of the target's answers, got 2; leave one"
    with pytest.raises(InputError) as caught:
        answers.read_target(tmp_path / "c.csv")
    assert str(caught.value) == f"{tmp_path / 'c.csv'}: no such file; correct the path"


LISTS: dict[str, tuple[str, Any, str]] = {
    "uneven": ("logits", [[1.0, 2.0], [1.0, 2.0], [1.0], [1.0, 2.0]],
               "row 3: logits: expected 2 numbers as in the first row, got 1; mend it"),
    "missing": ("logits", [[1.0, 2.0], None, [1.0, 3.0], [1.0, 2.0]],
                "row 2: logits: expected a list of numbers, got none; fill it in"),
    "empty": ("logits", pa.array([[]] * 4, pa.list_(pa.float64())),
              "row 1: logits: expected a list of numbers, got an empty one; fill it in"),
    "nan": ("logits", [[1.0, 2.0], [1.0, 2.0], [1.0, float("nan")], [1.0, 2.0]],
            "row 3: logits: expected a finite number, got nan; mend it"),
    "hole": ("logits", [[1.0, 2.0], [1.0, None], [1.0, 1.0], [1.0, 2.0]],
             "row 2: logits: expected a finite number, got nan; mend it"),
    "words": ("logits", [["a", "b"]] * 4, "row 1: logits: expected a number, got 'a'; mend it"),
    "no list": ("logits", [1.0] * 4, "logits: expected a list of numbers a row, got double; or write a column a class"),
    "as text": ("probabilities", ["[.5, .5]"] * 4,
                "probabilities: expected a list of numbers a row, got string; or write a column a class"),
    "deep": ("logits", [[[1.0], [2.0]]] * 4, "row 1: logits: expected a number, got [1.0]; mend it"),
    "id of lists": ("id", [[1], [2], [3], [4]],
                    "id: expected text or whole numbers, got list<element: int64>; convert it"),
    "id nan": ("id", [1.0, 2.0, float("nan"), 4.0], "row 3: id: expected a value, got none; fill it in"),
    "member nested": ("member", [{"a": True}] * 4,
                      "member: expected text or whole numbers, got struct<a: bool>; convert it"),
    "p of times": ("p_0", pa.array([0, 1, 2, 3], pa.timestamp("s")),
                   "row 1: p_0: expected a number, got datetime.datetime(1970, 1, 1, 0, 0); mend it"),
}  # fmt: skip


@pytest.mark.parametrize("fault", LISTS)
def test_a_fault_of_types_that_parquet_alone_has(tmp_path: Path, fault: str) -> None:
    name, values, expected = LISTS[fault]
    with pytest.raises(InputError) as caught:
        arrow(tmp_path, **{name: values if isinstance(values, pa.Array) else pa.array(values)})
    assert str(caught.value) == f"{tmp_path / 'target.parquet'}: {expected}"
