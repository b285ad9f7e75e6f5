"""A page's terms link to the sentences of docs/glossary.md, and only a page's own text is touched."""

from __future__ import annotations

import re

import pytest

import pipeline
import reports
from mia.report import glossary

PARAGRAPH = '<main><section><p>{}</p></section>\n<section aria-labelledby="glossary"></section></main>'


def linked(text: str) -> str:
    """A paragraph with its links."""
    return glossary.linked(PARAGRAPH.format(text)).removeprefix("<main><section><p>").partition("</p>")[0]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("the AUC, and the AUC", ["AUC"]),
        ("non-members and members", ["non-members"]),
        ("TPR at 1 % FPR", ["TPR", "FPR"]),
        ("shadow models of a Shadow", ["shadow models"]),
        ("viewed, attackers, remembered, data-score", []),
        (
            "<code>loss</code> <em>loss</em> <bdi>loss</bdi> <b title='loss'>balanced accuracy</b>",
            ["balanced accuracy"],
        ),
        ("<a href='#a'>AUC</a> &lt;TPR", ["TPR"]),
    ],
)
def test_the_first_place_of_a_term_is_linked(text: str, links: list[str]) -> None:
    made = linked(text)
    assert re.findall(r'<a class="term" href="#term-[a-z-]+">([^<]*)</a>', made) == links
    assert re.sub(r'<a class="term"[^>]*>([^<]*)</a>', r"\1", made) == text


def test_every_section_links_anew_and_the_glossary_itself_does_not() -> None:
    page = "<h1>AUC</h1><main><section>AUC</section><section>AUC</section>"
    page += '<section aria-labelledby="glossary">AUC</section></main>AUC'
    assert glossary.linked(page).count('<a class="term" href="#term-auc">AUC</a>') == 2


def test_the_page_has_every_sentence_and_docs_have_the_same() -> None:
    page = reports.page(reports.made())
    docs = (pipeline.ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    for section, terms in glossary.SECTIONS.items():
        assert f"## {section}\n" in docs
        assert glossary.markdown(section) in docs
        for term in terms:
            assert (f'<dt id="{term.anchor}">' in page) == (term.pattern is not None)
    targets = set(re.findall(r'class="term" href="#([^"]+)"', page))
    assert targets <= {term.anchor for term in glossary.PAGE}
    assert len(targets) > 10


def test_names_of_users_get_no_link() -> None:
    page = reports.page(reports.made(classes=["loss", "AUC"], names=["score", "shadow model"]))
    assert not re.search(r"<bdi[^>]*>[^<]*<a ", page)
