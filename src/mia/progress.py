"""Progress bars: on stderr, and only where stderr is a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
line = 0  # of the terminal that this process's bars stand on; several processes write to one


def bar(items: Iterable[T], description: str, *, total: int | None = None, unit: str = "it", done: int = 0) -> tqdm[T]:
    """Iterate over items behind a bar that clears itself when done. done: what an earlier run did of them."""
    return tqdm(
        items,
        desc=description,
        total=total,
        unit=unit,
        initial=done,
        leave=False,
        disable=None,
        dynamic_ncols=True,
        position=line or None,
    )
