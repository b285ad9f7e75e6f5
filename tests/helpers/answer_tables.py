"""Tables of made-up answers, small enough to check by hand, and files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mia.arrays import Bools
from mia.data import answers
from mia.data.answers import Given

SUFFIXES = ("csv", "parquet")

# Three classes, two members and two non-members; the largest probability is of the label in the first three.
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [0.125, 0.125, 0.75], [0.5, 0.25, 0.25]])
LABELS = np.array([0, 1, 2, 2])
MEMBER = np.array([True, True, False, False])
P = {f"p_{name}": PROBABILITIES[:, name] for name in range(3)}
BASE = {"id": [1, 2, 3, 10], "label": LABELS, "member": MEMBER}


def table(answers_columns: dict[str, Any] | None = None, **changes: Any) -> pd.DataFrame:
    """The records above with some columns others; a column set to None is left out."""
    columns = {**BASE, **(P if answers_columns is None else answers_columns), **changes}
    return pd.DataFrame({name: values for name, values in columns.items() if values is not None})


def shadow_table(*names: str, **changes: Any) -> pd.DataFrame:
    """Shadows in long form; each was trained on two other records."""
    rolled = [table(model=name, member=np.roll(MEMBER, 1 + number)) for number, name in enumerate(names)]
    return pd.concat(rolled, ignore_index=True).assign(**changes)


def write(path: Path, frame: pd.DataFrame) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path


def text(path: Path, *rows: str) -> Path:
    path.write_bytes("\n".join(rows).encode() + b"\n")
    return path


def read(tmp_path: Path, frame: pd.DataFrame, suffix: str = "parquet") -> Given:
    return answers.read_target(write(tmp_path / f"target.{suffix}", frame))


def arrow(tmp_path: Path, **columns: Any) -> Given:
    """Read a Parquet file of Arrow's columns in place of those above."""
    wide = {} if {"logits", "probabilities"} & columns.keys() else P
    plain = {name: pa.array(values) for name, values in {**BASE, **wide}.items()}
    pq.write_table(pa.table({**plain, **columns}), tmp_path / "target.parquet")
    return answers.read_target(tmp_path / "target.parquet")


def world(*, leak: float, shadows: int = 0, records: int = 300, classes: int = 4) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Probabilities of a target and, in long form, of shadows, of which each pair was trained on the two halves.

    A label's logit is larger by `leak` for those that a model was trained on; how hard a record is all models share.
    """
    rng = np.random.default_rng(7)
    labels, ease = rng.integers(0, classes, records), rng.normal(2, 1, records)

    def model(member: Bools) -> pd.DataFrame:
        logits = rng.normal(0, 0.5, (records, classes))
        logits[np.arange(records), labels] += ease + leak * member
        exponents = np.exp(logits)
        probabilities = exponents / exponents.sum(axis=1, keepdims=True)
        columns = {f"p_{name}": probabilities[:, name] for name in range(classes)}
        return pd.DataFrame({"id": np.arange(records), "label": labels, "member": member, **columns})

    target = model(rng.permutation(records) < records // 2)
    halves = [rng.permutation(records) < records // 2 for _ in range(shadows // 2)]
    each = [model(half if number % 2 else ~half).assign(model=f"s{pair + number * shadows // 2}")
            for pair, half in enumerate(halves) for number in range(2)]  # fmt: skip
    return target, pd.concat(each or [target.iloc[:0]])
