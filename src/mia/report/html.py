"""Pages that stand alone: one HTML file with its style, script and figures, which requests nothing from the network.

Templates lie in src/mia/report/templates; what they are given is escaped. A page forbids, by a policy in its head,
whatever it does not hold itself: a name of a class or of a file that is somebody's script stays text.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from mia.evaluation import wording
from mia.report import glossary
from mia.report.figures import style

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL = 96  # pixels: a larger image is made smaller

# Colours of the figures as the page's own, which are others in the dark.
COLOURS = {
    style.BLUE: "blue",
    style.VERMILION: "vermilion",
    style.GREEN: "green",
    style.ORANGE: "orange",
    style.PURPLE: "purple",
    style.SKY: "sky",
    style.BLACK: "ink",
    style.INK: "ink",
    style.MUTED: "muted",
    style.GRID: "line",
    style.PALE: "pale",
    style.GREY: "grey",
    "#FFFFFF": "paper",
}
_COLOUR = re.compile("#[0-9a-fA-F]{6}")
_NUMBER = re.compile(r"\d+\.\d{3,}")
_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_NAMING = ("clip-path", "fill", "filter", "mask", "stroke", f"{{{_LINK}}}href")


def render(template: str, **given: Any) -> str:
    """The page of a template and its values, with terms linked to the glossary at the page's end."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code, "colour": colour, "named": named, "words": wording.words}
    script = (TEMPLATES / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sheet = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    page = environment.get_template(template).render(
        script=Markup(script), script_digest=digest, style=Markup(sheet), glossary=glossary.PAGE, **given
    )
    return glossary.linked(page)


def colour(code: str) -> str:
    """A colour of the figures, #RRGGBB, as CSS: the page's own of that name."""
    name = COLOURS.get(code.upper())
    return f"var(--{name})" if name else code


def code(text: str) -> Markup:
    """A text whose parts in backticks are code."""
    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", str(escape(text))))


def named(name: str) -> str:
    """The name of a class or a file, which a user chose, as visible text."""
    return name if name.strip() else "(no name)"


def figure(drawn: Figure, name: str, description: str) -> Markup:
    """A figure as SVG within the page, in the page's colours; its width at the most that it was laid out for.

    name: tells its parts from those of the page's other figures. description: what somebody reads who does not see it.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _LINK)
    root = ElementTree.fromstring(style.svg(drawn))
    for at, child in reversed(list(enumerate(root))):
        if child.tag == f"{{{_SVG}}}metadata":
            del root[at]
    used = _ids_used(root)
    for element in root.iter():
        if (own := element.attrib.pop("id", None)) in used:
            element.set("id", f"{name}-{own}")
        for key, value in element.attrib.items():
            element.set(key, _for_page(key, value, name))
    width = float(root.attrib.pop("width").removesuffix("pt")) / 72
    root.attrib.pop("height")
    root.attrib |= {"role": "img", "aria-label": description, "style": f"max-width:{100 * width:.0f}px"}
    text = ElementTree.tostring(root, encoding="unicode")
    return Markup(text)  # made by matplotlib, which escapes text; parsed and written again by ElementTree


def _ids_used(root: ElementTree.Element) -> set[str]:
    """The ids that attributes of some element name."""
    used = set()
    for element in root.iter():
        for value in (element.get(key, "") for key in _NAMING):
            if match := re.fullmatch(r"url\(#(.+)\)|#(.+)", value):
                used.add(match[1] or match[2])
    return used


def _for_page(key: str, value: str, name: str) -> str:
    """The value of an attribute: ids begin with the figure's name, colours are the page's, numbers are short."""
    if key in _NAMING:
        return re.sub(r"^(url\(#|#)(.+?)(\)?)$", rf"\g<1>{name}-\g<2>\g<3>", value)
    if key == "style":
        return _COLOUR.sub(lambda match: colour(match[0]), value)
    if key in ("d", "points", "x", "y", "transform"):
        value = _NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)
        return " ".join(value.split())
    return value


def image(pixels: NDArray[np.uint8]) -> str:
    """An image, (height, width, 1 or 3) uint8, as a PNG in a data URL; at most `THUMBNAIL` pixels a side."""
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
