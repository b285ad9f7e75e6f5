"""A report whose images cannot be recognised, to be published with the documents.

python docs/blurred.py reports/audit.html docs/results/cifake/report.html     # `make screenshots BLUR=1` does it too

Each image becomes four coloured patches, in the file itself: no style can bring its pixels back.
"""

from __future__ import annotations

import base64
import io
import re
import sys
from pathlib import Path

from PIL import Image

from mia.errors import InputError, shown
from mia.store import atomic

PNG = re.compile(r"data:image/png;base64,(?P<content>[A-Za-z0-9+/=]+)")


def blurred(page: str) -> str:
    """A page with each of its PNG images reduced to 2x2 pixels and enlarged again.

    Raises InputError where the page has none.
    """
    page, count = PNG.subn(lambda match: "data:image/png;base64," + patches(match["content"]), page)
    if not count:
        raise InputError("the report shows no image: publish it as it is")
    return page


def patches(content: str) -> str:
    """One image, as base64 of a PNG."""
    image = Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")
    made = io.BytesIO()
    image.resize((2, 2), Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC).save(made, "PNG")
    return base64.b64encode(made.getvalue()).decode()


def main() -> int:
    """Read one report, write the other."""
    report, out = map(Path, sys.argv[1:3])
    try:
        page = blurred(report.read_text(encoding="utf-8"))
    except (InputError, FileNotFoundError) as error:
        print(shown(f"error: {report}: {error}"), file=sys.stderr)
        return 1
    with atomic.file(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
