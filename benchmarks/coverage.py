"""Does the verdict's interval hold the truth where something leaks? Worlds whose true TPR and AUC are known.

    python benchmarks/coverage.py [--worlds 200] [--out FOLDER]

24 attacks are correlated by .7, and their scores of non-members are normal. "All": every attack scores every member
higher, by .35 standard deviations. "One": a single attack does, by .5, and the others know nothing. "Tail": a single
attack scores one member in twenty higher, by 4. Of each world the verdict is asked for, by the functions that stages
call. The table says in how many worlds it finds the leak, in how many its interval misses the truth on either side, and
by how much its number, the best of 24, is too high on average. The truth is that of an attack that leaks. Kept as
coverage.md and coverage.json in FOLDER.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import norm

from mia import progress
from mia.evaluation import permutation, roc, strongest, verdict
from mia.report import text_table
from mia.store import atomic

ATTACKS, CORRELATION = 24, 0.7
FPRS = (0.1, 0.01, 0.001, 0.0001)  # of params.yaml
PERMUTATIONS = 199  # they decide the lower end alone
SIZES = (120, 449, 1000, 5000)  # members, and as many non-members


class Leak(NamedTuple):
    """How many attacks leak, which share of the members, and by how many standard deviations."""

    attacks: int
    share: float
    shift: float


LEAKS = {"all": Leak(ATTACKS, 1.0, 0.35), "one": Leak(1, 1.0, 0.5), "tail": Leak(1, 0.05, 4.0)}


def truth(leak: Leak, fpr: float) -> tuple[float, float]:
    """The TPR at an FPR, and the AUC, of an attack that leaks."""
    beyond = norm.sf(norm.isf(fpr) - leak.shift)
    above = norm.cdf(leak.shift / 2**0.5)
    return (1 - leak.share) * fpr + leak.share * beyond, (1 - leak.share) / 2 + leak.share * above


def verdict_of(seed: list[int], size: int, leak: Leak) -> dict[str, float]:
    """The verdict's numbers of one world."""
    rng = np.random.default_rng(seed)
    is_member = np.arange(2 * size) < size
    exposed = is_member & (rng.random(2 * size) < leak.share)
    scores = CORRELATION**0.5 * rng.standard_normal(2 * size) + (1 - CORRELATION) ** 0.5 * rng.standard_normal(
        (ATTACKS, 2 * size)
    )
    scores[: leak.attacks, exposed] += leak.shift
    fprs = [fpr for fpr in FPRS if roc.resolvable(fpr, size)]
    chance = permutation.p_values(scores, is_member, fprs=fprs, rng=rng, permutations=PERMUTATIONS)
    by_name = {f"attack {at}": row for at, row in enumerate(scores)}
    found = strongest.verdict_numbers(by_name, is_member, fprs, chance)
    return {**found, "recognises": verdict.recognises(found)}


def counted(size: int, kind: str, worlds: int) -> dict[str, object]:
    """One row: of so many worlds, shares of those in which the verdict finds the leak, and is wrong on either side."""
    leak = LEAKS[kind]
    work = (delayed(verdict_of)([at, size, *kind.encode()], size, leak) for at in range(worlds))
    done = Parallel(n_jobs=os.cpu_count(), return_as="generator")(work)
    found = list(progress.bar(done, f"{size}, {kind}", total=worlds, unit="world"))
    row: dict[str, object] = {"a side": size, "leak": kind, "worlds": worlds, "fpr": found[0]["fpr"]}
    row["found"] = float(np.mean([one["recognises"] for one in found]))
    for name, true in zip(("tpr", "auc"), truth(leak, found[0]["fpr"]), strict=True):
        row[f"true {name}"] = round(float(true), 5)
        row[f"{name}: upper end too low"] = float(np.mean([one[f"{name}_high"] < true for one in found]))
        row[f"{name}: lower end too high"] = float(np.mean([one[f"{name}_low"] > true for one in found]))
        row[f"{name} too high by"] = round(float(np.mean([one[name] - true for one in found])), 5)
    return row


def markdown(rows: list[dict[str, object]]) -> str:
    """The rows as a Markdown table; shares of worlds in percent."""
    head = ["a side", "leak", "FPR", "true TPR", "found", "upper end too low", "lower end too high", "TPR too high by"]
    head += ["true AUC", "upper end too low", "lower end too high", "AUC too high by"]

    def percent(value: object) -> str:
        return f"{100 * float(str(value)):.1f} %"

    lines = []
    for row in rows:
        misses = {
            name: [percent(row[f"{name}: {side}"]) for side in ("upper end too low", "lower end too high")]
            for name in ("tpr", "auc")
        }
        lines.append(
            [
                f"{row['a side']:,}",
                str(row["leak"]),
                f"{100 * float(str(row['fpr'])):g} %",
                percent(row["true tpr"]),
                percent(row["found"]),
                *misses["tpr"],
                f"{100 * float(str(row['tpr too high by'])):.1f} points",
                f"{float(str(row['true auc'])):.3f}",
                *misses["auc"],
                f"{float(str(row['auc too high by'])):.3f}",
            ]
        )
    return text_table.markdown([head, *lines], words=(1,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--out", type=Path, help="a folder")
    given = parser.parse_args()
    rows = [counted(size, kind, given.worlds) for size in SIZES for kind in LEAKS]
    print(markdown(rows))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        contents = {"coverage.md": markdown(rows) + "\n", "coverage.json": json.dumps(rows, indent=1) + "\n"}
        for name, text in contents.items():
            with atomic.file(given.out / name) as temporary:
                temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
