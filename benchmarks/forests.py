"""What shadows add for a model that is not ours: random forests on scikit-learn's digits, by their answers alone.

    python -P benchmarks/forests.py [--shadows 16] [--out docs/results/answers]

Writes the verdict without shadows (alone.json) and with them (shadows.json), as `mia answers` finds them.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

from mia import paths
from mia.audits import quick


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shadows", type=int, default=16, help="an even number: halves and their complements")
    parser.add_argument("--out", type=Path, default=Path("docs/results/answers"))
    given = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)

    def answers(member: np.ndarray[tuple[int], np.dtype[np.bool_]], seed: int) -> pd.DataFrame:
        model = RandomForestClassifier(random_state=seed).fit(X[member], y[member])
        columns = {f"p_{name}": p for name, p in zip(model.classes_, model.predict_proba(X).T, strict=True)}
        return pd.DataFrame({"id": np.arange(len(X)), "member": member, "label": y, **columns})

    def half() -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return rng.permutation(len(X)) < len(X) // 2

    target = answers(half(), 0)
    halves = [half() for _ in range(given.shadows // 2)]
    members = [side for first in halves for side in (first, ~first)]
    shadows = [answers(side, seed).assign(model=f"shadow {seed}") for seed, side in enumerate(members, 1)]
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target.to_csv(folder / "target.csv", index=False)
        pd.concat(shadows).to_parquet(folder / "shadows.parquet", index=False)
        for kind, path in (("alone", None), ("shadows", folder / "shadows.parquet")):
            quick.run(folder / "target.csv", path, folder / kind)
            shutil.copy(folder / kind / paths.VERDICT, given.out / f"{kind}.json")


if __name__ == "__main__":
    main()
