"""What is odd about a table of answers is warned of, in one line each; what can be audited is audited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from answer_tables import SUFFIXES, read, shadow_table, table, write
from mia.data import answers, answers_covered
from mia.data.answers import Answers, Given


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_warnings(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, table(), suffix)
    assert capsys.readouterr().err == ""
    read(
        tmp_path, table(p_0=[1, 0.5, 0.125, 0.5], p_1=[0, 0.25, 0.125, 0.25], p_2=[0, 0.25, 0.75, 0.25], note=1), suffix
    )
    place = tmp_path / f"target.{suffix}"
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {place}: columns that are not read: note",
        (
            f"warning: {place}: 25 % of the records have a probability written as 1: attacks rank them by what is "
            "left; write more digits, or logits"
        ),
    ]


def many(records: int, **changes: Any) -> pd.DataFrame:
    """Records of two classes with probabilities of many digits, every other one a member."""
    p = np.random.default_rng(0).uniform(0.2, 0.8, records)
    columns = {"id": np.arange(records), "label": np.arange(records) % 2, "member": np.arange(records) // 2 % 2 == 0}
    return pd.DataFrame({**columns, "p_0": p, "p_1": 1 - p}).assign(**changes)


def warned(capsys: pytest.CaptureFixture[str], path: Path) -> list[str]:
    return [line.removeprefix(f"warning: {path}: ") for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rounded_probabilities_are_warned_of(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / f"target.{suffix}"
    p = many(200)["p_0"].round(2)
    read(tmp_path, many(200, p_0=p, p_1=1 - p), suffix)
    line = (
        "every probability is a multiple of 0.01, of 200 records: many tie, and attacks cannot rank them; write more "
    )
    assert warned(capsys, place) == [f"{line}digits, or logits"]
    read(tmp_path, many(90, p_0=p, p_1=1 - p).dropna(), suffix)  # fewer records than values
    read(tmp_path, many(200), suffix)
    assert warned(capsys, place) == []


def test_equal_records_on_both_sides_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = many(200)
    frame.loc[[2, 6], ["p_0", "p_1"]] = frame.loc[[0, 4], ["p_0", "p_1"]].to_numpy()
    read(tmp_path, frame)
    line = "2 members have the very answers of a non-member: equal records on both sides hide a leak; "
    assert warned(capsys, tmp_path / "target.parquet") == [f"{line}leave out one of each"]


def test_a_person_on_both_sides_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, many(200, person=np.arange(200) // 3))
    line = "person: 66 of 67 have members and non-members: what the model learned of a person shows in both, and hides "
    assert warned(capsys, tmp_path / "target.parquet") == [f"{line}a leak; keep a person's records on one side"]
    frame = many(200)
    read(tmp_path, frame.assign(person=["in" if member else "out" for member in frame["member"]]))
    assert warned(capsys, tmp_path / "target.parquet") == []


def test_shadows_unlike_the_target_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = read(tmp_path, many(200))
    frame = many(200)
    right = np.where(frame["label"] == 0, 0.9, 0.1) + np.linspace(0, 0.05, 200)
    better = many(200, p_0=right, p_1=1 - right, model="a", member=np.arange(200) % 4 == 0)
    place = write(tmp_path / "s.csv", better)
    answers.read_shadows(place, target)
    accuracy = (many(200)["p_0"].gt(0.5) == (frame["label"] == 0))[~frame["member"]].mean()
    assert warned(capsys, place) == [
        (
            "shadows were trained on 50 records (median), the target on 100: what they know of a record is not what "
            "the target does; train shadows on as many"
        ),
        (
            f"shadows are right on 100.0 % of their non-members (median), the target on {100 * accuracy:.1f} %: they "
            "were trained otherwise; train shadows as the target was"
        ),
    ]
    answers.read_shadows(write(place, many(200, model="a", member=frame["member"].to_numpy()[::-1])), target)
    assert warned(capsys, place) == []


def covered(tmp_path: Path, target: pd.DataFrame, shadows: pd.DataFrame) -> tuple[Given, dict[str, Answers], int]:
    given, place = read(tmp_path, target), write(tmp_path / "s.csv", shadows)
    return answers_covered.covered(place, given, answers.read_shadows(place, given))


def test_many_records_without_a_shadow_on_either_side_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, _, without = covered(tmp_path, table(), table(model="a", member=[1, 1, 1, 0]))
    assert (
        "of 4 records, no shadow was trained on 1, and every shadow on 3: attacks that compare with shadows are "
        "left out; train more, each pair on two halves" in warned(capsys, tmp_path / "s.csv")
    )
    assert (len(given), given.left_out, without) == (4, 0, 4)
    given, _, without = covered(tmp_path, table(), shadow_table("a", "b", "c"))
    assert warned(capsys, tmp_path / "s.csv") == []
    assert (len(given), given.left_out, without) == (4, 0, 0)


def test_few_records_without_a_shadow_on_either_side_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of four shadows on halves: the first record in none of them, the last two in each."""
    half = np.arange(200) % 2 == 0
    sides = [half, ~half, np.roll(half, 1), half]
    for side in sides:
        side[[0, 198, 199]] = False, True, True
    frames = [many(200, model=f"m{at}", member=side) for at, side in enumerate(sides)]
    given, shadows, without = covered(tmp_path, many(200), pd.concat(frames))
    line = "of 200 records, 3 are left out of the audit, 1 members among them: no shadow was trained on 1, and every "
    assert warned(capsys, tmp_path / "s.csv") == [f"{line}shadow on 2; train more to keep them"]
    assert (len(given), given.left_out, without) == (197, 3, 3)
    assert given.names.to_pylist() == [str(name) for name in range(1, 198)]
    whole = read(tmp_path, many(200))
    np.testing.assert_array_equal(given.answers.logits, whole.answers.logits[:, 1:198])
    np.testing.assert_array_equal(given.labels, whole.labels[1:198])
    expected = sorted(side[1:198].tolist() for side in sides)
    assert sorted(model.is_member.tolist() for model in shadows.values()) == expected
