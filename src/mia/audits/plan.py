"""`mia plan`: what each shadow must be trained on, for a script that trains them elsewhere, and what that takes here.

The design and the seeds are those of training here. Their answers come back to audits/NAME/answers/shadows
(mia.audits.elsewhere; of an audit of answers, mia.audits.given).
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from mia import params, paths, progress, seeds
from mia.audits import check, elsewhere
from mia.data import shadow_draws, stored_records
from mia.errors import InputError
from mia.models.lessons import Lesson, lesson_of
from mia.params import Params
from mia.store import atomic, parquet

PLAN = pa.schema(
    [
        pa.field("shadow", pa.int32()),  # its number, from 1: `model` in its answers
        pa.field("seed", pa.int64()),  # what training here gives to `build`, for its first weights
        pa.field("id", pa.string()),  # of a record about which it answers
        pa.field("label", pa.string()),
        pa.field("member", pa.bool_()),  # it is trained on the record
    ]
)
Add = Callable[[pa.Table], None]


def write(name: str, shadows: int, out: Path, knowledge: str | None = None) -> None:
    """Write the table PLAN for an audit, a row a shadow and record, and print what it holds and the next steps.

    shadows: how many. out: a .parquet or .csv file, overwritten. knowledge: attacker.knowledge instead of the one in
    params.yaml. Raises InputError where a value is not as it must be, or the audit cannot be read.
    """
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise InputError(f"--out: expected a name that ends in .parquet or .csv, got {out}; choose another")
    values = params.load(paths.PARAMS, audit=name, knowledge=knowledge)
    if shadows < 1 or (values.attacker.knowledge == "population" and shadows % 2):
        even = "an even number, as two shadows share the records" if shadows > 0 else "1 or more"
        raise InputError(f"--shadows: expected {even}, got {shadows}; choose another")
    out = out.absolute()
    with check.apart():
        importlib.import_module("stages.prepare").main(values)
        time_here = foretold(values, shadows)
        trained_on = _write(values, shadows, out)
    print(f"{out.name}: {shadows} shadows of {paths.audit(name)}, each trained on {trained_on}")
    print(time_here, end="\n" if time_here else "")
    print("\n".join(next_steps(name, out.name, values.attacker.knowledge)))


def _write(values: Params, shadows: int, out: Path) -> str:
    """Write the table; `200 of its 400 records`."""
    names = {"population": stored_records.load_records(paths.POPULATION)}
    if values.attacker.knowledge != "population":
        names["attacker"] = stored_records.load_records(paths.ATTACKER)
    every = pd.concat(names.values(), keys=names, names=["source", None]).reset_index("source")
    ids = elsewhere.ids({source: each["name"].tolist() for source, each in names.items()}, values.attacker.knowledge)
    classes = np.array(stored_records.load_classes(paths.POPULATION))
    columns = {"id": [name for each in ids.values() for name in each], "label": classes[every["label"]]}
    attacker = names.get("attacker", names["population"])
    before = len(every) - len(attacker)  # of the attacker's own, those of the population
    with _writer(out) as add:
        for index in progress.bar(range(shadows), "plan", unit="shadow"):
            membership = _drawn(values, index, attacker)
            member = np.zeros(len(every), bool)
            member[before + membership.loc[membership["is_member"], "sample_id"].to_numpy()] = True
            seed = seeds.integer(values.seed, "initial weights", index + 1)
            frame = pd.DataFrame({"shadow": index + 1, "seed": seed, **columns, "member": member})
            add(pa.Table.from_pandas(frame, PLAN, preserve_index=False))
    whose = "the attacker's " if before else ""
    return f"{int(member.sum()):,} of {whose}{len(every) - before:,} records"


def _drawn(values: Params, index: int, attacker: pd.DataFrame) -> pd.DataFrame:
    """What shadow `index` (from 0) is trained on (MEMBERSHIP), of the attacker's records (stored_records.RECORDS)."""
    published = attacker["published_train"].to_numpy(bool)
    group = attacker["group"].to_numpy(np.int64)
    return shadow_draws.drawn(values, group, published if published.any() else None, index)


@contextmanager
def _writer(out: Path) -> Iterator[Add]:
    """A function that appends rows of PLAN to a file, which is there whole or not at all."""
    if out.suffix.lower() == ".parquet":
        with parquet.writer(out, PLAN) as add:
            yield add
        return
    with atomic.file(out) as temporary, pyarrow.csv.CSVWriter(temporary, PLAN) as file:
        yield file.write_table


def foretold(values: Params, shadows: int) -> str:
    """What training them here would take, from a timed fit or timed steps; empty where the audit has no recipe."""
    if values.audit.kind == "answers":
        return ""
    lesson = lesson_of(values.seed, _drawn(values, 0, stored_records.load_records(paths.ATTACKER)))
    if values.audit.kind == "estimator":
        return _of_fit(values, lesson, shadows)
    from mia.models import outlook

    size = values.audit.sizes
    shape = stored_records.load(paths.ATTACKER).images.shape[1:]
    classes = len(stored_records.load_classes(paths.POPULATION))
    work = outlook.shadows(
        "shadows", str(values.audit.path), values.audit.shadow_recipe, shape, classes, [lesson] * shadows, size.together
    )
    return f"Here they would take about {outlook.duration(outlook.expected(work).seconds)}."


def _of_fit(values: Params, lesson: Lesson, shadows: int) -> str:
    from mia.audits import fitted
    from mia.models import fitting

    records = fitted.sources(values.attacker.knowledge)
    began = time.perf_counter()
    fitting.fit(fitted.maker(values.audit), records, next(reversed(records)), lesson)
    took = time.perf_counter() - began
    whole = took * shadows
    duration = f"{whole:.0f} s" if whole < 120 else f"{whole / 60:.0f} min" if whole < 7200 else f"{whole / 3600:.1f} h"
    return f"One took {took:.2f} s to fit and to query here: all would take about {duration} of one core."


def next_steps(name: str, plan: str, knowledge: str) -> list[str]:
    """What to do with a plan, line by line."""
    folder = paths.audit(name)
    return [
        "Next (docs/your-own.md has a script):",
        f"  1. Train each shadow on its rows of {plan} with member = true. Its seed is in the column seed.",
        "  2. Let it answer about all of its rows. Write shadows.parquet: model (its number), id, member, p_CLASS, ...",
        f"  3. cp shadows.parquet {folder}/answers/shadows/ && mia check {name} --knowledge {knowledge}",
        f"  4. git add {folder} && dvc exp run -S audit={name} -S attacker.knowledge={knowledge}",
    ]
