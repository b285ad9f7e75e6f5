"""What is known without shadow models, in words: if the members are known, and the forecast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mia.evaluation import members_known, tail


def sentences(measured: Mapping[str, Any], noun: str) -> list[str]:
    """One sentence for each number that was measured.

    measured: metrics/without_shadows.json. noun: what one audited record is called.
    """
    lines = []
    if measured.get("members_known"):
        lines.append(members_known.sentence(measured["members_known"], noun))
    if measured.get("loss_tnr"):
        lines.append(tail.sentence(measured["loss_tnr"], noun))
    return lines
