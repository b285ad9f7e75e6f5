"""The worst case and the forecast in words, for the terminal and the page: numbers that need no shadow models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mia.evaluation import tail, worst_case


def sentences(measured: Mapping[str, Any], noun: str) -> list[str]:
    """The worst case and the forecast, those that were measured.

    measured: metrics/without_shadows.json. noun: what one audited record is called.
    """
    lines = []
    if measured.get("worst_case"):
        lines.append(worst_case.sentence(measured["worst_case"], noun))
    if measured.get("loss_tnr"):
        lines.append(tail.sentence(measured["loss_tnr"], noun))
    return lines
