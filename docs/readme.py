"""Keep README and docs true: fill their tables and sentences from the metrics files they name, draw README's first
figure from its own, check every link, section, make target, parameter and path that they name.

python docs/readme.py            # write the tables
python docs/readme.py --check    # say what is stale, change nothing
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from mia import paths
from mia.errors import InputError
from mia.evaluation import metrics, verdict
from mia.report import glossary, show, text_table
from mia.report.figures import overview as overview_figure
from mia.report.figures import style
from mia.store import metrics_files

ROOT = Path(__file__).parent.parent
PAGES = tuple(
    path.relative_to(ROOT).as_posix()
    for path in sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/results/*/README.md")))
)
HISTORY = ("CHANGELOG.md", "docs/log.md")  # they name parameters and files of their day
UNFAIR = "no number is fair"  # what benchmarks say that ran on a busy machine
FIRST_SCREEN = "docs/results/cifake"  # the audit that README shows first
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
TABLE = re.compile(
    r"(<!-- (?P<kind>table|terminal|audits|include|verdict|glossary): (?P<path>\S+)(?P<rest> [\w, ]+)? -->\n)"
    r".*?(<!-- end -->)",
    re.DOTALL,
)


def filled(text: str) -> str:
    """A page with every table made anew from its file.

    `<!-- table: FILE attack,attack -->`: an audit's attacks, all or those named. `<!-- terminal: FILE attack -->`: what
    `make audit` prints of those named, with the verdict of the file beside it. `<!-- audits: FOLDER measure -->`: one
    measure of every attack over all audits in a folder. `<!-- include: FILE -->`: what a benchmark printed.
    `<!-- verdict: FILE -->`: an audit's verdict, in words. `<!-- glossary: SECTION -->`: the terms of
    `mia.report.glossary`. Each ends at `<!-- end -->`.
    """

    def table(match: re.Match[str]) -> str:
        rest = (match["rest"] or "").strip()
        if match["kind"] == "audits":
            made = audits(ROOT / match["path"], rest)
        elif match["kind"] == "include":
            made = (ROOT / match["path"]).read_text(encoding="utf-8").rstrip("\n")
        elif match["kind"] == "verdict":
            found = metrics_files.read_json(ROOT / match["path"])
            made = f"> **{verdict.sentence(found)}** {verdict.ranking(found)}"
        elif match["kind"] == "glossary":
            made = glossary.markdown(f"{match['path']} {rest}".strip())
        elif match["kind"] == "terminal":
            made = terminal(ROOT / match["path"], rest.split(","))
        else:
            measured = metrics_files.read_json(ROOT / match["path"])
            made = show.markdown([one for one in measured if not rest or one["attack"] in rest.split(",")])
        return f"{match[1]}{made}\n{match[5]}"

    return TABLE.sub(table, text)


def terminal(file: Path, attacks: list[str]) -> str:
    """The end of what `make audit` prints, with the rows of some attacks and the first five columns."""
    measured = [entry for entry in metrics_files.read_json(file) if entry["attack"] in attacks]
    first = f"{measured[0]['n_member']} members, {measured[0]['n_nonmember']} non-members; {show.intervals(measured)}; "
    first += show.thresholds(measured)
    rows = [row[:5] for row in (show.columns(measured), *show.rows(measured))]
    table = text_table.plain([[cell.replace("*", "") for cell in row] for row in rows])
    found = verdict.sentence(metrics_files.read_json(file.with_name("verdict.json")))
    lines = ["$ make audit", "...", first, "", table, "...", found, f"The report: {paths.AUDIT_PAGE}"]
    return "\n".join(["```console", *lines, "```"])


def overview(folder: Path, to: Path) -> None:
    """Draw README's first figure from the files of an audit."""
    found = metrics_files.read_json(folder / "verdict.json")
    key = metrics.fpr_key(found["fpr"])
    measured = {
        one["attack"]: one | {f"tpr{end}": one[f"{key}{end}"] for end in ("", "_low", "_high")}
        for one in metrics_files.read_json(folder / "attacks.json")
    }
    sizes = {"n_member": found["n_member"], "n_nonmember": found["n_nonmember"]}
    curves = metrics_files.read_csv(folder / "roc.csv", ["attack"])
    style.save(overview_figure.figure(curves, measured, fpr=found["fpr"], **sizes), to)


def differs(one: Path, other: Path) -> bool:
    """Whether two pictures show something else: more than the rounding of edges, as another processor may have it."""
    if not one.exists():
        return True
    a, b = (np.asarray(Image.open(path).convert("RGB"), np.float64) for path in (one, other))
    return a.shape != b.shape or int((np.abs(a - b).max(axis=2) > 64).sum()) > 30  # pixels


def audits(folder: Path, measure: str) -> str:
    """One measure of every attack over the audits in the sub-folders of a folder, as a Markdown table.

    Best attack first, by its largest value; a dash where the threat model cannot carry the attack.
    """
    found = {
        path.parent.name: {one["attack"]: one for one in metrics_files.read_json(path)}
        for path in sorted(folder.glob("*/attacks.json"), key=lambda path: order(path.parent.name))
    }
    attacks = {attack for measured in found.values() for attack in measured}

    def best(attack: str) -> float:
        return max(measured[attack][measure] for measured in found.values() if attack in measured)

    rows = [["attack", *(name.replace("-", ", ") for name in found)]]
    for attack in sorted(sorted(attacks), key=lambda attack: -best(attack)):
        digits = 4 if measure.startswith("tpr") else 3
        cells = [text_table.interval(one[attack], measure, digits) if attack in one else "–" for one in found.values()]
        rows.append([attack.replace("_", " "), *cells])
    return text_table.markdown(rows)


def order(name: str) -> tuple[int, int]:
    """generated-16, generated-64, disjoint-16, ...: from the weakest attacker to the strongest."""
    knowledge, _, models = name.partition("-")
    return ("generated", "disjoint", "population").index(knowledge), int(models)


def faults(text: str, folder: Path = ROOT, *, history: bool = False) -> list[str]:
    """What a page must not have: dead links, make targets and parameters that do not exist, unfair numbers.

    folder: where it lies. history: a log, whose parameters and paths were those of their day.
    """
    found = []
    if UNFAIR in text:
        found.append(f"{UNFAIR!r}: measure again on an idle machine, or leave it out")
    found += dead_links(text, folder)
    if history:
        return found
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in re.findall(r"`make ([a-z-]+)|^(?:\$ )?make ([a-z-]+)", text, re.MULTILINE):
        name = target[0] or target[1]
        if name not in targets:
            found.append(f"make {name}: no such target")
    for name in re.findall(r"-S '?\"?([a-z_.0-9/:-]+)=", text):
        if not is_parameter(name):
            found.append(f"-S {name}: no such parameter")
    for path in re.findall(r"`((?:src|docs|tests|metrics|plots|benchmarks)/[\w/.-]+\.\w+)`", text):
        if not (ROOT / path).exists() and not path.endswith(".png"):
            found.append(f"{path}: no such file")
    return found


def dead_links(text: str, folder: Path) -> list[str]:
    """Links of a page in a folder that lead to no file, or to no section of a page."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", text)):
        path, _, section = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        if path and not (folder / path).exists():
            found.append(f"link to {path}: no such file")
        elif section:
            page = (folder / path).read_text(encoding="utf-8") if path else text
            if section not in sections(page):
                found.append(f"link to {target}: no such section")
    return found


def sections(text: str) -> set[str]:
    """The names by which the headings of a page are linked."""
    headings = re.findall(r"^#{1,6} +(.+?)\s*$", CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_parameter(name: str) -> bool:
    """Whether params.yaml has this dotted name, or an audit's file: audits/NAME/params.yaml:target.epochs."""
    file, _, dotted = name.rpartition(":")
    value: object = (
        YAML(typ="safe", pure=True).load(ROOT / (file or "params.yaml"))
        if (ROOT / (file or "params.yaml")).exists()
        else None
    )
    for part in dotted.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def main() -> int:
    """Write or check."""
    found = []
    for page in PAGES:
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        try:
            wanted = filled(text)
        except InputError as error:
            print(f"error: {page}: {error}", file=sys.stderr)
            return 1
        found += [f"{page}: {fault}" for fault in faults(wanted, path.parent, history=page in HISTORY)]
        if "--check" not in sys.argv[1:]:
            path.write_text(wanted, encoding="utf-8")
        elif wanted != text:
            found.append(f"{page}: a table differs from its metrics file; `make readme` writes it")
    picture = ROOT / FIRST_SCREEN / "overview.png"
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder, picture.name)
        overview(ROOT / FIRST_SCREEN, fresh)
        if "--check" not in sys.argv[1:]:
            shutil.copy(fresh, picture)
        elif differs(picture, fresh):
            found.append(f"{picture.relative_to(ROOT)}: differs from the files beside it; `make readme` draws it")
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
