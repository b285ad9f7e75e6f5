"""Audits side by side in tables: which parameters differ, and what an audit took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import planted
from mia.history import (
    audit_metrics,
    compare_tables,
)
from mia.history.revisions import Revision


@pytest.fixture
def pair(tmp_path: Path) -> list[Revision]:
    return planted.pair(tmp_path)


def test_parameters_of_other_data_sets_are_left_out_and_those_of_two_data_sets_stand_side_by_side(
    pair: list[Revision],
) -> None:
    digits = replace(pair[0], parameters={**pair[0].parameters, "target.cifake.epochs": 77, "only.here": None})
    assert compare_tables.differing([digits, pair[1]]) == [
        ("target.digits.epochs", ["4", "2"]),
        ("only.here", ["null", "–"]),
    ]
    cifake = replace(pair[1], used=pair[1].used.model_copy(update={"dataset": "cifake"}))
    rows = dict(
        compare_tables.differing([digits, replace(cifake, parameters={**cifake.parameters, "data.dataset": "cifake"})])
    )
    assert rows["target.epochs"] == ["4", "9"]
    assert rows["data.dataset"] == ["digits", "cifake"]


def test_halves_of_an_odd_population_make_a_whole() -> None:
    class Audit:
        used = audit_metrics.Used(
            dataset="d", knowledge="population", epochs=1, views=1, blocks=[1, 2], per_block=3, train_size=9
        )
        data = audit_metrics.Data(population=101, attacker=0, classes=2)

    assert compare_tables.shadow_images(Audit()) == 50 * 3 + 51 * 3  # type: ignore[arg-type]  # shadows 3 to 8
