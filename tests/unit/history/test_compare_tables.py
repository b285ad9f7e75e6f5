"""Audits side by side in tables: which parameters differ, and what an audit took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

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
    used = audit_metrics.Used(
        audit="d", knowledge="population", epochs=1, views=1, blocks=[1, 2], per_block=3, train_size=9
    )

    class Audit:
        data = audit_metrics.Data(population=101, attacker=0, classes=2)
        shadows = audit_metrics.Shadows(models=6)

    assert compare_tables.shadow_records(used, Audit()) == 50 * 3 + 51 * 3  # type: ignore[arg-type]  # shadows 3 to 8
    Audit.shadows = audit_metrics.Shadows(models=5)  # trained elsewhere: shadows 0 to 4, whatever a block holds
    assert compare_tables.shadow_records(used, Audit()) == 50 * 3 + 51 * 2  # type: ignore[arg-type]


def test_of_answers_that_were_given_nothing_is_counted(pair: list[Revision], tmp_path: Path) -> None:
    given = planted.answered(tmp_path / "given", "given", "1-generated-4")
    assert compare_tables.costs([given, given], "record") == []
    rows = dict(compare_tables.costs([pair[0], given], "record"))
    assert rows["records through training, target: epochs × members"] == ["480", "–"]
    assert rows["models trained: target and shadows"] == ["4", "–"]
    results = dict(compare_tables.results([pair[0], given], 0.01))
    assert results["attacker.knowledge"] == ["generated", "–"]
    assert results["shadow models"] == ["3", "0"]


def test_a_model_of_a_table_without_epochs_has_no_costs_of_training(pair: list[Revision]) -> None:
    used = pair[0].used
    assert isinstance(used, audit_metrics.Used)
    rows = dict(compare_tables.costs([replace(pair[0], used=used.model_copy(update={"epochs": None}))], "record"))
    assert [name for name in rows if "through training" in name] == []
    assert rows["models trained: target and shadows"] == ["4"]
    with pytest.raises(ValidationError, match=r"expected target\.epochs"):
        audit_metrics.Used.model_validate({**used.model_dump(), "epochs": None})
