"""A measured number and its limits as text: one wording for pages, tables, figures and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

PROSE = "{value}{unit} ({low} to {high})"  # in sentences and on pages: 37 % (34 to 40)
TABLE = "{value}{unit} ({low}–{high})"  # in narrow tables: .787 (.782–.793)
FIGURE = "{value} [{low}, {high}]{unit}"  # in figures: 0.600 [0.590, 0.610]


def with_limits(estimate: Sequence[float], text: Callable[[float], str], *, unit: str = "", form: str = PROSE) -> str:
    """Return a value with its limits as text.

    estimate: (value, low, high), which `text` makes text of one by one. unit: what follows the value, with its space,
    as in " %". form: `PROSE`, `TABLE` or `FIGURE`.
    """
    value, low, high = (text(number) for number in estimate)
    return form.format(value=value, low=low, high=high, unit=unit)


def another_training(entry: Mapping[str, Any], name: str, text: Callable[[float], str]) -> str:
    """Return the standard deviation over trainings of the number of that name, as in " ± .014"; empty where the entry
    has none: it was measured before there was one, or there are too few plays (`mia.evaluation.trainings`).
    """
    spread = entry.get(f"{name}_spread")
    return "" if spread is None else f" ± {text(spread)}"


def estimate(entry: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    """Return the value of that name with its limits, (value, low, high), as the files in metrics/ hold them."""
    return entry[name], entry[f"{name}_low"], entry[f"{name}_high"]


def decimals(digits: int) -> Callable[[float], str]:
    """Return what makes text of a number, with so many decimals."""
    return lambda number: f"{number:.{digits}f}"


def number(entry: Mapping[str, Any], name: str, digits: int, *, form: str = PROSE) -> str:
    """Return the number of that name with its limits, with so many decimals."""
    return with_limits(estimate(entry, name), decimals(digits), form=form)
