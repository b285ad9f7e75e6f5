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


def test_the_parameters_that_differ_stand_side_by_side(
    pair: list[Revision],
) -> None:
    digits = replace(pair[0], parameters={**pair[0].parameters, "target.epochs": 77, "only.here": None})
    assert compare_tables.differing([digits, pair[1]]) == [
        ("target.epochs", ["77", "2"]),
        ("only.here", ["null", "–"]),
    ]
    cifake = replace(pair[1], parameters={**pair[1].parameters, "audit": "cifake"})
    assert ("audit", ["digits", "cifake"]) in compare_tables.differing([digits, cifake])


def test_halves_of_an_odd_population_make_a_whole() -> None:
    class Audit:
        used = audit_metrics.Used(
            audit="d", knowledge="population", epochs=1, views=1, blocks=[1, 2], per_block=3, train_size=9
        )
        data = audit_metrics.Data(population=101, attacker=0, classes=2)

    assert compare_tables.shadow_images(Audit()) == 50 * 3 + 51 * 3  # type: ignore[arg-type]  # shadows 3 to 8
