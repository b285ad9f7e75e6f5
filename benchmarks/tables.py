"""Which settings of a model leak: a table audited once for each, all with the same members and shadows' members.

    python -P benchmarks/tables.py adult.csv --label income --shadows 16 --out docs/results/adult \\
        --model 'leaves of 1=random_forest' --model 'leaves of 50=random_forest {min_samples_leaf: 50}'

The attacker knows the population. Writes a JSON file a model and tables.md; needs no DVC. --attacks: those that run;
the stacked attack is dear where there are tens of thousands of records.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mia import params, paths
from mia.audits import new, quick
from mia.store import metrics_files

STAGES = ("prepare", "split", "train_target", "query_target", "train_shadows", "query_shadows", "build_features",
          "select_attack", "fit_attack", "fit_quantile", "fit_stacked", "train_imitators", "score",
          "evaluate")  # fmt: skip
ATTACKS = "correctness,loss,calibrated,lira_online,rmia_online,base_online"
NAME = "table"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--label", required=True)
    parser.add_argument("--model", action="append", required=True, help="NAME=ESTIMATOR {settings}")
    parser.add_argument("--shadows", type=int, default=16)
    parser.add_argument("--attacks", default=ATTACKS)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    out, table, attacks = given.out.resolve(), given.table.resolve(), given.attacks.split(",")
    for model in given.model:
        name, _, described = model.partition("=")
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            lay_out(table, given.label, described, given.shadows, attacks)
            seconds = run()
            (out / f"{slug(name)}.json").write_text(
                json.dumps(found(name, described, given.shadows, seconds), indent=1)
            )
    (out / "tables.md").write_text(rows([json.loads(file.read_text()) for file in sorted(out.glob("*.json"))]))


def lay_out(table: Path, label: str, described: str, shadows: int, attacks: list[str]) -> None:
    """An audit of the table in this folder."""
    estimator, _, settings = described.partition(" ")
    yaml = YAML()
    paths.AUDITS.mkdir()
    quick.write_shared(NAME)
    with contextlib.redirect_stdout(None):
        new.table(NAME, table, label, None)
    for path, changes in (
        (paths.PARAMS, {"attacks": {"run": attacks}}),
        (
            paths.audit(NAME) / paths.PARAMS,
            {
                "target": {"estimator": estimator, "settings": yaml.load(settings) or {}},
                "shadow": {"per_block": shadows},
            },
        ),
    ):
        values = yaml.load(path.read_text())
        for section, pairs in changes.items():
            values[section].update(pairs)
        with path.open("w") as file:
            yaml.dump(values, file)


def run() -> float:
    """Every stage; seconds."""
    began = time.perf_counter()
    values = params.load(paths.PARAMS)
    for stage in STAGES:
        block = (0,) if stage in ("train_shadows", "query_shadows", "train_imitators") else ()
        importlib.import_module(f"stages.{stage}").main(values, *block)
    return time.perf_counter() - began


def found(name: str, described: str, shadows: int, seconds: float) -> dict[str, Any]:
    """What the audit in this folder found."""
    target = metrics_files.read_json(paths.TARGET_METRICS)
    attacks = {entry["attack"]: entry for entry in metrics_files.read_json(paths.ATTACK_METRICS)}
    return {
        "name": name,
        "model": described,
        "shadows": shadows,
        "seconds": round(seconds),
        "train_accuracy": target["train_accuracy"],
        "test_accuracy": target["test_accuracy"],
        "attacks": attacks,
    }


HEAD = """| model | accuracy on members | on non-members | attack | AUC | TPR at 1 % FPR | TPR at 0.1 % FPR |
| --- | ---: | ---: | --- | ---: | ---: | ---: |
"""
MEASURES = ("auc", "tpr_at_fpr_0_01", "tpr_at_fpr_0_001")


def rows(audits: list[dict[str, Any]]) -> str:
    """One row a model: its accuracies, and the attack with the highest TPR at 1 % FPR."""
    lines = []
    for audit in sorted(audits, key=lambda audit: best(audit)["auc"]):
        attack = best(audit)
        accuracies = [f"{100 * audit[f'{side}_accuracy']:.1f} %" for side in ("train", "test")]
        numbers = [number(attack, measure) for measure in MEASURES]
        name = attack["attack"].replace("_", " ")
        lines.append(f"| {' | '.join([audit['name'], *accuracies, name, *numbers])} |\n")
    return HEAD + "".join(lines)


def best(audit: dict[str, Any]) -> Any:
    return max(audit["attacks"].values(), key=lambda attack: attack.get("tpr_at_fpr_0_01", 0))


def number(attack: dict[str, Any], measure: str) -> str:
    if attack.get(measure) is None:
        return "–"
    names = (measure, f"{measure}_low", f"{measure}_high")
    value, low, high = (f"{attack[name]:.3f}".removeprefix("0") for name in names)
    return f"{value} ({low}–{high})"


def slug(name: str) -> str:
    return re.sub(r"\W+", "-", name)


if __name__ == "__main__":
    main()
