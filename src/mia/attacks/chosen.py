"""Which attacks run, and in what order."""

from __future__ import annotations

from typing import Literal, get_args

from mia.params import AttackName


def wanted(run: Literal["all"] | list[AttackName], *among: str) -> list[str]:
    """The attacks that `attacks.run` asks for, in the order of AttackName; of those named, where any are."""
    asked = get_args(AttackName) if run == "all" else run
    return [attack for attack in get_args(AttackName) if attack in asked and (not among or attack in among)]
