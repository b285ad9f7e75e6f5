"""Experiments that `dvc exp run` made of the current commit, and the parameters in which they differ."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal, get_args, get_origin

import psutil
from pydantic import BaseModel

from mia import dotted, params, params_audit
from mia.errors import InputError

Axes = Mapping[str, Sequence[Any]]  # the values of each parameter that differs, in order, by its dotted name


@dataclass(frozen=True)
class Experiment:
    """One experiment. state: success, failed, queued, running or stopped. rev: the commit that holds its files.

    values: every parameter by its dotted name. time: when it was made, to sort by.
    """

    name: str
    state: str
    rev: str
    values: Mapping[str, Any]
    time: str


def dvc_exp_show() -> Any:
    """What `dvc exp show` prints of the experiments on this commit. Raises InputError where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "exp", "show", "--json", "--hide-workspace"], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise InputError(f"dvc exp show: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return json.loads(done.stdout)


def newest(listed: Iterable[Mapping[str, Any]], patterns: Sequence[str] = ()) -> list[Experiment]:
    """The experiments in what `dvc exp show --json` prints, the newest of those with the same parameters.

    One that ran goes before one that did not. patterns: of names, `*` and `?` as in a shell; none: all.
    """
    by_values: dict[str, Experiment] = {}
    for group in [group for commit in listed for group in commit["experiments"] or ()]:
        experiment = experiment_of(group)
        if patterns and not any(fnmatch(experiment.name, pattern) for pattern in patterns):
            continue
        key = json.dumps(experiment.values or experiment.name, sort_keys=True)
        if key not in by_values or rank(experiment) > rank(by_values[key]):
            by_values[key] = experiment
    return list(by_values.values())


def experiment_of(group: Mapping[str, Any]) -> Experiment:
    """An entry of `dvc exp show --json`, as its last revision has it."""
    last = group["revs"][-1]
    data = last["data"] or {}
    return Experiment(
        name=last["name"] or last["rev"][:7],
        state=state_of(group["executor"] or {}),
        rev=last["rev"],
        values=values_of(data.get("params", {})),
        time=data.get("timestamp") or "",
    )


def values_of(files: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter by its dotted name, out of params.yaml and the audit's file, as `dvc exp show` has them."""
    values: dict[str, Any] = {}
    for file in files.values():
        values |= dotted.flat(file.get("data") or {})
    return values


def state_of(executor: Mapping[str, Any]) -> str:
    """The state of an experiment. If its worker was killed, DVC calls the experiment running for ever: stopped."""
    state: str = executor.get("state", "success")
    pid = (executor.get("local") or {}).get("pid")
    return "stopped" if state == "running" and pid and not psutil.pid_exists(pid) else state


def rank(experiment: Experiment) -> tuple[bool, str]:
    """The key that sorts experiments that ran over the others, then newer over older."""
    return experiment.state == "success", experiment.time


def axes(grid: Sequence[Experiment]) -> dict[str, list[Any]]:
    """The parameters that the experiments differ in, and the values of each, in order.

    Numbers go by size, a parameter's choices as src/mia/params.py lists them, anything else by its text.
    """
    values = {}
    for name in dict.fromkeys(name for experiment in grid for name in experiment.values):
        texts = {json.dumps(experiment.values.get(name)) for experiment in grid}
        if len(texts) > 1:
            values[name] = [json.loads(text) for text in in_order(texts, declared_choices(name))]
    return values


def in_order(texts: Iterable[str], choices: Sequence[Any]) -> list[str]:
    """Values as JSON, sorted: those that are among the choices in their order, then by size, then by text."""
    places = {json.dumps(choice): place for place, choice in enumerate(choices)}

    def key(text: str) -> tuple[int, float, str]:
        value = json.loads(text)
        return places.get(text, len(places)), value if isinstance(value, int | float) else 0, text

    return sorted(texts, key=key)


def declared_choices(name: str) -> tuple[Any, ...]:
    """The values that a parameter may have, where src/mia/params.py lists them; else none."""
    for schema in (params.Params, params_audit.Audit):
        section: Any = schema
        for part in name.split("."):
            if not (isinstance(section, type) and issubclass(section, BaseModel) and part in section.model_fields):
                break
            section = section.model_fields[part].annotation
        else:
            if get_origin(section) is Literal:
                return get_args(section)
    return ()


def ordered(grid: Sequence[Experiment], along: Axes) -> list[Experiment]:
    """The experiments by their values on the axes, the first axis first, then by name."""
    return sorted(
        grid,
        key=lambda experiment: (
            [values.index(experiment.values.get(name)) for name, values in along.items()],
            experiment.name,
        ),
    )


def short(names: Iterable[str]) -> dict[str, str]:
    """Each dotted name's last part, or the whole name if two end alike."""
    names = list(names)
    ends = [name.rpartition(".")[2] for name in names]
    return {name: end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)}
