"""Keep README true: fill its tables from the metrics files they name, and check what it points at.

PYTHONPATH=src python docs/readme.py            # write the tables
PYTHONPATH=src python docs/readme.py --check    # say what is stale, change nothing
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from mia import documents, params, show
from mia.errors import InputError

ROOT = Path(__file__).parent.parent
TABLE = re.compile(r"(<!-- table: (?P<path>\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """README with every table made anew from its file."""

    def table(match: re.Match[str]) -> str:
        measured = documents.read_json(ROOT / match["path"])
        return f"{match[1]}{show.markdown(measured)}\n{match[3]}"

    return TABLE.sub(table, text)


def faults(text: str) -> list[str]:
    """What README says that is not so: links without a file, make targets and parameters that do not exist."""
    found = []
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not re.match(r"[a-z]+:", target) and not (ROOT / target).exists():
            found.append(f"link to {target}: no such file")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in re.findall(r"`make ([a-z]+)|^(?:\$ )?make ([a-z]+)", text, re.MULTILINE):
        name = target[0] or target[1]
        if name not in targets:
            found.append(f"make {name}: no such target")
    for name in re.findall(r"-S '?\"?([a-z_.0-9]+)=", text):
        if not is_parameter(name):
            found.append(f"-S {name}: no such parameter")
    for path in re.findall(r"`((?:src|docs|tests|metrics|plots|benchmarks)/[\w/.-]+\.\w+)`", text):
        if not (ROOT / path).exists() and not path.endswith(".png"):
            found.append(f"{path}: no such file")
    return found


def is_parameter(name: str) -> bool:
    """Whether params.yaml has this dotted name."""
    value: object = params.load(ROOT / "params.yaml").model_dump()
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def main() -> int:
    """Write or check."""
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    try:
        wanted = filled(text)
    except InputError as error:
        print(f"error: README.md: {error}", file=sys.stderr)
        return 1
    found = faults(wanted)
    if "--check" in sys.argv[1:]:
        if wanted != text:
            found.append("a table differs from its metrics file; `make readme` writes it")
    else:
        path.write_text(wanted, encoding="utf-8")
    for fault in found:
        print(f"error: README.md: {fault}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
