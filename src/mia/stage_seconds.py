"""Seconds that each stage took when it last ran here, kept where DVC keeps what is temporary."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

FOLDER = Path(".dvc/tmp/stage-seconds")  # a file a stage, NAME or NAME@BLOCK


def keep(stage: str, arguments: Sequence[str], seconds: float) -> None:
    """Note what a stage took. arguments: of its command, of which the last is its block. Nothing where no DVC is."""
    if FOLDER.parents[1].is_dir():
        with suppress(OSError):  # a stage that is done does not fail for this
            FOLDER.mkdir(parents=True, exist_ok=True)
            (FOLDER / "@".join([stage, *arguments[-1:]])).write_text(f"{seconds:.2f}\n", encoding="utf-8")


def last() -> dict[str, dict[str, float]]:
    """Seconds by stage and block; the block of a stage that has none is empty."""
    seconds: dict[str, dict[str, float]] = defaultdict(dict)
    for path in sorted(FOLDER.glob("*")):
        with suppress(OSError, ValueError):
            stage, _, block = path.name.partition("@")
            seconds[stage][block] = float(path.read_text(encoding="utf-8"))
    return dict(seconds)
