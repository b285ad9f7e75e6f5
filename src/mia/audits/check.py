"""`mia check`: what can be wrong with an audit, found in seconds and all at once, before anything is trained."""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from mia import params, paths
from mia.attacks import own
from mia.audits import brought, elsewhere, fitted, given
from mia.data import stored_records
from mia.data.records import Records
from mia.errors import InputError
from mia.models import recipe_checks
from mia.params import Params


def check(name: str, knowledge: str | None = None) -> None:
    """Read an audit's values and data as the pipeline does, try its recipe, and print what was seen.

    knowledge: attacker.knowledge, where it is not the one in params.yaml. Nothing is written into the repository.
    Raises InputError with a line a fault.
    """
    values = params.load(paths.PARAMS, audit=name, knowledge=knowledge)
    if lacks := knowledge is None and _lacks_generated(values):
        values = values.model_copy(update={"attacker": values.attacker.model_copy(update={"knowledge": "population"})})
    faults: list[str] = []
    with apart():
        for step in (_read, _model, _recipe, _attacks):
            try:
                step(values)
            except InputError as error:
                faults.append(str(error))
                if not paths.POPULATION.exists():
                    break
    if faults:
        raise InputError("\n".join(dict.fromkeys(faults)))
    print(f"{paths.audit(name)}: no fault found")
    if lacks:
        print(
            "It holds no generated records, which attacker.knowledge in params.yaml asks for, and was checked as for "
            "population: add `-S attacker.knowledge=population` to `dvc exp run`"
        )


def _lacks_generated(values: Params) -> bool:
    """Whether params.yaml asks for generated records, as it does at first, and the user's audit has none."""
    if values.attacker.knowledge != "generated" or values.audit.data.source not in ("table", "images", "answers"):
        return False
    try:
        paths.brought(paths.audit(values.audit.name) / "data/generated", "")
    except InputError:
        return True
    return False


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """A folder of its own to write to, which holds a link to the audits."""
    audits = paths.AUDITS.resolve()
    with tempfile.TemporaryDirectory(prefix="mia-check-") as folder, contextlib.chdir(folder):
        os.symlink(audits, paths.AUDITS)
        yield


def _read(values: Params) -> None:
    """The first two stages, for real."""
    for stage in ("prepare", "split"):
        importlib.import_module(f"stages.{stage}").main(values)
    population = stored_records.load_records(paths.POPULATION)
    classes = stored_records.load_classes(paths.POPULATION)
    print(f"population: {len(population):,} records of {len(classes)} classes")
    if values.audit.door == "answers":
        members = int(given.target(values.audit).answers.is_member.sum())
        shadows = list(given.shadows(values.audit, 0))
        print(f"answers: {members:,} members, {len(population) - members:,} non-members; {len(shadows)} shadows")
    elif values.attacker.knowledge != "population":
        attackers = stored_records.load_records(paths.ATTACKER)
        print(f"attacker: {len(attackers):,} records")


def _model(values: Params) -> None:
    """The trained model answers a sample of queries."""
    if values.audit.door == "model":
        brought.check(values)


def _recipe(values: Params) -> None:
    """One model of the recipe, on a few records."""
    if values.audit.shadows_door == "elsewhere":
        shadows = elsewhere.read(values, fitted.sources(values.attacker.knowledge))
        print(f"shadows: {len(shadows)}, trained elsewhere")
    kind = values.audit.kind
    if kind == "answers":
        return
    records = stored_records.load(paths.POPULATION)
    lacking = np.setdiff1d(np.arange(len(records.classes)), records.labels)
    if len(lacking):
        raise InputError(f"population: expected records of every class, got none of {records.classes[lacking[0]]}")
    began, tried = time.perf_counter(), min(len(records), recipe_checks.RECORDS)
    if kind == "estimator":
        place = f"target.estimator: {values.audit.estimator.estimator}"
        recipe_checks.check(fitted.maker(values.audit), records, values.audit.place(place))
    else:
        tried = _network(values, records)
    print(f"recipe: tried on {tried} records in {time.perf_counter() - began:.1f} s")


def _attacks(values: Params) -> None:
    """The user's own attacks are imported, and score nothing."""
    if attacks := own.read(paths.audit(values.audit.name) / "attacks"):
        print(f"attacks: {', '.join(attack.name for attack in attacks)}")


def _network(values: Params, records: Records) -> int:
    """On how many records a network was tried."""
    from mia.models import network_checks

    return network_checks.check(values.audit.recipe, records)
