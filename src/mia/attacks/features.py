"""Attack features: the columns an attack model is fitted on, named so that a table explains itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mia.arrays import Integers
from mia.attacks import signals
from mia.errors import InputError

# What can be computed where the answers hold less than posteriors (models.logits.SIGNALS, holds).
KNOWN: dict[str, tuple[str, ...]] = {"loss": ("loss", "margin"), "predicted": ("correctness",)}


def names(columns: Sequence[str], n_classes: int) -> list[str]:
    """The feature columns of a choice of: posteriors, sorted_posteriors, signals, label. In this order, each once."""
    every = {
        "posteriors": [f"posterior_{label}" for label in range(n_classes)],
        "sorted_posteriors": [f"sorted_posterior_{rank}" for rank in range(n_classes)],
        "signals": list(signals.NAMES),
        "label": [f"label_{label}" for label in range(n_classes)],
    }
    return [name for kind, kind_names in every.items() if kind in columns for name in kind_names]


def stored(columns: Sequence[str], n_classes: int) -> list[str]:
    """The columns of a features table: signals and posteriors, which attacks read by name, then what `names` adds."""
    return list(dict.fromkeys([*signals.NAMES, *names(["posteriors", *columns], n_classes)]))


def chosen(available: Iterable[str], columns: Sequence[str]) -> list[str]:
    """The feature columns of a choice among those a features table has, in the table's order.

    Raises InputError where a part of the choice has no column there.
    """
    kinds = {"posteriors": r"posterior_\d+", "sorted_posteriors": r"sorted_posterior_\d+", "label": r"label_\d+"}
    kinds["signals"] = "|".join(signals.NAMES)
    names = list(available)
    for kind in columns:
        if not any(re.fullmatch(kinds[kind], name) for name in names):
            raise InputError(f"data/features: no column of {kind}; `dvc repro` makes the tables anew")
    wanted = "|".join(kinds[kind] for kind in columns)
    return [name for name in names if re.fullmatch(wanted, name)]


def refusal(frame: pd.DataFrame) -> str | None:
    """Why no attack model can be fitted on a features table of shadows; None where one can."""
    if frame.empty:
        return "needs shadows"
    return None if "entropy" in frame else "the answers hold no posteriors"


def drawn(records: int, quota: int, rng: np.random.Generator) -> Integers:
    """Which of a shadow's records have a row of features, ascending: more of them with a larger quota, none other."""
    return np.sort(rng.permutation(records)[:quota])


def subset(frame: pd.DataFrame, per_model: int, rng: np.random.Generator) -> pd.DataFrame:
    """At most `per_model` rows of each model in a features table, as near to half members as there are; in its order.

    rng draws a permutation for the members and one for the non-members of each model, in the order of the table.
    """
    rows = []
    for model_id in frame["model_id"].unique():
        for side in (True, False):
            of_side = np.flatnonzero((frame["model_id"] == model_id) & (frame["is_member"] == side))
            rows.append(rng.permutation(of_side)[: per_model // 2])
    return frame.iloc[np.sort(np.concatenate(rows))]


def compute(
    logits: NDArray[np.float32], labels: NDArray[np.int64], columns: Sequence[str], holds: str = "posteriors"
) -> pd.DataFrame:
    """The stored columns for logits (samples, classes) and true labels (samples,).

    posteriors: softmax outputs by class, as in Shokri et al. 2017. sorted_posteriors: the same, largest first, so that
    the class does not matter (Salem et al. 2019). signals: those of the true class. label: one column a class, 0 or 1.
    """
    n_classes = logits.shape[1]
    p = signals.posteriors(logits)
    every = {
        **signals.all_signals(logits, labels),
        **dict(zip(names(["posteriors"], n_classes), p.T, strict=True)),
        **dict(zip(names(["sorted_posteriors"], n_classes), -np.sort(-p, axis=1).T, strict=True)),
        **dict(zip(names(["label"], n_classes), np.eye(n_classes)[labels].T, strict=True)),
    }
    known = KNOWN.get(holds, every)
    return pd.DataFrame({name: every[name] for name in stored(columns, n_classes) if name in known})
