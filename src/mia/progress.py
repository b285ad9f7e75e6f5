"""Progress on stderr: bars where it is a terminal; elsewhere, as in a log of `dvc queue`, a line a minute."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
line = 0  # of the terminal that this process's bars stand on; several processes write to one
EVERY = 60.0  # seconds between two lines of a log; what is done before the first one says nothing


class _Log(tqdm):  # type: ignore[type-arg]
    """A bar that writes whole lines, none of them over another."""

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write how far it is, and how long it will take to the end at the pace so far."""
        told = dict(self.format_dict)
        done = (
            f"{told['n']:,} of {told['total']:,} {told['unit']}" if told["total"] else f"{told['n']:,} {told['unit']}"
        )
        left = ""
        if told["total"] and told["n"] > told["initial"]:
            pace = (told["n"] - told["initial"]) / told["elapsed"]
            left = f", about {self.format_interval((told['total'] - told['n']) / pace)} left"
        print(f"{self.desc}: {done} after {self.format_interval(told['elapsed'])}{left}", file=self.fp, flush=True)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Kept for nothing: a line tells how far it is."""

    def close(self) -> None:
        """Say nothing at the end."""
        self.disable = True


def bar(items: Iterable[T], description: str, *, total: int | None = None, unit: str = "it", done: int = 0) -> tqdm[T]:
    """Iterate over items behind a bar that clears itself when done. done: what an earlier run did of them."""
    if not sys.stderr.isatty():
        return _Log(
            items,
            desc=description,
            total=total,
            unit=unit,
            initial=done,
            delay=EVERY,
            mininterval=EVERY,
            maxinterval=max(EVERY, 10.0),
        )
    return tqdm(
        items,
        desc=description,
        total=total,
        unit=unit,
        initial=done,
        leave=False,
        dynamic_ncols=True,
        position=line or None,
    )
