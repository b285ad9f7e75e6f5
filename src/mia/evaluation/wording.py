"""A measured number and its limits as text: one wording for pages, tables, figures and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

PERCENT = "{value}{unit} ({low} to {high})"  # of rates in percent: 37 % (34 to 40)
FRACTION = "{value}{unit} ({low}–{high})"  # of an AUC and of rates as fractions: .787 (.782–.793)


def with_limits(estimate: Sequence[float], text: Callable[[float], str], *, unit: str = "", form: str = PERCENT) -> str:
    """Return a value with its limits as text.

    estimate: (value, low, high), which `text` makes text of one by one. unit: what follows the value, with its space,
    as in " %". form: `PERCENT` or `FRACTION`.
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
    """Return what makes text of a fraction, with so many decimals and no zero before the point: .787, 1.000."""
    return lambda number: f"{number:.{digits}f}".removeprefix("0")


def fraction(entry: Mapping[str, Any], name: str, digits: int = 3) -> str:
    """Return the number of that name with its limits, with so many decimals: .787 (.782–.793)."""
    return with_limits(estimate(entry, name), decimals(digits), form=FRACTION)


def p_value(p: float) -> str:
    """Return a p-value as text, with its sign: = .036, or < .001."""
    return f"= {p:.2g}".replace("= 0.", "= .") if p >= 0.001 else "< .001"


def words(name: str) -> str:
    """Return the name of an attack or classifier as text: rmia_offline as "rmia offline"."""
    return name.replace("_", " ")
