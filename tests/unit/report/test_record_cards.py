"""Exposed records of a table are cards of their columns: escaped, cut, and left out of what is published."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import planted
import reports
from mia.history import publish
from mia.report.audit import exposed
from mia.report.audit.measured import Audit
from parsed_page import Parsed

FOREST = {"estimator": "random_forest", "settings": {}}
SECRET = "Stage 4, 1987-03-02"


def patients(columns: int = 9) -> pd.DataFrame:
    """Rows of numbers, a missing number, texts, a missing text."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"n{at}": rng.normal(size=12) for at in range(columns - 3)})
    frame.insert(0, "age", np.arange(12.0) + 1_234_560)
    frame.insert(1, "bilirubin", np.where(np.arange(12) % 2, np.nan, 0.000123456))
    frame.insert(2, "diagnosis", pd.Series([SECRET, None] * 6, dtype=object))
    return frame


def page(audit: Audit) -> str:
    return reports.table_page(audit, FOREST)


def test_a_card_has_the_first_columns_and_counts_the_others() -> None:
    frame = patients()
    assert exposed.columns(frame.iloc[0]) == {
        "shown": [
            ("age", "1234560"),
            ("bilirubin", "0.000123456"),
            ("diagnosis", SECRET),
            *((f"n{at}", f"{frame[f'n{at}'][0]:.6g}") for at in range(3)),
        ],
        "more": 3,
    }
    assert exposed.columns(frame.iloc[1])["shown"][1:3] == [("bilirubin", "–"), ("diagnosis", "–")]
    assert exposed.columns(frame[["age"]].iloc[0]) == {"shown": [("age", "1234560")], "more": 0}
    ((name, value),) = exposed.columns(pd.Series({"c" * 99: "v" * 99}))["shown"]
    assert (len(name), len(value)) == (exposed.LONGEST, exposed.LONGEST)
    assert value.endswith("v…")


def test_the_cards_of_the_most_exposed_hold_their_own_rows() -> None:
    audit = reports.tabled(patients())
    attack = audit.verdict["tpr_attack"]
    members = audit.exposure[audit.exposure["is_member"]].sort_values(f"{attack}_rank")
    text = planted.text_of(page(audit))
    assert audit.table is not None
    for record in members.head(6).to_dict("records"):
        assert f"{record['name']} class {record['class']} rank {record[f'{attack}_rank']} " in text
    first = audit.table.iloc[members["sample_id"].iloc[0]]
    card = text.partition("Members most exposed")[2].partition("more columns")[0]
    assert f"age {first['age']:.0f} bilirubin " in card
    assert card.endswith(f"n2 {first['n2']:.6g} and 3 ")
    assert text.count("and 3 more columns") == 12  # six at either end


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_a_page_of_few_records_has_no_empty_list(rows: int) -> None:
    drawn = page(reports.tabled(patients(), n_member=rows, n_nonmember=300))
    assert not re.search(r"<(ul|dl|div|h3)\b[^>]*>\s*</\1>", drawn)
    assert not re.search(r"<h3>[^<]*</h3>\s*(<h3>|</section|</details)", drawn)


def test_values_and_names_of_columns_stay_text() -> None:
    frame = reports.hostile_table()
    for wide in (frame, frame.iloc[:, ::-1]):
        drawn = page(reports.tabled(wide))
        parsed = Parsed(drawn)
        assert (parsed.wrong, parsed.open) == ([], [])
        assert {link[:1] for link in parsed.loads} <= {"#"}
        assert "<script>document" not in drawn
        assert drawn.count("<!-- provenance -->") == 1
        assert drawn.count("<!-- values -->") == 14  # twelve cards and two remarks
        assert not re.search(r"(?i)<(img|svg)[^>]* on", drawn)


def test_what_is_published_holds_no_value_unless_it_is_asked_for() -> None:
    drawn = page(reports.tabled(patients()))
    assert SECRET in drawn
    assert " and shows their values<!-- end -->: everybody who gets the page" in drawn
    bare = publish.published(drawn, "c0ffee", "2026-01-31")
    text = planted.text_of(bare)
    for word in (SECRET, "bilirubin", "more column", "report.values=false"):
        assert word not in text, word
    assert re.search("This page names training records ?: everybody who gets the page learns them", text)
    assert "row " in text.partition("Members most exposed")[2]
    assert (Parsed(bare).wrong, Parsed(bare).open) == ([], [])
    assert SECRET in publish.published(drawn, "c0ffee", "2026-01-31", values=True)


def test_a_page_of_images_is_published_as_it_is() -> None:
    drawn = reports.page(reports.made())
    assert publish.published(drawn, "a", "b") == publish.published(drawn, "a", "b", values=True)
