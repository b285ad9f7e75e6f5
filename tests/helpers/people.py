"""A made-up table of people: numbers, missing values, text; the label depends on them and on luck."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# The section `data` of an audit of it.
SETTINGS: dict[str, Any] = {
    "source": "table",
    "split": "half",
    "population_size": None,
    "attacker_size": None,
    "label": "income",
    "id": None,
    "published": None,
    "ignored": [],
    "texts": [],
}


def write(folder: Path, count: int = 400) -> None:
    """The table as a CSV file in a folder."""
    folder.mkdir(parents=True)
    table(count).to_csv(folder / "people.csv", index=False)


def table(count: int, seed: int = 0, columns: int = 6) -> pd.DataFrame:
    """`count` rows: numbers n0 (some missing), n1, ...; a text `work` and a flag `retired`; the label `income`."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(count, columns))
    work = rng.choice(["farm", "office", "shop", "sea"], count)
    signal = numbers[:, 1] + numbers[:, 2] * (work == "sea") + rng.normal(size=count)
    frame = pd.DataFrame({f"n{column}": numbers[:, column] for column in range(columns)})
    frame.loc[rng.random(count) < 0.1, "n0"] = np.nan
    frame["work"] = pd.Series(work, dtype=object).where(rng.random(count) >= 0.05, None)
    frame["retired"] = rng.random(count) < 0.3
    frame["income"] = np.where(signal > 0, "high", "low")
    return frame
