"""A table as text: Markdown for a page, columns for a terminal, and the cell that holds an estimate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any

from mia.evaluation import wording

Rows = Sequence[Sequence[str]]  # the head first; every row has as many cells


def markdown(rows: Rows, words: Collection[int] = (0,)) -> str:
    """The rows as a Markdown table. words: the columns that are set to the left; all others hold numbers."""
    head, *body = rows
    rule = ["---" if column in words else "---:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))


def plain(rows: Rows, width: int | None = None) -> str:
    """The rows in columns for a terminal. width: letters that fit on a line; of the columns the first that fit.

    The first two columns always stand.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        ends = accumulate(widths, lambda end, column: end + 2 + column)
        widths = widths[: max(sum(end <= width for end in ends), 2)]
    return "\n".join(
        "  ".join(cell.ljust(column) for cell, column in zip(row, widths, strict=False)).rstrip() for row in rows
    )


def interval(entry: Mapping[str, Any], name: str, digits: int) -> str:
    """A number of an attack with its limits and its spread over trainings: .787 (.782–.793) ± .014.

    A dash where the entry has no such number. entry: of metrics/attacks.json, with the keys `name`, `name_low`,
    `name_high` and, where it is known, `name_spread`.
    """
    if name not in entry:
        return "–"  # the non-members cannot resolve it
    spread = wording.another_training(entry, name, wording.decimals(digits))
    return wording.fraction(entry, name, digits) + spread


def without_spread(measured: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The attacks of which a spread over trainings is not known, by the reason."""
    by_reason: dict[str, list[str]] = {}
    for entry in measured:
        if entry.get("spread_missing"):
            by_reason.setdefault(entry["spread_missing"], []).append(entry["attack"])
    return by_reason
