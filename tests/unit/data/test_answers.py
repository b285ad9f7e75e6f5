"""A model's answers as a table: every form, and whoever wrote it, reads to the same logits."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from answer_tables import LABELS, MEMBER, PROBABILITIES, SUFFIXES, arrow, read, shadow_table, table, text, write
from mia.data import answers
from mia.data.answers import Answers, Given


def margins(model: Answers, labels: NDArray[Any], view: int = 0) -> NDArray[np.float64]:
    """The label's logit less the log of the sum of the others' exponents, in float64."""
    logits = model.logits[view].astype(np.float64)
    rows = np.arange(len(labels))
    others = np.exp(logits)
    others[rows, labels] = 0
    return np.asarray(logits[rows, labels] - np.log(others.sum(axis=1)))


def assert_usual(read_: Given, labels: Sequence[str] = ("0", "1", "2")) -> None:
    """What was read is the table above."""
    assert read_.names.to_pylist() == ["1", "2", "3", "10"]
    assert read_.classes == tuple(labels)
    assert read_.labels.tolist() == LABELS.tolist()
    assert read_.answers.is_member.tolist() == MEMBER.tolist()
    assert read_.holds == "posteriors"
    truth = PROBABILITIES[np.arange(4), LABELS]
    np.testing.assert_allclose(margins(read_.answers, LABELS), np.log(truth) - np.log1p(-truth), atol=1e-6)


# -- forms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_probabilities_and_logits_in_a_column_a_class(tmp_path: Path, suffix: str) -> None:
    assert_usual(read(tmp_path, table(), suffix))
    shifted = np.log(PROBABILITIES) + np.arange(4)[:, None]  # a logit is known up to a number a row
    assert_usual(read(tmp_path, table({f"logit_{name}": shifted[:, name] for name in range(3)}), suffix))


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float64(), 3)])
def test_probabilities_and_logits_as_lists(tmp_path: Path, kind: pa.DataType) -> None:
    assert_usual(arrow(tmp_path, probabilities=pa.array(PROBABILITIES.tolist(), kind)))
    assert_usual(arrow(tmp_path, logits=pa.array(np.log(PROBABILITIES).tolist(), kind)))


def test_lists_of_half_floats(tmp_path: Path) -> None:
    logits = np.array([[3, 0, -1], [0, 2, 0], [0.5, 0, 4], [2, 0, 0]], np.float16)
    half = arrow(tmp_path, logits=pa.array(list(logits), pa.list_(pa.float16())))
    np.testing.assert_array_equal(half.answers.logits[0], logits.astype(np.float32))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_loss_is_its_margin(tmp_path: Path, suffix: str) -> None:
    losses = np.array([1e-4, 0.3, 2.5, 40.0])
    given = read(tmp_path, table({"loss": losses}), suffix)
    assert given.holds == "loss"
    np.testing.assert_allclose(margins(given.answers, LABELS), -np.log(np.expm1(losses)), rtol=1e-6)


def test_a_loss_of_zero_is_finite_and_the_largest(tmp_path: Path) -> None:
    given = read(tmp_path, table({"loss": [0, 1e-12, 0.3, 900.0]}))
    found = margins(given.answers, LABELS)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_predicted_class_says_whether_the_model_is_right(tmp_path: Path, suffix: str) -> None:
    given = read(tmp_path, table({"predicted": [0, 2, 2, 7]}), suffix)
    assert (given.holds, given.classes) == ("predicted", ("0", "1", "2", "7"))
    assert given.answers.logits[0].argmax(axis=1).tolist() == [0, 2, 2, 3]


def test_a_class_that_a_shadow_alone_predicts_is_wrong(tmp_path: Path) -> None:
    given = read(tmp_path, table({"predicted": [0, 1, 2, 1]}))
    frame = table({"predicted": ["9", "1", "2", "2"]}, model="a")
    (shadow,) = answers.read_shadows(write(tmp_path / "shadows.csv", frame), given).values()
    assert (shadow.logits[0].argmax(axis=1) == LABELS).tolist() == [False, True, True, True]


def test_a_zero_is_half_of_the_smallest_probability_in_the_file(tmp_path: Path) -> None:
    columns = {f"p_{name}": values for name, values in enumerate(np.array([[1, 0, 0], [0.9, 0.08, 0.02]] * 2).T)}
    given = read(tmp_path, table(columns))
    assert given.floor == 0.01
    np.testing.assert_allclose(given.answers.logits[0, 0], np.log([1, 0.01, 0.01]), rtol=1e-6)


# -- who wrote it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "member",
    [[1, 1, 0, 0], [1.0, 1.0, 0.0, 0.0], ["yes", "Yes", "no", "NO"], ["TRUE", "true", "FALSE", "False"], list("TtfF")],
)
def test_every_way_to_write_who_is_a_member(tmp_path: Path, suffix: str, member: list[Any]) -> None:
    assert_usual(read(tmp_path, table(member=member), suffix))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_whole_numbers_that_became_floats(tmp_path: Path, suffix: str) -> None:
    """As in pandas, where a value is missing or was so once."""
    floats = table(id=np.array([1.0, 2, 3, 10]), label=LABELS.astype(float))
    assert_usual(read(tmp_path, floats, suffix))
    assert_usual(read(tmp_path, floats.rename(columns={f"p_{k}": f"p_{k}.0" for k in range(3)}), suffix))


def test_classes_with_names_stand_in_one_order_whatever_the_columns(tmp_path: Path) -> None:
    names = ["cat", "dog", "owl"]
    columns = {f"p_{names[k]}": PROBABILITIES[:, k] for k in (2, 0, 1)}
    assert_usual(read(tmp_path, table(columns, label=[names[label] for label in LABELS])), names)


def test_numbered_classes_stand_in_the_order_of_numbers(tmp_path: Path) -> None:
    columns = {f"p_{name}": np.full(4, 1 / 11) for name in range(11)}
    assert read(tmp_path, table(columns)).classes == tuple(map(str, range(11)))


def test_types_of_arrow(tmp_path: Path) -> None:
    usual = pa.array(["1", "2", "3", "10"])
    assert_usual(arrow(tmp_path, id=usual.dictionary_encode(), label=pa.array(LABELS).dictionary_encode()))
    assert_usual(arrow(tmp_path, id=usual.cast(pa.large_string()), label=pa.array(LABELS, pa.uint8())))
    assert_usual(arrow(tmp_path, id=usual.cast(pa.binary()), member=pa.array(["yes", "yes", "no", "no"])))
    assert_usual(arrow(tmp_path, p_1=pa.array(["0.2", "0.5", "0.125", "0.25"])))
    assert_usual(arrow(tmp_path, id=pa.array([1, 2, 3, 10], pa.float16()), label=pa.array(LABELS, pa.float32())))


def test_polars_writes_it(tmp_path: Path) -> None:
    frame = pl.from_pandas(table(member=["true", "true", "false", "false"]))
    frame = frame.with_columns(pl.col("member").cast(pl.Categorical))
    frame.write_parquet(tmp_path / "target.parquet")
    frame.write_csv(tmp_path / "target.csv")
    for suffix in SUFFIXES:
        assert_usual(answers.read_target(tmp_path / f"target.{suffix}"))


ROWS = ("1,0,TRUE,.7,.2,.1", "2,1,TRUE,.25,.5,.25", "3,2,FALSE,.125,.125,.75", "10,2,FALSE,.5,.25,.25")


def test_r_writes_it(tmp_path: Path) -> None:
    """write.csv: quotes around text, TRUE and FALSE, the row's name first, without a name of its own."""
    rows = [f'"{number}",{row}' for number, row in enumerate(ROWS, 1)]
    assert_usual(answers.read_target(text(tmp_path / "t.csv", '"","id","label","member","p_0","p_1","p_2"', *rows)))


@pytest.mark.parametrize("encode", [lambda t: b"\xef\xbb\xbf" + t, lambda t: t.replace(b"\n", b"\r\n"),
                                    lambda t: t.replace(b",", b", "), lambda t: t + b"\n\n"])  # fmt: skip
def test_csv_of_a_spreadsheet(tmp_path: Path, encode: Callable[[bytes], bytes]) -> None:
    path = text(tmp_path / "t.CSV", "id,label,member,p_0,p_1,p_2", *ROWS)
    path.write_bytes(encode(path.read_bytes()))
    assert_usual(answers.read_target(path))


def test_text_with_commas_and_quotes(tmp_path: Path) -> None:
    names = ['a "b", c', "d,e", "naïve", "x"]
    frame = table(id=names)
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(frame.columns), *frame.values.tolist()])
    assert sorted(answers.read_target(tmp_path / "t.csv").names.to_pylist()) == sorted(names)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_views_are_kept_apart(tmp_path: Path, suffix: str) -> None:
    other = table({f"p_{k}": PROBABILITIES[:, (k + 1) % 3] for k in range(3)}, view=1)
    given = read(tmp_path, pd.concat([other, table(view=0)]), suffix)
    assert given.answers.logits.shape == (2, 4, 3)
    np.testing.assert_allclose(given.answers.logits[0], np.log(PROBABILITIES), rtol=1e-6)
    np.testing.assert_allclose(given.answers.logits[1], np.log(np.roll(PROBABILITIES, -1, axis=1)), rtol=1e-6)


# -- shadows -------------------------------------------------------------------------------------------------------


def test_shadows_in_one_file_or_many_with_classes_in_any_order(tmp_path: Path) -> None:
    given = read(tmp_path, table())
    many = shadow_table("s2", "s10", "s1")
    whole = answers.read_shadows(write(tmp_path / "shadows.parquet", many), given)
    assert list(whole) == ["s1", "s10", "s2"]
    folder = tmp_path / "cut"
    folder.mkdir()
    write(folder / "a.csv", many.iloc[:5][["p_2", "model", "p_0", "id", "member", "p_1"]])
    write(folder / "b.parquet", many.iloc[5:])
    (folder / "notes.txt").write_text("not read")
    cut = answers.read_shadows(folder, given)
    for name, shadow in whole.items():
        np.testing.assert_allclose(cut[name].logits, shadow.logits, rtol=1e-6)
        assert (cut[name].is_member == shadow.is_member).all()
    assert whole["s2"].is_member.tolist() == np.roll(MEMBER, 1).tolist()
    np.testing.assert_array_equal(whole["s2"].logits, given.answers.logits)


def test_shadows_on_two_halves_stand_beside_each_other(tmp_path: Path) -> None:
    sides = {"a": [1, 1, 0, 0], "b": [1, 0, 1, 0], "c": [0, 0, 1, 1], "d": [0, 1, 0, 1]}
    frames = [table(model=name, member=member) for name, member in sides.items()]
    target = read(tmp_path, table())
    assert list(answers.read_shadows(write(tmp_path / "s.csv", pd.concat(frames)), target)) == ["a", "c", "b", "d"]
    assert list(answers.read_shadows(write(tmp_path / "s.csv", pd.concat(frames[:3])), target)) == ["a", "b", "c"]


def test_shadows_named_by_numbers_stand_in_their_order(tmp_path: Path) -> None:
    frame = pd.concat([table(model=number) for number in (10, 9, 1)])
    assert list(answers.read_shadows(write(tmp_path / "s.parquet", frame), read(tmp_path, table()))) == ["1", "9", "10"]
