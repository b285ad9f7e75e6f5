"""Two to seven audits on one page: `mia compare REV REV [REV...]`.

Takes experiments by their names, git revisions, or the word workspace; two to seven. Reads of each, out of git, what
`mia.history.revisions` names, and data/exposure.parquet out of DVC's cache or remote. Writes reports/compare.html,
which is the same to the byte for the same commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mia.errors import InputError, shown
from mia.evaluation import verdict
from mia.history import audit_differences, commits, compare_page, compare_words, revisions
from mia.history.revisions import Revision
from mia.report.figures import style
from mia.store import atomic

MOST = style.MOST


def report(names: Sequence[str], out: Path) -> None:
    """Read the audits, write the page, print each verdict and which audit leaks least.

    InputError: fewer than two or more than seven names, or an audit that cannot be read.
    """
    if not 2 <= len(names) <= MOST:
        raise InputError(
            f"expected two to seven audits to compare, got {len(names)}: experiments by name ({commits.LIST}), git "
            "revisions, or workspace"
        )
    audits = read(names)
    fpr = audit_differences.common_fpr(audits)
    pairs = audit_differences.compare(audits, fpr)
    page = compare_page.page(audits, pairs, fpr)
    with atomic.file(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    for audit in audits:
        print(shown(f"{audit.name} ({compare_page.provenance(audit)}): {verdict.sentence(audit.verdict_numbers)}"))
    print(shown(f"\n{compare_words.headline(audits, pairs, fpr)}\nThe comparison: {out}"))


def read(names: Sequence[str]) -> list[Revision]:
    """The audits, each under a name of its own: the commit beside it where two names look alike."""
    audits = [revisions.read(name, commit) for name, commit in zip(names, commits.resolve(names), strict=True)]
    shown_names = [audit.name for audit in audits]
    return [
        audit if shown_names.count(audit.name) == 1 else replace(audit, name=f"{audit.name} ({audit.commit[:10]})")
        for audit in audits
    ]
