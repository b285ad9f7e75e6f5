"""Faults of params.yaml in words: the place, the rule, the value that came, the key or name that was meant."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlevel = 3


def in_words(fault: Any, schema: type[BaseModel], path: Path, audit: Path) -> str:
    """One fault that pydantic found in values of `schema`: the file, where, what was expected, what came.

    path: params.yaml. audit: the file of the section `audit`.
    """
    place = tuple(fault["loc"])
    if place[:1] == ("audit",) and len(place) > 1:
        # pydantic puts the source of data and the kind of target in between
        shown = (place[1], *place[3:]) if place[1] in ("data", "target") else place[1:]
        return f"{audit}: {_in_words(fault, schema, shown, place)}"
    return f"{path}: {_in_words(fault, schema, place, place)}"


def _in_words(fault: Any, schema: type[BaseModel], shown: Sequence[int | str], place: tuple[int | str, ...]) -> str:
    name = ".".join(str(part) for part in shown) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{name}: unknown key; {hint(fault['loc'][-1], _keys(schema, place[:-1]))}"
    if fault["type"] == "missing":
        return f"{name}: missing; `git diff` shows what was removed"
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        given = fault["input"].get("source") if isinstance(fault["input"], dict) else fault["input"]
        expected = fault["ctx"].get("expected_tags") or "'digits', 'cifake', 'cifar10', 'images'"
        return f"{name}.source: expected one of {expected}, got {short(given)}"
    if fault["type"] == "value_error":
        return f"{name}: {fault['ctx']['error']}, got {short(fault['input'])}"
    if fault["type"] in ("too_short", "too_long"):
        least = fault["ctx"].get("min_length")
        rule = f"at least {least}" if least is not None else f"at most {fault['ctx']['max_length']}"
        return f"{name}: expected {rule} items, got {short(fault['input'])}"
    rule = fault["msg"].removeprefix("Input should be ").replace("a valid integer", "an integer")
    rule = rule.replace("a valid ", "a ").replace(f" or instance of {schema.__name__}", "")
    return f"{name}: expected {rule[0].lower() + rule[1:]}, got {short(fault['input'])}"


def hint(name: Any, known: Sequence[str]) -> str:
    """The known name that was meant, or all of them where none is close."""
    return did_you_mean(name, known) or f"expected one of {', '.join(known)}"


def did_you_mean(name: Any, known: Sequence[str]) -> str:
    """The known name that was meant, as a question; empty where none is close."""
    close = difflib.get_close_matches(name[:200] if isinstance(name, str) else short(name), known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else ""


def short(value: Any) -> str:
    """The value as it came, the first of it: nine lists, each of the last one's names ten times, are gigabytes."""
    return _SHORT.repr(value)


def _keys(schema: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at `place` may hold."""
    model: Any = schema
    for part in place:
        kinds = _sections(model)
        if len(kinds) > 1:  # kinds of data or target, whose source or tag pydantic puts into the place
            model = next(kind for kind in kinds if part in _tags(kind))
        else:
            model = kinds[0].model_fields[str(part)].annotation
    return list(_sections(model)[0].model_fields)


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections that an annotation allows."""
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]


def _tags(section: type[BaseModel]) -> tuple[str, ...]:
    """What pydantic calls a kind of data, by its source, or a kind of target."""
    if source := section.model_fields.get("source"):
        return get_args(source.annotation)
    return ("estimator",) if "estimator" in section.model_fields else ("network",)
