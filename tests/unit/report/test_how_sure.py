"""What another training leaves open: beside the interval in both tables, and in one line below the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import reports
from mia.evaluation import wording
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
RECORDS = "The 95 % interval is 85 to 94 %, from 240 members and 240 non-members. It holds for this trained model."


def audit(spreads: dict[str, Any], *, of_first: dict[str, Any] | None = None, **drawn: Any) -> Audit:
    """An audit whose attacks and verdict have these spreads; the first attack others, where they are given."""
    made = reports.made(leak=3.0, **drawn)
    attacks = [{**entry, **(of_first or spreads if at == 0 else spreads)} for at, entry in enumerate(made.attacks)]
    limits = {"tpr": 0.9, "tpr_low": 0.85, "tpr_high": 0.94} if "tpr" in made.verdict else {}
    return replace(made, attacks=attacks, verdict={**made.verdict, **spreads, **limits})


def said(made: Audit) -> str:
    return " ".join(" ".join(Parsed(reports.page(made)).text).split())


def test_records_trainings_and_shadows_have_a_line_each() -> None:
    assert headline.how_sure(audit(KNOWN)) == [
        ("Records", RECORDS),
        (
            "Trainings",
            (
                "Another training on the same members moves the number by ± 2.1 points or less (one standard "
                "deviation). 8 shadow models in the target’s place give this estimate; they have other members."
            ),
        ),
        ("Shadow models", "The audit has 4. An attacker with more of them may recognise more."),
    ]
    assert "How sure is this?" in said(audit(KNOWN))


def test_other_records_than_those_under_audit_are_called_that() -> None:
    lines = dict(headline.how_sure(audit(KNOWN | {"plays_of": "attacker"})))
    assert lines["Trainings"].endswith("Their queries are images of the attacker, not of the audit.")


def test_where_it_is_not_known_the_page_says_why() -> None:
    lines = dict(headline.how_sure(audit(NONE)))
    why = "no shadow in the target's place, 4 needed"
    assert lines["Trainings"] == f"How far another training would move the number is not known: stacked has {why}."
    assert f"every attack: no ± over trainings, {why}" in said(audit(NONE))
    assert "loss: no ± over trainings, one shadow in the target's place, 4 needed" in said(audit(KNOWN, of_first=LOST))


def test_without_shadows_that_is_said() -> None:
    made = replace(audit(NONE), shadows={"models": 0})
    lines = dict(headline.how_sure(made))
    assert lines["Shadow models"] == "The audit has none. An attacker with shadow models may recognise more."


def test_where_no_tpr_is_given_it_is_about_the_auc() -> None:
    lines = dict(headline.how_sure(audit(KNOWN, n_member=30, n_nonmember=8)))
    assert "moves the number by ± .012 or less (one" in lines["Trainings"]


def test_an_audit_of_before_has_no_such_line() -> None:
    assert headline.how_sure(reports.made()) == []
    page = said(reports.made())
    assert "How sure is this?" not in page
    assert "±, one standard deviation over trainings" not in page


def test_the_page_has_it_beside_the_interval_of_every_attack() -> None:
    made = audit(KNOWN)
    page = said(made)
    for entry in made.attacks:
        assert f"{wording.fraction(entry, 'auc')} ± .012" in page
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
    assert show.remarks([known, lost], {}) == [f"quantile: no ± over trainings, {why}"]
    assert show.remarks([lost, {**lost, "attack": "loss"}], {}) == [f"no ± over trainings: {why}"]
