"""Pictures of a report for README and docs, as a real browser shows it; `make browser` installs what this needs.

PYTHONPATH=tests/helpers python docs/screenshots.py reports/audit.html docs/results/digits         # `make screenshots`
PYTHONPATH=tests/helpers python docs/screenshots.py reports/audit.html docs/results/cifake --blur  # no image to be seen
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

import browsers
import servers
from mia.errors import InputError, shown
from mia.store import atomic

LARGEST = 300_000  # bytes of a picture
PHONE, SCREENS, APART = (390, 844), 3, 24
BLUR = ".gallery img { filter: blur(14px); clip-path: inset(0); }"  # of 72 pixels: shapes and colours are gone


def taken(browser: Any, report: Path, *, blur: bool) -> Iterator[tuple[str, Image.Image]]:
    """Each picture's name and pixels: on a wide screen, the attacks in the dark, the first screens of a phone."""
    with browsers.Look(browser, report) as look:
        yield "report-wide.png", shot(look, 0, 1600, blur)
    with browsers.Look(browser, report, width=820, dark=True) as look:
        box = look.page.locator("#attacks").bounding_box()
        if box is None:
            raise InputError(f"{report}: no section #attacks: no report of an audit; `make audit` makes one")
        yield "report-dark.png", shot(look, box["y"] - 24, 1500, blur)
    width, height = PHONE
    with browsers.Look(browser, report, width=width) as look:
        screens = shot(look, 0, SCREENS * height, blur)
        side_by_side = Image.new("RGB", (SCREENS * width + (SCREENS - 1) * APART, height), "#d0d4d8")
        for at in range(SCREENS):
            screen = screens.crop((0, at * height, width, (at + 1) * height))
            side_by_side.paste(screen, (at * (width + APART), 0))
        yield "report-phone.png", side_by_side


def shot(look: browsers.Look, top: float, height: int, blur: bool) -> Image.Image:
    """A stretch of the page as wide as the window, from `top`, in pixels."""
    if blur:
        look.page.add_style_tag(content=BLUR)
    width = look.page.viewport_size["width"]
    clip = {"x": 0, "y": round(top), "width": width, "height": height}
    return Image.open(io.BytesIO(look.page.screenshot(full_page=True, clip=clip))).convert("RGB")


def small(picture: Image.Image) -> bytes:
    """A picture as PNG of as many colours as `LARGEST` bytes have room for."""
    for colours in (256, 128, 64, 32):
        content = io.BytesIO()
        few = picture.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(content, "PNG", optimize=True)
        if content.tell() < LARGEST:
            break
    return content.getvalue()


def main() -> int:
    """Take and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="what `make audit` or `make publish` wrote")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--blur", action="store_true", help="blur the images of the data set")
    given = parser.parse_args()
    try:
        if not given.report.is_file():
            raise InputError(f"{given.report}: no such file; `make audit` makes it")
        with browsers.launched() as browser:
            pictures = {name: small(one) for name, one in taken(browser, given.report.resolve(), blur=given.blur)}
    except (InputError, servers.AbsentError) as error:
        print(shown(f"error: {error}"), file=sys.stderr)
        return 1
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        with atomic.file(given.folder / name) as temporary:
            temporary.write_bytes(content)
        print(f"{given.folder / name}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
