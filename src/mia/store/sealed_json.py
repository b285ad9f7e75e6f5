"""JSON that says whether it is whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def parse(text: str) -> Any:
    """Raises ValueError, of which JSONDecodeError is one, for whatever is no JSON."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("brackets in brackets in brackets, more than Python follows") from None


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def unseal(text: str) -> dict[str, Any]:
    """The values of `seal`. Raises ValueError where they are not those that were sealed."""
    values = parse(text)
    if not isinstance(values, dict) or values.pop("digest", None) != _digest(values):
        raise ValueError("its content does not have the digest it names: damaged")
    return values


def seal(values: Mapping[str, Any]) -> str:
    """JSON of these values and of their own digest, under the key `digest`."""
    return json.dumps({**values, "digest": _digest(values)}, indent=1, allow_nan=False) + "\n"
