"""The report in a real browser: whole by itself, readable by everybody at every width, whatever its names are.

`make pages`; the checks that need no browser are in test_report.py.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import browsers
import pipeline
import reports
import servers
from mia import paths
from mia.report.audit.measured import Audit

pytestmark = pytest.mark.timeout(120)

WIDTHS = (320, 390, 820, 1280)
AXE_WIDTHS = (390, 820, 1280)
AXE_EVERYWHERE = ("the-tiny", "hostile", "few")  # the others at the first width, for they have the same parts
MANY = [f"class {at}" for at in range(100)]

# What is looked at: how it is made, and with how many images.
CASES: dict[str, tuple[Callable[[], Audit], int]] = {
    "hostile names": (partial(reports.made, classes=reports.HOSTILE, names=reports.HOSTILE), 12),
    "one attack": (partial(reports.made, attacks=["loss"]), 1),
    "24 attacks, 100 classes": (partial(reports.made, attacks=reports.ATTACKS, classes=MANY, n_member=600), 3),
    "a class of one kind": (partial(reports.made, classes=["cat", "dog only", "cow"], shape=(32, 32, 3)), 6),
    "one class": (partial(reports.made, classes=["cat"], shape=(300, 120, 3)), 6),
    "few non-members": (partial(reports.made, n_member=30, n_nonmember=8), 3),
    "nothing leaks": (partial(reports.made, leak=0.0, mitigations=0), 6),
    "all leaks": (partial(reports.made, leak=9.0), 6),
    "no gallery": (reports.made, 0),
    "answers": (reports.answered, 6),
    "answers of shadows too": (partial(reports.answered, shadows=4, classes=reports.HOSTILE, names=reports.HOSTILE), 6),
    "a table": (partial(reports.tabled, reports.hostile_table()), 12),
    "a gallery of all": (partial(reports.made, n_member=8, n_nonmember=300), 20),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        with browsers.launched() as started:
            yield started
    except servers.AbsentError as error:
        (pytest.fail if os.environ.get("MIA_TESTS_MUST_NOT_SKIP") else pytest.skip)(str(error))


@pytest.fixture(scope="module")
def real(finished: Path) -> Path:
    """The page of the tiny experiment, by the real stages."""
    return finished / paths.AUDIT_PAGE


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a case of `CASES`, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("pages")

    def write(case: str) -> Path:
        path = folder / f"{case.replace(' ', '-').replace(',', '')}.html"
        if not path.exists():
            make, gallery = CASES[case]
            path.write_text(reports.page(make(), gallery=gallery), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module", params=["the tiny experiment", *CASES])
def path(request: pytest.FixtureRequest, written: Callable[[str], Path]) -> Path:
    """The file of every case in turn, that of the tiny experiment first."""
    if request.param in CASES:
        return written(request.param)
    found: Path = request.getfixturevalue("real")
    return found


# -- what is wrong with a page, as the browser sees it ----------------------------------------------------------------

STRUCTURE = """() => {
  const wrong = [], all = (what) => [...document.querySelectorAll(what)];
  const name = (one) => (one.getAttribute("aria-label") || "").trim();
  if (!document.documentElement.lang) wrong.push("no lang");
  if (!document.title.startsWith("Membership-inference audit: ")) wrong.push(`title: ${document.title}`);
  const heads = all("h1, h2, h3, h4, h5, h6");
  const levels = heads.map((one) => +one.tagName[1]);
  if (levels.filter((level) => level === 1).length !== 1) wrong.push(`${levels.join(" ")}: not one h1`);
  levels.forEach((level, at) => {
    if (at === 0 ? level !== 1 : level > levels[at - 1] + 1) wrong.push(`heading jumps: ${heads[at].textContent}`);
    if (!heads[at].textContent.trim()) wrong.push("an empty heading");
  });
  const ids = all("[id]").map((one) => one.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => wrong.push(`two of the id ${id}`));
  for (const one of all("a")) {
    const href = one.getAttribute("href") || "";
    if (!href.startsWith("#") || !ids.includes(href.slice(1))) wrong.push(`link to ${href}`);
  }
  for (const one of all("*"))
    for (const { name, value } of one.attributes) {
      const refs = ["aria-labelledby", "aria-describedby", "for", "headers"].includes(name)
        ? value.split(" ") : [...value.matchAll(/url\\(["']?#([^)"']+)/g)].map((match) => match[1]);
      if (name === "xlink:href" || (name === "href" && one.tagName !== "A")) refs.push(value.replace(/^#/, ""));
      refs.filter((ref) => !ids.includes(ref)).forEach((ref) => wrong.push(`${one.tagName} ${name}: no id ${ref}`));
      if (/^on/.test(name)) wrong.push(`${one.tagName}: a script in ${name}`);
    }
  for (const one of all("img")) {
    if (!one.complete || !one.naturalWidth) wrong.push(`image that is none: ${one.alt}`);
    if (!one.alt.trim()) wrong.push("image without a name");
  }
  for (const one of all("body svg"))
    if (!(one.getAttribute("role") === "img" && name(one)) && one.getAttribute("aria-hidden") !== "true")
      wrong.push(`svg without a name: ${one.outerHTML.slice(0, 80)}`);
  for (const one of all("figure"))
    if (!name(one) && !one.querySelector("figcaption, svg[aria-label]")) wrong.push("figure without a name");
  for (const one of all("table"))
    if (!one.caption || !one.caption.textContent.trim()) wrong.push("table without a caption");
  if (all("script").length !== 1) wrong.push(`${all("script").length} scripts`);
  return wrong;
}"""

LAYOUT = """() => {
  const wrong = [], page = document.documentElement, edge = page.clientWidth;
  if (page.scrollWidth > edge) wrong.push(`${edge} px: the page is ${page.scrollWidth} wide`);
  for (const one of document.querySelectorAll("body *")) {
    if (one.closest(".scroll, svg") && !one.matches(".scroll")) continue;
    const box = one.getBoundingClientRect();
    if (box.width && !one.matches(".skip") && (box.right > edge + 1 || box.left < -1))
      wrong.push(`${edge} px: ${one.tagName} reaches ${box.left.toFixed()} to ${box.right.toFixed()}: `
        + one.textContent.slice(0, 30));
  }
  for (const drawn of document.querySelectorAll("svg")) {
    const sheet = drawn.getBoundingClientRect(), texts = [...drawn.querySelectorAll("text")]
      .filter((one) => one.getBoundingClientRect().width);
    const boxes = texts.map((one) => one.getBoundingClientRect());
    const said = (at) => `${edge} px: ${JSON.stringify(texts[at].textContent.trim())}`;
    boxes.forEach((a, at) => {
      const out = Math.max(sheet.left - a.left, a.right - sheet.right, sheet.top - a.top, a.bottom - sheet.bottom);
      if (out > 0.5) wrong.push(`${said(at)} is cut by ${out.toFixed(1)} px`);
      boxes.slice(at + 1).forEach((b, more) => {
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 0.5 && high > HIGH) wrong.push(`${said(at)} overlaps ${said(at + 1 + more)}`);
      });
    });
  }
  return wrong;
}""".replace("HIGH", "1.5")  # a box is higher than its letters

# axe does not look at text in SVG. 4.5: WCAG 2.2, 1.4.3.
CONTRAST = """() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const wrong = [], paper = rgb(getComputedStyle(document.body).backgroundColor);
  for (const drawn of document.querySelectorAll("svg")) {
    const shapes = [...drawn.querySelectorAll("path, rect")].filter((one) => !one.closest("defs"))
      .map((one) => [one, one.getBoundingClientRect(), getComputedStyle(one)])
      .filter(([, box, style]) => box.width > 4 && style.fill !== "none")
      .map(([one, box, style]) => [one, box, rgb(style.fill), style.fillOpacity * style.opacity]);
    for (const text of drawn.querySelectorAll("text")) {
      const box = text.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
      let under = paper;
      for (const [one, at, fill, opacity] of shapes)
        if (one.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING
            && at.left <= x && x <= at.right && at.top <= y && y <= at.bottom)
          under = under.map((below, part) => opacity * fill[part] + (1 - opacity) * below);
      const [a, b] = [light(rgb(getComputedStyle(text).fill)), light(under)].sort((p, q) => q - p);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) wrong.push(`contrast ${ratio.toFixed(1)}: ${text.textContent.trim()} in `
        + drawn.getAttribute("aria-label").slice(0, 30));
    }
  }
  return wrong;
}"""


def alone(look: browsers.Look) -> list[str]:
    """What the console says, and what was asked of anybody."""
    return [*look.said, *(f"asked for {url}" for url in look.outside)]


def axe(look: browsers.Look, *rules: str) -> list[str]:
    """The violations that axe-core finds, of all rules or of these, each with its first element."""
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = Axe().run(look.page, options=options).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}: {one['nodes'][0]['failureSummary']}" for one in found]


# -- every page -------------------------------------------------------------------------------------------------------


def test_a_page_is_whole_by_itself_named_and_in_order(browser: Any, path: Path) -> None:
    with browsers.Look(browser, path) as look:
        assert look.strings(STRUCTURE) == []
        look.unfold()
        look.page.wait_for_load_state("networkidle")
        assert alone(look) == []
        assert look.asked[0] == path.as_uri(), "nothing was recorded"


@pytest.mark.parametrize("folded", [True, False], ids=["folded", "unfolded"])
def test_nothing_sticks_out_overlaps_or_is_cut_at_any_width(browser: Any, path: Path, folded: bool) -> None:
    with browsers.Look(browser, path) as look:
        if not folded:
            look.unfold()
        for width in WIDTHS:
            look.resize(width)
            assert look.strings(LAYOUT) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violation_and_text_in_figures_has_contrast(browser: Any, path: Path, dark: bool) -> None:
    widths = AXE_WIDTHS if path.parent.name == "reports" or path.stem.startswith(AXE_EVERYWHERE) else AXE_WIDTHS[:1]
    with browsers.Look(browser, path, dark=dark) as look:
        look.unfold()
        for width in widths:
            look.resize(width)
            assert axe(look, *(["color-contrast"] if dark else [])) == []  # the others do not ask for colours
        assert look.strings(CONTRAST) == []
        assert alone(look) == []


def test_a_page_prints_whole_and_light(browser: Any, path: Path) -> None:
    with browsers.Look(browser, path, dark=True) as look:
        look.page.emulate_media(media="print", color_scheme="dark")
        assert look.strings(PRINTED) == []
        assert look.strings(CONTRAST) == []
        look.page.emulate_media(media=None)  # type: ignore[arg-type, unused-ignore]
        content = look.page.pdf(format="A4")
        assert content.startswith(b"%PDF-")
        assert len(re.findall(rb"/Type /Page\b", content)) > 3
        assert alone(look) == []
        assert look.page.locator("details[open]").count() == 0, "not folded again after printing"


PRINTED = """() => {
  const wrong = [], paper = getComputedStyle(document.body).backgroundColor;
  if (paper !== "rgb(255, 255, 255)") wrong.push(`paper of ${paper}`);
  for (const one of document.querySelectorAll("main p, main li, main td, main th, main svg, main img")) {
    const box = one.getBoundingClientRect();
    if (!one.matches("svg *") && !(one.checkVisibility({ visibilityProperty: true }) && box.width && box.height)
        && (one.textContent.trim() || !one.matches("td")))
      wrong.push(`${one.tagName} is not printed: ${one.outerHTML.slice(0, 60)}`);
  }
  return wrong;
}"""


def test_without_its_script_a_page_says_the_same(browser: Any, path: Path) -> None:
    with browsers.Look(browser, path) as look:
        look.unfold()
        said = look.page.inner_text("body")
    with browsers.Look(browser, path, script=False) as look:
        for summary in look.page.locator("summary").all():
            summary.click()
        assert look.page.inner_text("body") == said
        assert look.strings(STRUCTURE) == []


# -- what a reader does -----------------------------------------------------------------------------------------------


def column(look: browsers.Look, table: str, at: int) -> list[str]:
    """What the cells of a column sort by, from above."""
    return look.strings(
        f"""() => [...document.querySelectorAll("section[aria-labelledby={table}] table.sortable tbody tr")]
        .map((row) => row.cells[{at}].dataset.value || row.cells[{at}].innerText)"""
    )


def sorts(look: browsers.Look, table: str) -> list[str]:
    """By head: the direction by which the table is sorted, none, or nothing where there is no button."""
    return look.strings(
        f"""() => [...document.querySelectorAll("section[aria-labelledby={table}] table.sortable thead th")]
        .map((head) => head.getAttribute("aria-sort") || "")"""
    )


def tab_to(look: browsers.Look, name: str, table: str) -> None:
    """Press Tab until the button of that name in a section's table has the focus."""
    focus = f"""() => {{
      const one = document.activeElement;
      return one.tagName === "BUTTON" && one.innerText.startsWith("{name}")
        && one.closest("section").getAttribute("aria-labelledby") === "{table}";
    }}"""
    for _ in range(200):
        look.page.keyboard.press("Tab")
        if look.page.evaluate(focus):
            return
    raise AssertionError(f"no button {name} in 200 steps")


@pytest.mark.parametrize(("key", "case"), [("Enter", "24 attacks, 100 classes"), ("Space", "few non-members")])
def test_a_table_is_sorted_by_the_keyboard_numbers_as_numbers(
    browser: Any, written: Callable[[str], Path], key: str, case: str
) -> None:
    with browsers.Look(browser, written(case)) as look:
        for name, at in (("AUC", 3), ("balanced accuracy", 5), ("epsilon", 6)):
            tab_to(look, name, "attacks")
            for direction in ("descending", "ascending", "descending"):
                look.page.keyboard.press(key)
                values = [float(value) for value in column(look, "attacks", at)]
                assert values == sorted(values, reverse=direction == "descending")
                assert sorts(look, "attacks")[at] == direction
                assert [one for one in sorts(look, "attacks") if one not in ("", "none")] == [direction]
        assert look.said == []


def test_classes_are_sorted_as_people_count_and_what_was_not_measured_stays_below(
    browser: Any, written: Callable[[str], Path]
) -> None:
    with browsers.Look(browser, written("24 attacks, 100 classes")) as look:
        tab_to(look, "class", "classes")
        look.page.keyboard.press("Enter")
        assert column(look, "classes", 0) == MANY
        assert sorts(look, "classes")[0] == "ascending"
        look.page.keyboard.press("Enter")
        assert column(look, "classes", 0) == MANY[::-1]
    with browsers.Look(browser, written("a class of one kind")) as look:
        assert sorts(look, "classes")[1] == "descending"
        tab_to(look, "AUC", "classes")
        for direction in ("ascending", "descending", "ascending"):
            look.page.keyboard.press("Enter")
            *values, last = column(look, "classes", 1)
            assert last == "only members"
            assert [float(value) for value in values] == sorted(map(float, values), reverse=direction == "descending")
            assert sorts(look, "classes")[1] == direction


def test_a_link_leads_to_its_section_and_the_first_tab_skips_to_the_report(
    browser: Any, written: Callable[[str], Path]
) -> None:
    with browsers.Look(browser, written("one attack")) as look:
        look.page.keyboard.press("Tab")
        assert look.page.evaluate("() => document.activeElement.className") == "skip"
        assert look.page.locator(".skip").bounding_box()["x"] >= 0
        look.page.get_by_role("link", name="Classes").click()
        assert 0 <= look.page.locator("#classes").bounding_box()["y"] < 400
        assert alone(look) == []


def test_text_in_figures_can_be_found_and_selected(browser: Any, written: Callable[[str], Path]) -> None:
    with browsers.Look(browser, written("one attack")) as look:
        label = look.page.locator("svg text", has_text="FPR: share of non-members called members")
        assert label.count() == 2
        label.first.click(click_count=3)
        assert (
            look.page.evaluate("() => getSelection().toString().trim()") == "FPR: share of non-members called members"
        )
        assert look.page.evaluate("() => window.find('score (higher = more likely a member)')")


def test_names_stay_text_whatever_they_are(browser: Any, written: Callable[[str], Path]) -> None:
    with browsers.Look(browser, written("hostile names")) as look:
        look.unfold()
        assert look.page.title() == "Membership-inference audit: digits"
        said = re.sub(r"\s+", " ", look.page.inner_text("body"))
        for name in reports.HOSTILE:
            assert (re.sub(r"\s+", " ", name).strip() or "(no name)") in said


def test_the_numbers_of_the_verdict_are_those_of_its_file(browser: Any, real: Path) -> None:
    found = json.loads((real.parent.parent / paths.VERDICT).read_text())
    with browsers.Look(browser, real) as look:
        said = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", look.page.inner_text("h1"))]
        label = look.page.locator(".scale svg").get_attribute("aria-label")
        named = re.findall(r"(\d[\d,]*) of the (\d[\d,]*) members", look.page.inner_text("main"))
    spread = ["tpr_spread"] if found.get("tpr_spread") is not None else []
    wanted = [100 * found[name] for name in ("tpr", "tpr_low", "tpr_high", *spread, "fpr", "fpr")]
    assert said == pytest.approx(wanted, rel=0.06), "two digits"
    assert [float(number) for number in re.findall(r"\d+(?:\.\d+)?", label)][-3:] == said[:3]
    if found["tpr_low"] > found["fpr"]:
        assert named == [(str(round(found["tpr"] * found["n_member"])), str(found["n_member"]))]


@pytest.fixture(scope="module")
def screenshots() -> ModuleType:
    return pipeline.script("docs/screenshots.py")


def test_screenshots_are_small_and_blurred_where_asked(
    browser: Any, written: Callable[[str], Path], screenshots: ModuleType
) -> None:
    path = written("a class of one kind")  # its images are noise
    with browsers.Look(browser, path) as look:
        image = look.page.locator(".gallery img").first.bounding_box()
    box = [round(image[key]) for key in ("x", "y", "width", "height")]
    left, top, wide, high = box[0] + 20, box[1] + 20, box[2] - 40, box[3] - 40  # the edge fades
    spread = {}
    for blur in (False, True):
        pictures = dict(screenshots.taken(browser, path, blur=blur))
        sizes = {name: picture.size for name, picture in pictures.items()}
        assert sizes == {
            "report-wide.png": (1280, 1600),
            "report-dark.png": (820, 1500),
            "report-phone.png": (1218, 844),
        }
        assert all(1000 < len(screenshots.small(picture)) < screenshots.LARGEST for picture in pictures.values())
        seen = pictures["report-wide.png"].crop((left, top, left + wide, top + high))
        spread[blur] = np.asarray(seen, np.float64).std()
    assert spread[True] < 0.2 * spread[False]


# -- the checks see what they are for ---------------------------------------------------------------------------------

POLICY = re.compile(r"<meta http-equiv=.Content-Security-Policy.*?>")
DRAWN = '<svg role="img" aria-label="drawn" viewBox="0 0 90 20" style="width:90px">'
BROKEN: dict[str, tuple[str, str, str]] = {  # what is put for what, and what is said of it
    "a style from elsewhere": ("</head>", "<link rel=stylesheet href=https://example.org/a.css></head>", "Security"),
    "an alien script": ("</main>", "<script>document.title = 'taken'</script></main>", "Security"),
    "a script in an attribute": ("</main>", "<p onclick='alert(1)'>a</p></main>", "a script in onclick"),
    "a script with a fault": ("for (const table of", "nothing.there; for (const table of", "nothing is not defined"),
    "an image that is none": ("data:image/png;base64,iV", "data:image/png;base64,iW", "image that is none"),
    "an image without a name": ("</main>", "<img src='data:,' alt=''></main>", "image without a name"),
    "a figure without a name": ("</main>", "<svg><path d='M0 0'/></svg></main>", "svg without a name"),
    "a dead link": ('href="#attacks"', 'href="#attack"', "link to #attack"),
    "a link to elsewhere": ('href="#attacks"', 'href="https://example.org/"', "link to https"),
    "two of an id": ("</main>", '<p id="attacks">a</p></main>', "two of the id attacks"),
    "a mask that is gone": ("url(#roc-log-", "url(#rock-log-", "no id rock-log"),
    "two main headings": ("</main>", "<h1>a</h1></main>", "not one h1"),
    "a heading that jumps": ("</main>", "<h2>a</h2><h4>b</h4></main>", "heading jumps: b"),
    "no language": ('<html lang="en">', "<html>", "no lang"),
    "a wide box": ("</main>", "<div style='width:2000px'>a</div></main>", "1280 px: DIV reaches"),
    "a label on another": ("</main>", f"{DRAWN}<text y='15'>a</text><text y='15' x='2'>b</text></svg>", "overlaps"),
    "a label that is cut": ("</main>", f"{DRAWN}<text y='15' x='80'>abcde</text></svg></main>", "is cut by"),
    "a pale label": ("</main>", f"{DRAWN}<text y='15' style='fill:#999'>ab</text></svg></main>", "contrast 2.8: ab"),
    "pale text": ("</main>", "<p style='color:#999'>pale</p></main>", "color-contrast"),
    "an unnamed button": ("</main>", "<button></button></main>", "button-name"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_seen(browser: Any, written: Callable[[str], Path], tmp_path: Path, fault: str) -> None:
    old, new, said = BROKEN[fault]
    page = written("one attack").read_text(encoding="utf-8")
    assert old in page
    broken = page.replace(old, new)
    if fault == "a script with a fault":
        broken = POLICY.sub("", broken)
    (tmp_path / "broken.html").write_text(broken, encoding="utf-8")
    with browsers.Look(browser, tmp_path / "broken.html") as look:
        found = [*look.strings(STRUCTURE), *look.strings(LAYOUT), *look.strings(CONTRAST), *alone(look)]
        assert any(said in one for one in found or []) or any(said in one for one in axe(look)), found


def test_a_request_is_recorded(browser: Any, written: Callable[[str], Path], tmp_path: Path) -> None:
    page = POLICY.sub("", written("one attack").read_text(encoding="utf-8"))
    url = f"http://{servers.LOOPBACK}:{servers.free_port()}/a.png"
    (tmp_path / "asks.html").write_text(page.replace("</main>", f"<img src='{url}' alt='a'></main>"), encoding="utf-8")
    with browsers.Look(browser, tmp_path / "asks.html") as look:
        assert look.outside == [url]


def test_a_fold_that_stays_shut_on_paper_is_seen(browser: Any, written: Callable[[str], Path], tmp_path: Path) -> None:
    page = written("one attack").read_text(encoding="utf-8")
    broken = page.replace("details::details-content", "details::nothing")
    (tmp_path / "shut.html").write_text(broken, encoding="utf-8")
    with browsers.Look(browser, tmp_path / "shut.html") as look:
        look.page.emulate_media(media="print")
        assert any("is not printed" in one for one in look.strings(PRINTED))
