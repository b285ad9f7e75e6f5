"""What a grid of experiments found, as a table and a figure: `mia grid`.

Reads the experiments that `dvc exp run` made of the current commit, whatever parameters they differ in, and of each its
metrics/attacks.json and metrics/target.json, out of git. Writes reports/grid.md and reports/grid.png. Exit code 1 where
an experiment failed or has not run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pandas as pd
import psutil
from pydantic import BaseModel

from mia import params, paths
from mia.errors import InputError
from mia.evaluation import metrics
from mia.report import dotted, show
from mia.report.figures import grid as grid_figure
from mia.report.figures import style
from mia.repository import git
from mia.store import atomic

OUT = Path("reports/grid")
FPR = 0.01
HOW = "`dvc exp run -S PARAMETER=VALUE` makes one, `make grid` several"


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


def experiments(shown: Iterable[Mapping[str, Any]], wanted: Sequence[str] = ()) -> list[Experiment]:
    """The experiments in what `dvc exp show --json` says, the newest of those with the same parameters.

    One that ran goes before one that did not. wanted: names, `*` and `?` as in a shell; none: all.
    """
    found: dict[str, Experiment] = {}
    for group in [group for entry in shown for group in entry["experiments"] or ()]:
        last = group["revs"][-1]
        data = last["data"] or {}
        declared = data.get("params", {}).get(paths.PARAMS.name, {}).get("data", {})
        one = Experiment(
            name=last["name"] or last["rev"][:7],
            state=state_of(group["executor"] or {}),
            rev=last["rev"],
            values=dotted.flat(declared),
            time=data.get("timestamp") or "",
        )
        if wanted and not any(fnmatch(one.name, pattern) for pattern in wanted):
            continue
        key = json.dumps(one.values or one.name, sort_keys=True)
        if key not in found or rank(one) > rank(found[key]):
            found[key] = one
    return list(found.values())


def state_of(executor: Mapping[str, Any]) -> str:
    """What has become of an experiment. DVC calls one running, for ever, whose worker was killed: stopped."""
    state: str = executor.get("state", "success")
    pid = (executor.get("local") or {}).get("pid")
    return "stopped" if state == "running" and pid and not psutil.pid_exists(pid) else state


def rank(one: Experiment) -> tuple[bool, str]:
    """What ran over what did not, then the newer."""
    return one.state == "success", one.time


def axes(some: Sequence[Experiment]) -> dict[str, list[Any]]:
    """The parameters that the experiments differ in, and the values of each, in order.

    Numbers go by size, a parameter's choices as src/mia/params.py lists them, anything else by its text.
    """
    names = dict.fromkeys(name for one in some for name in one.values)
    found = {}
    for name in names:
        texts = {json.dumps(one.values.get(name)) for one in some}
        if len(texts) > 1:
            choices = [json.dumps(choice) for choice in declared_choices(name)]

            def place(text: str, choices: list[str] = choices) -> tuple[int, float, str]:
                value = json.loads(text)
                number = value if isinstance(value, int | float) else 0
                return choices.index(text) if text in choices else len(choices), number, text

            found[name] = [json.loads(text) for text in sorted(texts, key=place)]
    return found


def declared_choices(name: str) -> tuple[Any, ...]:
    """What a parameter may be, where src/mia/params.py lists that."""
    section: Any = params.Params
    for part in name.split("."):
        if not (isinstance(section, type) and issubclass(section, BaseModel) and part in section.model_fields):
            return ()
        section = section.model_fields[part].annotation
    return get_args(section) if get_origin(section) is Literal else ()


def short(names: Iterable[str]) -> dict[str, str]:
    """Each dotted name's last part, or all of it where two end alike."""
    names = list(names)
    ends = [name.rpartition(".")[2] for name in names]
    return {name: end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)}


def read(one: Experiment, path: Path) -> Any:
    """A metrics file of an experiment, out of its commit. Raises InputError where it is not there."""
    said = git("show", f"{one.rev}:./{path.as_posix()}")
    if said is None:
        raise InputError(f"{path}: experiment {one.name} has none; `dvc exp remove {one.name}`, then run it again")
    return json.loads(said)


def strongest(measured: Iterable[Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """The attack with the largest mean AUC of those that every experiment has, and loss, which needs no shadow."""
    every = list(measured)
    common = [attack for attack in every[0] if all(attack in of_attack for of_attack in every)]
    if not common:
        raise InputError("these experiments have no attack in common; name some: --attacks loss,stacked")
    best = max(common, key=lambda attack: sum(of_attack[attack]["auc"] for of_attack in every))
    return list(dict.fromkeys([best, *(attack for attack in ("loss",) if attack in common)]))


def table(
    some: Sequence[Experiment],
    measured: Mapping[str, Mapping[str, Mapping[str, Any]]],
    gaps: Mapping[str, float],
    attacks: Sequence[str],
) -> list[tuple[str, ...]]:
    """A head, then a row an experiment: its values on the axes, what was measured, its name."""
    names = short(axes(some))
    head = [*names.values(), "target's gap"]
    for attack in attacks:
        head += [f"{attack.replace('_', ' ')}: AUC", f"TPR at {100 * FPR:g} % FPR"]
    rows = [(*head, "experiment")]
    for one in some:
        row = [label(one.values.get(name)) for name in names]
        if one.state == "success":
            row.append(f"{gaps[one.name]:.3f}".removeprefix("0"))
            for attack in attacks:
                of_attack = dict(measured[one.name].get(attack, {}))
                row += [show.interval(of_attack, "auc", 3), show.interval(of_attack, metrics.fpr_key(FPR), 4)]
        else:
            row += [one.state, *["–"] * (2 * len(attacks))]
        rows.append((*row, one.name))
    return rows


def label(value: Any) -> str:
    """A parameter's value as text."""
    return value if isinstance(value, str) else json.dumps(value)


def markdown(rows: Sequence[Sequence[str]], axes_count: int) -> str:
    """The rows as a Markdown table."""
    head, *body = rows
    rule = ["---"] * axes_count + ["---:"] * (len(head) - axes_count - 1) + ["---"]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *body))


def plain(rows: Sequence[Sequence[str]]) -> str:
    """The rows in columns for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def points(
    some: Sequence[Experiment],
    measured: Mapping[str, Mapping[str, Mapping[str, Any]]],
    attacks: Sequence[str],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What figures.grid.figure draws, and what it calls its x axis.

    x: the axis of numbers with the most values, else the first; the other axes make the series. No axis at all: names.
    """
    found = axes(some)
    names = short(found)
    numeric = [name for name, values in found.items() if all(isinstance(value, int | float) for value in values)]
    x = max(numeric or list(found)[:1], key=lambda name: len(found[name]), default="")
    if x:
        some = sorted(some, key=lambda one: found[x].index(one.values.get(x)))
    rows: list[dict[str, Any]] = []
    for one in some:
        series = ", ".join(f"{names[name]} {label(one.values.get(name))}" for name in found if name != x)
        at = label(one.values.get(x)) if x else one.name
        for attack in attacks:
            of_attack = measured.get(one.name, {}).get(attack, {})
            row: dict[str, Any] = {"attack": attack, "series": series, "at": at}
            for key, source in (("auc", "auc"), ("tpr", metrics.fpr_key(FPR))):
                row |= {f"{key}{end}": of_attack.get(f"{source}{end}") for end in ("", "_low", "_high")}
            rows.append(row)
    frame = pd.DataFrame(rows)
    numbers = [f"{key}{end}" for key in ("auc", "tpr") for end in ("", "_low", "_high")]
    return frame.astype(dict.fromkeys(numbers, "float64")), {"x": names.get(x, "experiment"), "joined": x in numeric}


def shown() -> Any:
    """What DVC says of the experiments on this commit."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "exp", "show", "--json", "--hide-workspace"], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise InputError(f"dvc exp show: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return json.loads(done.stdout)


def report(wanted: Sequence[str], asked: Sequence[str], out: Path) -> int:
    """Print the table, write table and figure; how many experiments failed or have not run."""
    some = experiments(shown(), wanted)
    if not some:
        raise InputError(f"no experiment on this commit{' has such a name' if wanted else ''}; {HOW}")
    order = axes(some)
    some.sort(key=lambda one: ([order[name].index(one.values.get(name)) for name in order], one.name))
    ran = [one for one in some if one.state == "success"]
    others = [one for one in some if one.state != "success"]
    for one in others:
        print(f"{one.name}: {one.state}: {NEXT.get(one.state, '`dvc queue status` tells more').format(one.name)}")
    if not ran:
        raise InputError("none of these experiments has run to its end")
    measured = {one.name: {entry["attack"]: entry for entry in read(one, paths.ATTACK_METRICS)} for one in ran}
    attacks = list(asked) or strongest(measured.values())
    known = {attack for of_attack in measured.values() for attack in of_attack}
    if unknown := [attack for attack in attacks if attack not in known]:
        raise InputError(f"--attacks: expected any of {', '.join(sorted(known))}, got {', '.join(unknown)}")
    gaps = {one.name: float(read(one, paths.TARGET_METRICS)["gap"]) for one in ran}
    rows = table(some, measured, gaps, attacks)
    print(f"\n{plain(rows)}\n")
    with atomic.file(out.with_suffix(".md")) as temporary:
        temporary.write_text(markdown(rows, len(order)) + "\n", encoding="utf-8")
    frame, axis = points(some, measured, attacks)
    style.save(grid_figure.figure(frame, **axis, fpr=FPR), out.with_suffix(".png"))
    print(f"95 % intervals; figure: {out.with_suffix('.png')}; table: {out.with_suffix('.md')}")
    return len(others)


NEXT = {
    "failed": "`dvc queue logs {0}` says why; `dvc queue remove {0}` forgets it",
    "queued": "`dvc exp run --run-all` runs it",
    "running": "`dvc queue logs {0} --follow` shows how far it is",
    "stopped": "its worker is gone: `dvc queue kill {0}`, then queue it again; what it finished comes from the cache",
}
