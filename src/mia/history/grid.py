"""A grid of experiments as a table and a figure: `mia grid`.

Reads the experiments that `dvc exp run` made of the current commit, whatever parameters they differ in, and of each its
metrics/attacks.json and metrics/target.json, out of git. Writes reports/grid.md and reports/grid.png. Exit code 1 where
an experiment failed or has not run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mia import paths
from mia.errors import InputError
from mia.evaluation import metrics
from mia.history import experiments
from mia.history.experiments import Experiment
from mia.report import text_table
from mia.report.figures import grid as grid_figure
from mia.report.figures import style
from mia.repository import git
from mia.store import atomic

FPR = 0.01
HOW = "`dvc exp run -S PARAMETER=VALUE` makes one, `make grid` several"
NEXT = {  # what to do about an experiment, by its state
    "failed": "`dvc queue logs {0}` says why; `dvc queue remove {0}` forgets it",
    "queued": "`dvc exp run --run-all` runs it",
    "running": "`dvc queue logs {0} --follow` shows how far it is",
    "stopped": "its worker is gone: `dvc queue kill {0}`, then queue it again; what it finished comes from the cache",
}

Attacks = Mapping[str, Mapping[str, Any]]  # an experiment's entries of metrics/attacks.json, by attack


def read(experiment: Experiment, path: Path) -> Any:
    """A metrics file of an experiment, out of its commit. Raises InputError if the commit lacks the file."""
    content = git("show", f"{experiment.rev}:./{path.as_posix()}")
    if content is None:
        name = experiment.name
        raise InputError(f"{path}: experiment {name} has none; `dvc exp remove {name}`, then run it again")
    return json.loads(content)


def attacks_of(experiment: Experiment) -> Attacks:
    """An experiment's entries of metrics/attacks.json."""
    return {entry["attack"]: entry for entry in read(experiment, paths.ATTACK_METRICS)}


def strongest(measured: Iterable[Attacks]) -> list[str]:
    """The attack with the largest mean AUC of those that every experiment has, and loss, which needs no shadow."""
    entries = list(measured)
    common = [attack for attack in entries[0] if all(attack in by_attack for by_attack in entries)]
    if not common:
        raise InputError("these experiments have no attack in common; name some: --attacks loss,stacked")
    best = max(common, key=lambda attack: sum(by_attack[attack]["auc"] for by_attack in entries))
    return list(dict.fromkeys([best, *(attack for attack in ("loss",) if attack in common)]))


def checked(attacks: Sequence[str], measured: Iterable[Attacks]) -> Sequence[str]:
    """The wanted attacks. Raises InputError if no experiment has measured one of them."""
    known = {attack for by_attack in measured for attack in by_attack}
    if unknown := [attack for attack in attacks if attack not in known]:
        raise InputError(f"--attacks: expected any of {', '.join(sorted(known))}, got {', '.join(unknown)}")
    return attacks


def table(
    grid: Sequence[Experiment], measured: Mapping[str, Attacks], gaps: Mapping[str, float], attacks: Sequence[str]
) -> list[tuple[str, ...]]:
    """A head, then a row an experiment: its values on the axes, what was measured, its name.

    measured, gaps: of each experiment that ran, by its name.
    """
    names = experiments.short(experiments.axes(grid))
    head = [*names.values(), "target's gap"]
    for attack in attacks:
        head += [f"{attack.replace('_', ' ')}: AUC", f"TPR at {100 * FPR:g} % FPR"]
    rows = [(*head, "experiment")]
    for experiment in grid:
        row = [label(experiment.values.get(name)) for name in names]
        if experiment.state == "success":
            row.append(f"{gaps[experiment.name]:.3f}".removeprefix("0"))
            for attack in attacks:
                entry = measured[experiment.name].get(attack, {})
                row += [text_table.interval(entry, "auc", 3), text_table.interval(entry, metrics.fpr_key(FPR), 4)]
        else:
            row += [experiment.state, *["–"] * (2 * len(attacks))]
        rows.append((*row, experiment.name))
    return rows


def label(value: Any) -> str:
    """A parameter's value as text."""
    return value if isinstance(value, str) else json.dumps(value)


def points(
    grid: Sequence[Experiment], measured: Mapping[str, Attacks], attacks: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What figures.grid.figure draws, and what it calls its x axis.

    x: the axis of numbers with the most values, else the first; the other axes make the series. No axis at all: names.
    """
    along = experiments.axes(grid)
    names = experiments.short(along)
    numeric = [name for name, values in along.items() if all(isinstance(value, int | float) for value in values)]
    x = max(numeric or list(along)[:1], key=lambda name: len(along[name]), default="")
    if x:
        grid = sorted(grid, key=lambda experiment: along[x].index(experiment.values.get(x)))
    ends = "", "_low", "_high"
    rows: list[dict[str, Any]] = []
    for experiment in grid:
        values = experiment.values
        series = ", ".join(f"{names[name]} {label(values.get(name))}" for name in along if name != x)
        for attack in attacks:
            entry = measured.get(experiment.name, {}).get(attack, {})
            at = label(values.get(x)) if x else experiment.name
            row: dict[str, Any] = {"attack": attack, "series": series, "at": at}
            for column, key in (("auc", "auc"), ("tpr", metrics.fpr_key(FPR))):
                row |= {f"{column}{end}": entry.get(f"{key}{end}") for end in ends}
            rows.append(row)
    numbers = [f"{column}{end}" for column in ("auc", "tpr") for end in ends]
    frame = pd.DataFrame(rows).astype(dict.fromkeys(numbers, "float64"))
    return frame, {"x": names.get(x, "experiment"), "joined": x in numeric}


def report(patterns: Sequence[str], attacks: Sequence[str], out: Path) -> int:
    """Print the table, write table and figure; how many experiments failed or have not run.

    patterns: of experiments' names; none: all. attacks: none: the strongest, and loss. out: without an ending.
    InputError: no such experiment, none that has run, no such attack, or a file of metrics is missing.
    """
    grid = experiments.newest(experiments.dvc_exp_show(), patterns)
    if not grid:
        raise InputError(f"no experiment on this commit{' has such a name' if patterns else ''}; {HOW}")
    along = experiments.axes(grid)
    grid = experiments.ordered(grid, along)
    ran = [experiment for experiment in grid if experiment.state == "success"]
    for experiment in grid:
        if experiment.state != "success":
            what = NEXT.get(experiment.state, "`dvc queue status` tells more").format(experiment.name)
            print(f"{experiment.name}: {experiment.state}: {what}")
    if not ran:
        raise InputError("none of these experiments has run to its end")
    measured = {experiment.name: attacks_of(experiment) for experiment in ran}
    attacks = checked(attacks or strongest(measured.values()), measured.values())
    gaps = {experiment.name: float(read(experiment, paths.TARGET_METRICS)["gap"]) for experiment in ran}
    rows = table(grid, measured, gaps, attacks)
    print(f"\n{text_table.plain(rows)}\n")
    with atomic.file(out.with_suffix(".md")) as temporary:
        words = {*range(len(along)), len(rows[0]) - 1}
        temporary.write_text(text_table.markdown(rows, words) + "\n", encoding="utf-8")
    frame, axis = points(grid, measured, attacks)
    style.save(grid_figure.figure(frame, **axis, fpr=FPR), out.with_suffix(".png"))
    print(f"95 % intervals; figure: {out.with_suffix('.png')}; table: {out.with_suffix('.md')}")
    return len(grid) - len(ran)
