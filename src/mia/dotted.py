"""Parameters by their dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Nested sections as (dotted name, value), in their order. above: what all names begin with."""
    leaves: list[tuple[str, Any]] = []
    for name, value in values.items():
        leaves += flat(value, f"{above}{name}.") if isinstance(value, Mapping) else [(f"{above}{name}", value)]
    return leaves
