"""The documents as a site: no dead link, no request to elsewhere, a search that works from disk, a report to open.

`make docs` installs zensical; the parts that need a browser also need `make browser`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import browsers
import pipeline
import reports
import servers
from mia.errors import InputError

pytestmark = pytest.mark.timeout(180)


def absent(why: str) -> None:
    (pytest.fail if os.environ.get("MIA_TESTS_MUST_NOT_SKIP") else pytest.skip)(why)


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    return pipeline.script("docs/site/build.py")


@pytest.fixture(scope="module")
def site(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    report = folder / "audit.html"
    report.write_text(reports.page(reports.made(), gallery=3), encoding="utf-8")
    try:
        builder.build(folder / "site", report)
    except InputError as error:
        if "not installed" not in str(error):
            raise
        absent(str(error))
    return folder / "site"


class Page(HTMLParser):
    """What a page of the site links to and loads, and the ids in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link":
            self.loads.append(values.get("href", ""))
        if "src" in values:
            self.loads.append(values["src"])


def dead(path: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """The links of a page that lead to no file or no section, and what it loads from elsewhere."""
    page = pages[path]
    for address in (*page.links, *page.loads):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            if address in page.loads and parts.scheme != "data":
                yield f"{path.name} loads {address}"
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            yield f"{path.name}: {address}: no such file"
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
            yield f"{path.name}: {address}: no such section"


def all_dead(site: Path) -> list[str]:
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    return [fault for path in pages for fault in dead(path, pages)]


def test_every_document_is_a_page_and_no_link_is_dead(site: Path) -> None:
    wanted = {path.with_suffix(".html").name for path in (pipeline.ROOT / "docs").glob("*.md")}
    assert wanted <= {path.name for path in (site / "docs").glob("*.html")}
    assert all_dead(site) == []


def test_a_dead_link_and_a_script_from_elsewhere_are_seen(site: Path, tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text("<p id='here'>", encoding="utf-8")
    page = "<a href='gone.html'>a</a><a href='other.html#there'>b</a><script src='https://example.org/a.js'></script>"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    assert len(all_dead(tmp_path)) == 3


def test_every_page_is_in_the_navigation(site: Path) -> None:
    links = [urlsplit(link) for link in Page(site / "index.html").links]
    linked = {(site / unquote(link.path)).resolve() for link in links if link.path and not link.scheme}
    pages = {path.resolve() for path in site.rglob("*.html") if path.name not in ("404.html", "report.html")}
    assert pages <= linked


def test_each_report_opens_from_its_picture(site: Path) -> None:
    for report, page in (
        (site / "report.html", "index.html"),
        (site / "docs/results/cifake/report.html", "index.html"),
    ):
        assert report.is_file()
        assert "report.html" in Page(report.parent / page).links


def test_without_a_report_it_says_what_makes_one(builder: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.html: no such file; `make audit` makes it"):
        builder.build(tmp_path / "site", tmp_path / "nothing.html")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        with browsers.launched() as started:
            yield started
    except servers.AbsentError as error:
        absent(str(error))


def outside(look: browsers.Look, site: Path) -> list[str]:
    return [url for url in look.asked if not url.startswith((site.as_uri(), "data:", "about:", "blob:"))]


def test_the_search_finds_a_term_from_disk_and_nothing_is_requested(site: Path, browser: Any) -> None:
    with browsers.Look(browser, site / "index.html") as look:
        look.page.keyboard.press("/")
        look.page.keyboard.type("epsilon", delay=30)
        hit = look.page.locator("a[href*='glossary.html']", has_text=re.compile("epsilon|measured|Glossary", re.I))
        hit.last.wait_for(state="visible", timeout=20_000)
        assert outside(look, site) == []
        assert [line for line in look.said if line.startswith("error")] == []


def test_the_picture_of_a_report_opens_the_report(site: Path, browser: Any) -> None:
    with browsers.Look(browser, site / "index.html") as look:
        look.page.locator("a[href='report.html'] img").click()
        look.page.wait_for_url("**/report.html")
        assert look.page.title().startswith("Membership-inference audit: ")
        assert outside(look, site) == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_pages_fit_a_screen(site: Path, browser: Any, width: int, dark: bool) -> None:
    for name in ("index.html", "docs/your-own.html", "docs/reliability.html"):
        with browsers.Look(browser, site / name, width=width, dark=dark) as look:
            assert look.page.evaluate("document.documentElement.scrollWidth") <= width, name
