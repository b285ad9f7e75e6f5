"""The report with the commit and the date of its audit: `mia publish [REVISION]`.

The report of the workspace names neither, so that the same audit gives the same page to the byte. A commit that holds
the audit's `dvc.lock` has both, so that the same revision gives the same published page too. What stands in the columns
of records is left out unless it is asked for: nobody publishes patients by oversight. Reads reports/audit.html of a
commit or experiment out of DVC's cache or remote, writes reports/audit-COMMIT.html.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import dvc.api
from dvc.exceptions import DvcException
from markupsafe import escape

from mia import paths
from mia.errors import InputError
from mia.history import commits
from mia.repository import git
from mia.store import atomic

PLACE = re.compile(r"<!-- provenance -->.*?<!-- end -->", re.DOTALL)
VALUES = re.compile(r"<!-- values -->.*?<!-- end -->", re.DOTALL)


def published(page: str, commit: str, date: str, *, values: bool = False) -> str:
    """The page with its commit and date written in, with or without what stands in the columns of records.

    Raises InputError if the text is no page of an audit.
    """
    if not values:
        page = VALUES.sub("", page)
    provenance = f"<!-- provenance --><code>{escape(commit)}</code>, {escape(date)}<!-- end -->"
    filled, places = PLACE.subn(lambda _: provenance, page)
    if places != 1:
        raise InputError(f"{paths.AUDIT_PAGE}: no page that `report` wrote; `dvc repro` makes it anew")
    return filled


def publish(revision: str, *, values: bool = False) -> Path:
    """Write the page of a revision, as `published` does.

    Raises InputError if the revision or its page does not exist.
    """
    (commit,) = commits.resolve([revision])
    if revision == commits.WORKSPACE and commits.changed():
        raise InputError(
            f"{revision}: its audit is not that of the last commit, so that there is no commit to name; commit it first"
        )
    date = (git("show", "--no-patch", "--format=%cI", commit) or b"").decode().strip()
    try:
        page = dvc.api.read(str(paths.AUDIT_PAGE), rev=commit, encoding="utf-8")
    except (DvcException, OSError) as error:
        raise InputError(
            f"{revision}: neither DVC's cache nor a remote has {paths.AUDIT_PAGE} ({' '.join(str(error).split())}); "
            "run `dvc repro` there and commit dvc.lock, or `dvc pull` the page"
        ) from None
    page = published(page, commit, date, values=values)
    out = paths.AUDIT_PAGE.with_stem(f"{paths.AUDIT_PAGE.stem}-{commit[:7]}")
    with atomic.file(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out


def report(revision: str, *, values: bool = False) -> None:
    """Publish a revision and print where."""
    if revision == "HEAD" and git("diff", "--quiet", "HEAD", "--", "dvc.lock") is None:
        print("note: this is the audit of the last commit; dvc.lock has changed since", file=sys.stderr)
    print(f"The report with its commit and date: {publish(revision, values=values)}")
