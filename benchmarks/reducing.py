"""What reduces leakage, and what it costs in accuracy: one target trained in several ways, audited by the worst case.

    python benchmarks/reducing.py            # run what has not run here, then collect
    python benchmarks/reducing.py --collect  # only collect

The CNN of Shokri et al. on 5,000 of 10,000 CIFAR-10 images (CIFAKE's REAL half), eight shadows trained in the same way
on halves of the population. Arguments that follow `--` go to every `dvc exp run`, such as `-S
data.path=ARCHIVE`. Writes docs/results/reducing/, whose reducing.json a report shows beside its advice after
`dvc exp run -S report.mitigations=docs/results/reducing/reducing.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from mia.evaluation import intervals, verdict
from mia.report import text_table
from mia.report.figures import style, tradeoff
from mia.store import atomic, metrics_files

DOCS = Path(__file__).parent.parent / "docs" / "results" / "reducing"
COMMON = {
    "audit": "cifake",
    "data.split": "half",
    "data.population_size": "10000",
    "data.attacker_size": "10000",
    "attacker.knowledge": "population",
    "shadow.per_block": "8",
    "shadow.train_size": "5000",
    "shadow.heldout_size": "5000",
    "select.records_per_model": "250",
    "select.search_iterations": "1",
    "attacks.run": "[correctness,loss,calibrated,lira_online,rmia_online,rmia_offline,base_online,stacked]",
    "target.batch_size": "64",
    "target.epochs": "10",
}
RECIPES: dict[str, tuple[str, dict[str, str]]] = {  # experiment -> what it is called, what it changes
    "plain": ("10 epochs, nothing else", {}),
    "epochs-4": ("4 epochs", {"target.epochs": "4"}),
    "weight-decay": ("weight decay 0.001", {"target.weight_decay": "0.001"}),
    "label-smoothing": ("label smoothing 0.1", {"target.label_smoothing": "0.1"}),
    "augmented": ("flip and shift", {"target.augmentation": "[flip,shift]"}),
    "augmented-20": (
        "flip and shift, 20 epochs",
        {"target.augmentation": "[flip,shift]", "target.epochs": "20"},
    ),
    "views": (
        "the same, queried in 18 views",
        {"target.augmentation": "[flip,shift]", "target.epochs": "20", "query.views": "18"},
    ),
    "cutout": (
        "flip, shift, cutout, 20 epochs",
        {"target.augmentation": "[flip,shift,cutout]", "target.epochs": "20"},
    ),
}
SETTING = (
    "The CNN of Shokri et al. (2017) trained on 5,000 CIFAR-10 images, audited by the worst case: shadows trained on "
    "the same 10,000 images. One training each, 95 % intervals over the records."
)


def run(name: str, changes: dict[str, str], more: list[str]) -> None:
    """Run an experiment, unless it is there."""
    listed = subprocess.run(["dvc", "exp", "list", "--name-only"], capture_output=True, text=True, check=True).stdout
    if name not in listed.split():
        values = [f"{key}={value}" for key, value in {**COMMON, **changes}.items()]
        flags = [part for value in values for part in ("-S", value)]
        subprocess.run(["dvc", "exp", "run", "--name", name, *flags, *more], check=True)


def read(name: str, path: str) -> Any:
    """A metrics file of an experiment of this commit."""
    listed = subprocess.run(["dvc", "exp", "list", "--sha-only"], capture_output=True, text=True, check=True).stdout
    names = subprocess.run(["dvc", "exp", "list", "--name-only"], capture_output=True, text=True, check=True).stdout
    commits = dict(zip(names.split(), listed.split(), strict=True))
    shown = subprocess.run(["git", "show", f"{commits[name]}:{path}"], capture_output=True, text=True, check=True)
    return json.loads(shown.stdout)


def collect() -> list[dict[str, Any]]:
    """One row a recipe: accuracies, and the verdict of its audit."""
    rows = []
    for name, (change, _) in RECIPES.items():
        target, found = read(name, "metrics/target.json"), read(name, "metrics/verdict.json")
        low, high = intervals.clopper_pearson(
            round(target["test_accuracy"] * found["n_nonmember"]), found["n_nonmember"]
        )
        accuracies = {key: target[key] for key in ("train_accuracy", "test_accuracy")}
        limits = {"accuracy_low": round(float(low), 4), "accuracy_high": round(float(high), 4)}
        kept = {key: found[key] for key in (*verdict.TPR_KEYS, *verdict.KEYS[3:])}
        rows.append({"experiment": name, "change": change, **accuracies, **limits, **kept})
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    head = ["training", "right on non-members", "on members", "recognised at 1 % FPR", "by", "AUC", "by"]
    lines = [head]
    for one in rows:
        shares = [f"{100 * one[key]:.1f} %" for key in ("test_accuracy", "train_accuracy")]
        tpr, auc = verdict.share(one, "tpr"), text_table.interval(one, "auc", 3)
        by = one["tpr_attack"].replace("_", " "), one["auc_attack"].replace("_", " ")
        lines.append([one["change"], *shares, tpr, by[0], auc, by[1]])
    return text_table.markdown(lines, words=(0, 4, 6))


def main() -> int:
    """Run, collect, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", action="store_true", help="run nothing")
    parser.add_argument("more", nargs="*", help="further arguments of every `dvc exp run`")
    given = parser.parse_args()
    if not given.collect:
        for name, (_, changes) in RECIPES.items():
            run(name, changes, given.more)
    rows = collect()
    metrics_files.write_json(DOCS / "reducing.json", {"setting": SETTING, "rows": rows})
    frame = pd.DataFrame(rows).rename(columns={"change": "label", "test_accuracy": "accuracy"})
    frame = frame[frame["experiment"] != "views"]  # the same target, queried otherwise
    style.save(tradeoff.figure(frame), DOCS / "tradeoff.png")
    table = markdown(rows)
    with atomic.file(DOCS / "reducing.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
