"""What another training leaves open: beside the interval in both tables, and in one line below the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import reports
from mia.report import show, text_table
from mia.report.audit import headline
from mia.report.audit.measured import Audit
from parsed_page import Parsed

KNOWN = {"auc_spread": 0.0123, "tpr_spread": 0.0214, "plays": 8, "plays_of": "population"}
NONE = {
    "auc_spread": None,
    "tpr_spread": None,
    "plays": 0,
    "spread_missing": "no shadow in the target's place, 4 needed",
}
LOST = NONE | {"plays": 1, "spread_missing": "one shadow in the target's place, 4 needed"}
RECORDS = "Records: 85 to 94 % is the 95 % interval over images (240 members, 240 non-members), with this one trained "


def audit(spreads: dict[str, Any], *, of_first: dict[str, Any] | None = None, **drawn: Any) -> Audit:
    """An audit whose attacks and verdict have these spreads; the first attack others, where they are given."""
    made = reports.made(leak=3.0, **drawn)
    attacks = [{**entry, **(of_first or spreads if at == 0 else spreads)} for at, entry in enumerate(made.attacks)]
    limits = {"tpr": 0.9, "tpr_low": 0.85, "tpr_high": 0.94} if "tpr" in made.verdict else {}
    return replace(made, attacks=attacks, verdict={**made.verdict, **spreads, **limits})


def said(made: Audit) -> str:
    return " ".join(" ".join(Parsed(reports.page(made)).text).split())


def test_one_line_says_records_trainings_and_shadows() -> None:
    assert headline.how_sure(audit(KNOWN)) == (
        RECORDS + "model. Trainings: another training on the same members would move it by ± 2.1 points or less, one "
        "standard deviation, estimated from 8 shadow models in the target’s place, which have other members. "
        "Shadows: 4, taken as they are; with more of them, or others, an attack may recognise more."
    )
    assert "How sure is this?" in said(audit(KNOWN))


def test_other_records_than_those_under_audit_are_called_that() -> None:
    line = headline.how_sure(audit(KNOWN | {"plays_of": "attacker"}))
    assert line is not None
    assert "members and are asked about images of the attacker’s own, another kind than these. Shadows" in line


def test_where_it_is_not_known_the_page_says_why() -> None:
    line = headline.how_sure(audit(NONE))
    assert line is not None
    why = "no shadow in the target's place, 4 needed"
    assert f"Trainings: how far another training would move it is not known ({why})." in line
    assert f"no ± over trainings, {why}: every attack" in said(audit(NONE))
    assert "no ± over trainings, one shadow in the target's place, 4 needed: loss" in said(audit(KNOWN, of_first=LOST))


def test_without_shadows_that_is_said() -> None:
    made = replace(audit(NONE), shadows={"models": 0})
    line = headline.how_sure(made)
    assert line is not None
    assert line.endswith("Shadows: there are none; whoever has some may recognise more.")


def test_where_no_tpr_is_given_it_is_about_the_auc() -> None:
    line = headline.how_sure(audit(KNOWN, n_member=30, n_nonmember=8))
    assert line is not None
    assert "would move it by ± 0.012 or less, one" in line


def test_an_audit_of_before_has_no_such_line() -> None:
    assert headline.how_sure(reports.made()) is None
    page = said(reports.made())
    assert "How sure is this?" not in page
    assert "±, one standard deviation over trainings" not in page


def test_the_page_has_it_beside_the_interval_of_every_attack() -> None:
    made = audit(KNOWN)
    page = said(made)
    for entry in made.attacks:
        assert f"{entry['auc']:.3f} ({entry['auc_low']:.3f} to {entry['auc_high']:.3f}) ± 0.012" in page
    assert ") ± 2.1" in page


ENTRY = {"auc": 0.787, "auc_low": 0.782, "auc_high": 0.793}


@pytest.mark.parametrize(
    ("spread", "text"), [({"auc_spread": 0.0142}, " ± .014"), ({"auc_spread": None}, ""), ({}, "")]
)
def test_the_text_table_has_it_beside_the_interval(spread: dict[str, Any], text: str) -> None:
    assert text_table.interval(ENTRY | spread, "auc", 3) == f".787 (.782–.793){text}"


def test_the_terminal_says_what_it_is_and_where_it_is_not_known() -> None:
    known, lost = ({"attack": name, **spread} for name, spread in (("loss", KNOWN), ("quantile", LOST)))
    assert show.intervals([known, lost]) == "95 % intervals over records; ± standard deviation over trainings"
    assert show.intervals([lost, {"attack": "loss"}]) == "95 % intervals over records"
    why = "one shadow in the target's place, 4 needed"
    assert show.remarks([known, lost], {}) == [f"no ± over trainings, {why}: quantile"]
    assert show.remarks([lost, {**lost, "attack": "loss"}], {}) == [f"no ± over trainings: {why}"]
