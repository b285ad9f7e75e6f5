"""How a table of answers is written changes nothing in what is read, and no table ends in a traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from answer_tables import shadow_table, table, write
from mia.data import answers
from mia.data.answers import Answers, Given
from mia.errors import InputError

NAMES = ("a", "b", "c")


def assert_same(model: Answers, other: Answers) -> None:
    np.testing.assert_array_equal(model.logits, other.logits)
    np.testing.assert_array_equal(model.is_member, other.is_member)


def shuffled(frame: pd.DataFrame, draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.permutations(range(len(frame))))
    return frame.iloc[rows][draw(st.permutations(list(frame.columns)))]


@st.composite
def ways(draw: st.DrawFn) -> tuple[pd.DataFrame, str, list[tuple[str, pd.DataFrame]]]:
    """The same answers, written in another way: the target with its suffix, and the files of shadows."""
    suffixes = st.sampled_from(["csv", "parquet"])
    target, shadows = shuffled(table(), draw), shuffled(shadow_table(*NAMES), draw)
    cuts = sorted(draw(st.sets(st.integers(1, len(shadows) - 1), max_size=4)))
    parts = [shadows.iloc[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(shadows)], strict=True)]
    return target, draw(suffixes), [(f"{number}.{draw(suffixes)}", part) for number, part in enumerate(parts)]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Given, dict[str, Answers]]:
    folder = tmp_path_factory.mktemp("usual")
    target = answers.read_target(write(folder / "t.parquet", table()))
    return target, answers.read_shadows(write(folder / "s.parquet", shadow_table(*NAMES)), target)


@hypothesis.settings(max_examples=25)
@hypothesis.given(way=ways())
def test_order_and_format_and_how_shadows_are_cut_change_nothing(
    usual: tuple[Given, dict[str, Answers]],
    tmp_path_factory: pytest.TempPathFactory,
    way: tuple[pd.DataFrame, str, list[tuple[str, pd.DataFrame]]],
) -> None:
    frame, suffix, parts = way
    folder = tmp_path_factory.mktemp("way")
    target = answers.read_target(write(folder / f"t.{suffix}", frame))
    (folder / "shadows").mkdir()
    for name, part in parts:
        write(folder / "shadows" / name, part)
    shadows = answers.read_shadows(folder / "shadows", target)
    shutil.rmtree(folder)
    assert target.names.equals(usual[0].names)
    assert target.labels.tolist() == usual[0].labels.tolist()
    assert (target.classes, target.floor) == (usual[0].classes, usual[0].floor)
    assert_same(target.answers, usual[0].answers)
    assert list(shadows) == list(usual[1])
    for name, shadow in shadows.items():
        assert_same(shadow, usual[1][name])


def test_batches_of_a_file_change_nothing(
    usual: tuple[Given, dict[str, Answers]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of Parquet, three rows at a time; rows of all models beside each other."""
    monkeypatch.setattr("mia.data.answers_file.ROWS", 3)
    target = answers.read_target(write(tmp_path / "t.parquet", table()))
    frame = shadow_table(*NAMES).sort_values("id")
    shadows = answers.read_shadows(write(tmp_path / "s.parquet", frame), target)
    assert_same(target.answers, usual[0].answers)
    for name, shadow in shadows.items():
        assert_same(shadow, usual[1][name])


# -- mutations -----------------------------------------------------------------------------------------------------

Mutation = Callable[[np.random.Generator, Path], Path]
VALUES: list[Any] = [
    *(None, float("nan"), float("inf"), -float("inf"), -1, 0, 1, 2, 1e300, -1e-300, 2**63 - 1, -(2**63), True, ""),
    *(" ", "0,5", "1e5", "0x1F", "NaN", "NA", "true", "é", "\u202e", "\x00", "a\nb", '"', "';", "9" * 5000, "🦉"),
    *(b"\xff\xfe", [1.0], [], [None], [[1.0]], {"a": 1}, {"a": [1, {"b": 2}]}, pd.Timestamp("2020-01-01")),
    *(pd.Timedelta(1), np.float16(0.5), np.uint64(2**64 - 1)),
]
TYPES: list[pa.DataType] = [
    *(pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.string(), pa.large_string(), pa.binary(), pa.bool_()),
    *(pa.null(), pa.date32(), pa.timestamp("ns"), pa.duration("s"), pa.decimal128(20, 4), pa.string_view()),
    *(pa.list_(pa.float64()), pa.list_(pa.string(), 2), pa.large_list(pa.float16()), pa.struct([("a", pa.int8())])),
    *(pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int8(), pa.float64()), pa.map_(pa.string(), pa.int8())),
    *(pa.list_(pa.list_(pa.float64())), pa.time32("s"), pa.fixed_shape_tensor(pa.float32(), [2]), pa.uuid()),
]


def stored(path: Path, data: pa.Table) -> Path:
    pq.write_table(data, path, compression="none")
    return path


def base(rng: np.random.Generator) -> pd.DataFrame:
    """The usual table, its answers in one form or another."""
    forms: list[dict[str, Any] | None] = [None, {"loss": [0.1, 0.2, 3.0, 0.4]}, {"predicted": [0, 1, 1, 2]}]
    return table(forms[rng.integers(3)])


def with_value(folder: Path, frame: pd.DataFrame, name: str, values: list[Any]) -> Path:
    """A column's values others, as Parquet where it can hold these and as CSV where not."""
    columns = {other: pa.array(frame[other]) for other in frame.columns if other != name}
    try:
        return stored(folder / "t.parquet", pa.table({**columns, name: pa.array(values)}))
    except (pa.ArrowException, TypeError, OverflowError):
        return write(folder / "t.csv", frame.assign(**{name: pd.Series(values, frame.index, dtype=object)}))


def some_value(rng: np.random.Generator, folder: Path) -> Path:
    """A value among others of its column, or all of the column."""
    frame = base(rng)
    name, value = str(rng.choice(frame.columns)), VALUES[rng.integers(len(VALUES))]
    return with_value(
        folder, frame, name, [value] * 4 if rng.integers(2) else [*frame[name][:2], value, frame[name][3]]
    )


def some_type(rng: np.random.Generator, folder: Path) -> Path:
    """A column of another type, its values as they were where they fit and missing where not."""
    frame = base(rng)
    name, kind = rng.choice(frame.columns), TYPES[rng.integers(len(TYPES))]
    try:
        column = pa.array(frame[name]).cast(kind)
    except pa.ArrowException:
        column = pa.nulls(4, kind)
    columns = {other: pa.array(frame[other]) for other in frame.columns if other != name}
    try:
        return stored(folder / "t.parquet", pa.table({**columns, name: column}))
    except pa.ArrowException:  # Parquet has no such type
        return write(folder / "t.parquet", frame.assign(**{name: None}))


def some_bytes(rng: np.random.Generator, folder: Path) -> Path:
    """A few bytes others, in CSV or Parquet."""
    path = write(folder / f"t.{rng.choice(['csv', 'parquet'])}", base(rng))
    data = bytearray(path.read_bytes())
    for place in rng.integers(0, len(data), rng.integers(1, 8)):
        data[place] = rng.integers(256)
    path.write_bytes(data)
    return path


def cut_off(rng: np.random.Generator, folder: Path) -> Path:
    path = write(folder / f"t.{rng.choice(['csv', 'parquet'])}", base(rng))
    data = path.read_bytes()
    path.write_bytes(data[: rng.integers(len(data))])
    return path


def encoded(rng: np.random.Generator, folder: Path) -> Path:
    path = write(folder / "t.csv", base(rng).assign(id=["é", "ü", "ß", "ö"]))
    encoding = rng.choice(["latin-1", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp1252", "utf-7"])
    path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
    return path


def written(rng: np.random.Generator, folder: Path) -> Path:
    """Another separator, decimal commas, quotes, ends of lines."""
    ends = ["\n", "\r\n", "\r", "\n\n"]
    separator, decimal, end = rng.choice([",", ";", "\t", "|"]), rng.choice([".", ","]), ends[rng.integers(4)]
    path = folder / "t.csv"
    quoting = int(rng.integers(4)) if separator != decimal else 1
    base(rng).to_csv(path, sep=separator, decimal=decimal, lineterminator=end, index=False, quoting=quoting)  # type: ignore[call-overload]
    return path


def rows(rng: np.random.Generator, folder: Path) -> Path:
    """Rows twice, left out, or none."""
    frame = base(rng)
    return write(folder / "t.parquet", frame.iloc[rng.integers(0, 4, rng.integers(0, 9))])


def columns(rng: np.random.Generator, folder: Path) -> Path:
    """Columns left out, twice, or with other names."""
    frame = base(rng)
    chosen = list(rng.choice(frame.columns, rng.integers(0, 9)))
    names = [str(rng.choice([name, name, name.upper(), f" {name} ", f"p_{name}", "p_", ""])) for name in chosen]
    return stored(folder / "t.parquet", pa.Table.from_arrays([pa.array(frame[name]) for name in chosen], names))


def no_file(rng: np.random.Generator, folder: Path) -> Path:
    """A folder, an empty file, another kind of file, a link to nothing."""
    path = folder / str(rng.choice(["t.csv", "t.parquet", "t.xlsx", "t"]))
    kind = rng.integers(4)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        path.touch()
    elif kind == 2:
        path.symlink_to(folder / "nothing")
    else:
        path.write_bytes(rng.bytes(300))
    return path


MUTATIONS: list[Mutation] = [some_value, some_type, some_bytes, cut_off, encoded, written, rows, columns, no_file]


def outcome(read: Callable[[], Any]) -> Any:
    """What reading gives, or the error."""
    try:
        return read()
    except InputError as error:
        return error


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_no_table_ends_in_a_traceback(mutation: Mutation, tmp_path: Path) -> None:
    for seed in range(60):
        place = tmp_path / str(seed)
        place.mkdir()
        path = mutation(np.random.default_rng(seed), place)
        target = outcome(lambda path=path: answers.read_target(path))  # type: ignore[misc]
        if isinstance(target, InputError):
            for line in str(target).splitlines():
                assert line.startswith(f"{path}: "), line
                assert len(line) < len(str(path)) + 600
        else:
            assert np.isfinite(target.answers.logits).all()
            assert (target.answers.times == 1).all()
            assert len(target) >= 4
            assert 0 <= target.labels.min() <= target.labels.max() < len(target.classes)


@pytest.mark.parametrize("name", shadow_table("a").columns)
def test_no_table_of_shadows_ends_in_a_traceback(name: str, tmp_path: Path) -> None:
    target = answers.read_target(write(tmp_path / "target.parquet", table()))
    frame = shadow_table(*NAMES)
    for value in VALUES:
        path = with_value(tmp_path, frame, name, [*frame[name][:5], value, *frame[name][6:]])
        shadows = outcome(lambda path=path: answers.read_shadows(path, target))  # type: ignore[misc]
        if isinstance(shadows, InputError):
            assert str(shadows).startswith(f"{path}: ")
        else:
            assert all((shadow.times == 1).all() and np.isfinite(shadow.logits).all() for shadow in shadows.values())
