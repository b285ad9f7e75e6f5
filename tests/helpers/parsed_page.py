"""A page of ours, parsed: its text, what it loads, and which tags are not closed in order."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"br", "img", "meta", "line", "circle", "path", "rect", "use"}


class Parsed(HTMLParser):
    """What a page holds. wrong: tags that do not close what was opened last. loads: attributes that load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []
        self.titles: list[str] = []
        self.before = ["", ""]  # the last two of "text" and tags: a link within a sentence does not part it
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.before = [self.before[1], tag]
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [
            value or "" for name, value in attrs if name in ("src", "srcset", "href", "xlink:href", "data", "action")
        ]
        self.loads += [one for _, value in attrs for one in re.findall(r"url\(([^)]*)\)", value or "")]

    def handle_endtag(self, tag: str) -> None:
        self.before = [self.before[1], tag]
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.wrong.append(f"</{tag}> in line {self.getpos()[0]}")

    def handle_data(self, data: str) -> None:
        if self.before == ["text", "a"]:
            self.text[-1] += data
        else:
            self.text.append(data)
        self.before = [self.before[1], "text"]
        if self.open and self.open[-1] == "h1":
            self.titles.append(data)
