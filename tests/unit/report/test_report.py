"""The report as a file: the same bytes for the same audit, small, well formed, its numbers those of the verdict.

What only a browser can tell is in test_pages.py.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest

import reports
from mia.evaluation import wording
from mia.report import html
from parsed_page import Parsed

CASES: dict[str, dict[str, Any]] = {
    "three attacks": {},
    "hostile names": {"classes": reports.HOSTILE, "names": reports.HOSTILE},
    "few non-members": {"n_member": 30, "n_nonmember": 8},
    "nothing leaks": {"leak": 0.0},
    "all leaks": {"leak": 9.0},
}


@pytest.fixture(scope="module", params=CASES)
def page(request: pytest.FixtureRequest) -> str:
    return reports.page(reports.made(**CASES[request.param]))


def test_every_tag_is_closed_in_order(page: str) -> None:
    parsed = Parsed(page)
    assert parsed.wrong == []
    assert parsed.open == []


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    parsed = Parsed(page)
    assert {one[:1] if one.startswith("#") else one.split(",")[0] for one in parsed.loads} <= {
        "#",
        "data:image/png;base64",
    }
    style = page[page.index("<style>") : page.index("</style>")]
    assert not re.search(r"@import|url\(", style)


def test_the_policy_names_the_script_of_the_page_and_no_other(page: str) -> None:
    script = page[page.index("<script>") + len("<script>") : page.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert re.findall(r"script-src ([^;\"]+)", page) == [f"'sha256-{digest}'"]
    assert "default-src 'none'" in page


def test_names_are_escaped_and_stand_there() -> None:
    page = reports.page(reports.made(**CASES["hostile names"]), gallery=12)
    said = " ".join(Parsed(page).text)
    for name in reports.HOSTILE:
        assert (name.strip() or "(no name)") in said
        assert "<" not in name or name not in page


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_of_the_verdict_stand_on_the_page(case: str) -> None:
    it = reports.made(**CASES[case])
    parsed = Parsed(reports.page(it))
    title = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", " ".join(parsed.titles))]
    said = " ".join(parsed.text)
    found = it.verdict
    if "tpr" in found:
        assert title == pytest.approx(
            [100 * found[name] for name in ("tpr", "tpr_low", "tpr_high", "fpr", "fpr")], rel=0.06
        )
    else:
        assert title[0] == found["n_nonmember"]
    times = re.search(r"(\d+) times in 100 \((\d+) to (\d+)\)[;.] .*?guessing,? .*?succeeds 50 times", said)
    assert times is not None
    assert [int(one) for one in times.groups()] == [round(100 * found[name]) for name in ("auc", "auc_low", "auc_high")]
    for one in it.attacks:  # the table
        assert wording.fraction(one, "auc") in said


def test_the_same_audit_gives_the_same_bytes() -> None:
    first, again = (reports.page(reports.made(attacks=["loss", "stacked"])) for _ in range(2))
    assert first == again
    other = reports.page(reports.made(attacks=["loss", "stacked"], seed=1))
    assert first != other


def test_60_000_records_and_24_attacks_make_a_page_of_less_than_3_mb() -> None:
    it = reports.made(attacks=reports.ATTACKS, n_member=50_000, n_nonmember=10_000, shape=(32, 32, 3))
    page = reports.page(it, gallery=12)
    assert 100_000 < len(page.encode()) < 3_000_000


def test_an_image_is_a_png_of_at_most_96_pixels_a_side() -> None:
    it = reports.made(n_member=6, n_nonmember=6, shape=(300, 120, 3))
    assert it.images is not None
    for url in (html.image(it.images[0]), html.image(it.images[0][..., :1])):
        content = base64.b64decode(url.removeprefix("data:image/png;base64,"))
        assert content.startswith(b"\x89PNG")
        size = [int.from_bytes(content[at : at + 4]) for at in (16, 20)]
        assert max(size) == html.THUMBNAIL
