"""Build the documents as a site that opens from disk and requests nothing from the network.

python docs/site/build.py [--report reports/audit.html] [--out site]        # `make docs`

The pages are those of the repository. In a copy of them a link to a file that is not part of the site becomes plain
text, and the picture of a report leads to that report: the workspace's, or one that lies beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mia import paths
from mia.errors import InputError, shown

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TOP = ("README.md", "CHANGELOG.md", "SECURITY.md")
REPORT = Path("report.html")  # within the site
PICTURE = "results/digits/report-wide.png"
LINK = re.compile(r"(?P<picture>!?)\[(?P<words>(?:[^][]|\[[^][]*\])*)\]\((?P<target>[^()\s]+)\)")
CODE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)


def build(out: Path, report: Path) -> None:
    """Write the site into a folder, in place of what was there.

    report: the page of an audit, a file of HTML. Raises InputError where it is missing or zensical cannot build.
    """
    if not report.is_file():
        raise InputError(f"{report}: no such file; `make audit` makes it")
    if importlib.util.find_spec("zensical") is None:
        raise InputError("zensical: not installed; `make docs` installs it")
    with tempfile.TemporaryDirectory(prefix="mia-site-") as folder:
        place = Path(folder)
        stage(place / "pages", report)
        shutil.copy(HERE / "zensical.toml", place)
        command = [sys.executable, "-m", "zensical", "build", "--strict"]
        run = subprocess.run(command, cwd=place, capture_output=True, text=True)
        if run.returncode != 0:
            raise InputError(f"zensical: {(run.stdout + run.stderr).strip()}")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(place / "site", out)


def stage(pages: Path, report: Path) -> None:
    """Copy the documents as zensical reads them, with the report and the worker that searches from disk."""
    for name in TOP:
        copied(ROOT / name, pages / name)
    for path in sorted((ROOT / "docs").glob("*.md")):
        copied(path, pages / "docs" / path.name)
    for path in sorted(file for file in (ROOT / "docs/results").rglob("*") if file.is_file() and is_published(file)):
        to = pages / path.relative_to(ROOT)
        if path.suffix == ".md":
            copied(path, to)
        else:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
    shutil.copy(report, pages / REPORT)
    (pages / "site").mkdir()
    shutil.copy(HERE / "iframe-worker.js", pages / "site")


def copied(page: Path, to: Path) -> None:
    """Copy one page with its links as the site has them."""
    to.parent.mkdir(parents=True, exist_ok=True)
    parts = CODE.split(page.read_text(encoding="utf-8"))
    parts[::2] = [LINK.sub(lambda match: link(match, page), part) for part in parts[::2]]
    to.write_text("".join(parts), encoding="utf-8")


def link(match: re.Match[str], page: Path) -> str:
    """A link or picture of a page as the site has it."""
    words, target = match["words"], match["target"]
    path = target.partition("#")[0]
    if match["picture"]:
        up = "../" * (len(page.relative_to(ROOT).parts) - 1)
        if path.endswith(PICTURE):
            return f"[{match[0]}]({up}{REPORT})"
        beside = Path(path).with_name(REPORT.name)
        shows_report = path.endswith("report-wide.png") and (page.parent / beside).is_file()
        return f"[{match[0]}]({beside})" if shows_report else match[0]
    if not path or re.match(r"[a-z]+:", target) or is_published((page.parent / path).resolve()):
        return match[0]
    return words


def is_published(path: Path) -> bool:
    """Whether a file of the repository is part of the site. A fragment that a page includes is not."""
    name = path.relative_to(ROOT).as_posix()
    return name in TOP or re.fullmatch(r"docs/[\w-]+\.md|docs/results/(.+/README\.md|.+\.(?!md$)\w+)", name) is not None


def main() -> int:
    """Build."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=paths.AUDIT_PAGE)
    parser.add_argument("--out", type=Path, default=Path("site"))
    given = parser.parse_args()
    try:
        build(given.out, given.report)
    except InputError as error:
        print(shown(f"error: {error}"), file=sys.stderr)
        return 1
    print(f"The site: {given.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
