"""A real Chromium, the one that is installed, driven by Playwright; AbsentError says what is missing and how to get it.

A page is looked at as somebody who opens the file: nothing is served, and what it asks for is written down.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import servers

# No call home of the browser's own, and no compositing by a graphics card, so that pixels are alike on other machines.
ARGUMENTS = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars")
PARTS = ("playwright", "axe_playwright_python")


@contextmanager
def launched() -> Iterator[Any]:
    """The browser, until the block ends."""
    absent = [part for part in PARTS if importlib.util.find_spec(part) is None]
    if absent:
        raise servers.AbsentError(f"{' and '.join(absent)}: not installed; `make browser` installs it")
    chromium = servers.program("chromium", "`apt-get install chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Look:
    """A file opened in a window of its own. said: what the console and the page complain of. asked: addresses."""

    def __init__(
        self, browser: Any, path: Path, *, width: int = 1280, dark: bool = False, script: bool = True, scale: float = 1
    ) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.path = path
        self.context = browser.new_context(
            viewport={"width": width, "height": 800},
            device_scale_factor=scale,
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            reduced_motion="reduce",
        )
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("dialog", self.dismiss)
        network = self.context.new_cdp_session(self.page)
        network.send("Network.enable")
        network.on("Network.requestWillBeSent", lambda event: self.asked.append(event["request"]["url"]))
        self.page.goto(path.as_uri())

    def __enter__(self) -> Look:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def dismiss(self, dialog: Any) -> None:
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def resize(self, width: int, *, dark: bool | None = None) -> None:
        self.page.set_viewport_size({"width": width, "height": 800})
        if dark is not None:
            self.page.emulate_media(color_scheme="dark" if dark else "light")

    def unfold(self) -> None:
        """Open every `details`, as a reader who wants all of it."""
        self.page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")

    def strings(self, script: str) -> list[str]:
        """What a function of JavaScript returns, a list of strings."""
        return [str(one) for one in self.page.evaluate(script)]

    @property
    def outside(self) -> list[str]:
        """What was asked for beside the file itself and what it holds as data."""
        return [url for url in self.asked if url != self.path.as_uri() and not url.startswith("data:")]
