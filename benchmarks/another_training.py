"""Do the printed interval and the spread over trainings hold what another training gives? The embedded audit, again.

    python benchmarks/another_training.py --vary target --times 10 [--knowledge generated] [--blocks 1] [--out FOLDER]

The audit of the digits runs once, then --times again in a temporary folder. What differs: `target`: the weights that
the target starts from and the order of its records; members, shadows and fitted attacks stay. `models`: the same of
every model, and what is fitted on them. `seed`: the seed of params.yaml, by which population, members and shadows'
records are drawn anew too. Each attack's numbers are kept as KNOWLEDGE-VARY.json in FOLDER, and a table is made of all
such files there, also kept as another_training.md; without --vary that alone.

Two numbers that vary alike differ by the root of 2 times what each varies by: a limit at 1.96 standard deviations of a
number holds another such number 83 times in 100, not 95.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import torch
from ruamel.yaml import YAML

from mia import catalogue, params, paths
from mia.data.membership import MEMBERSHIP
from mia.evaluation import bootstrap, trainings
from mia.models import lessons
from mia.report import text_table
from mia.store import atomic, metrics_files, parquet

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/another_training"
TRAINING = ("prepare", "split", "train_target", "query_target", "train_shadows", "query_shadows")
FITTING = ("build_features", "fit_stacked", "score")
LEFT_OUT = ("quantile", "glira", "learned", "learned_per_class", "learned_posteriors")  # no spread, or they take long
STAGES = {  # what runs again
    "target": ("train_target", "query_target", "build_features", "score"),
    "models": (*TRAINING[2:], *FITTING),
    "seed": (*TRAINING, *FITTING),
    "threads": ("train_target", "query_target", "build_features", "score"),
}
NAMES = {"auc": "AUC", "tpr_at_fpr_0_1": "TPR at 10 % FPR", "tpr_at_fpr_0_01": "TPR at 1 % FPR"}
WHAT = {
    "target": "the target trained anew",
    "models": "target and shadows trained anew",
    "seed": "another seed: other population, members and models",
    "threads": "the target trained on one thread instead of two",
}
FPRS = (0.1, 0.01)
Z = 1.96
THREADS = 2
LEAST = 5e-5  # a deviation below it is written as 0
ORIGINAL = lessons.lesson_of
Numbers = dict[str, dict[str, list[float]]]


def audits(vary: str, knowledge: str, blocks: int, times: int) -> Iterator[Numbers]:
    """The numbers of the first audit, then of every other, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(ROOT / "audits", "audits")
        yaml = YAML()
        values = yaml.load((ROOT / paths.PARAMS).read_text())
        values["attacker"]["knowledge"], values["shadow"]["blocks"] = knowledge, list(range(blocks))
        values["attacks"]["run"] = [attack for attack in catalogue.NAMES if attack not in LEFT_OUT]
        seed = values["seed"]
        for time in range(times + 1):
            values["seed"] = seed + time if vary == "seed" else seed
            yaml.dump(values, paths.PARAMS)
            training = values["seed"] + (time if vary in ("target", "models") else 0)
            torch.set_num_threads(1 if vary == "threads" and time else THREADS)
            lessons.lesson_of = lambda _, membership, of=training: ORIGINAL(of, membership)  # type: ignore[misc]
            run(STAGES[vary] if time else STAGES["seed"])
            yield numbers()


def module(stage: str) -> ModuleType:
    """A stage's module."""
    sys.path[:] = [place for place in sys.path if Path(place) != Path(__file__).parent]  # its stages.py is another
    return importlib.import_module(f"stages.{stage}")


def run(stages: tuple[str, ...]) -> None:
    """Run stages in this process and folder."""
    values = params.load(paths.PARAMS)
    for stage in stages:
        main = module(stage).main
        for block in [(block,) for block in values.shadow.blocks] if stage.endswith("_shadows") else [()]:
            main(values, *block)


def numbers() -> Numbers:
    """By measure and attack: value, limits and spread, as `evaluate` has them; of the attacks that have a spread."""
    scores = pd.read_parquet(paths.TARGET_SCORES)
    membership = parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP)
    is_member = scores.merge(membership, on="sample_id", validate="one_to_one")["is_member"].to_numpy(bool)
    sizes = int(is_member.sum()), int((~is_member).sum())
    found: Numbers = {name: {} for name in NAMES}
    for attack, played in module("evaluate").by_attack([name for name in catalogue.NAMES if f"{name}_score" in scores]):
        spreads = trainings.spreads(played, *sizes, FPRS)
        estimates = bootstrap.estimates(
            scores[f"{attack}_score"], is_member, fprs=FPRS, replicates=400, rng=np.random.default_rng(0)
        )
        for name in NAMES:
            if spreads[f"{name}_spread"] is not None:
                estimate = estimates[name]
                found[name][attack] = [estimate.value, estimate.low, estimate.high, spreads[f"{name}_spread"]]
    return found


def row(label: str, measure: str, found: list[Numbers]) -> list[str]:
    """How often an audit's limits hold another audit's value, over all pairs and attacks; spread and true deviation."""
    attacks = [attack for attack in found[0][measure] if all(attack in audit[measure] for audit in found)]
    held, ratios, spreads, deviations = [], [], [], []
    for attack in attacks:
        rows = np.array([audit[measure][attack] for audit in found])
        for (value, low, high, spread), (other, *_) in itertools.permutations(rows.tolist(), 2):
            below, above = (math.hypot(end, Z * spread) for end in (value - low, high - value))
            held.append((low <= other <= high, abs(other - value) <= Z * spread, -below <= other - value <= above))
        spreads.append(float(rows[:, 3].mean()))
        deviations.append(float(rows[:, 0].std(ddof=1)))
        ratios.append(spreads[-1] / deviations[-1] if deviations[-1] >= LEAST else math.nan)
    shares = [f"{100 * share:.0f} %" for share in np.mean(held, axis=0)]
    true, estimated = (f"{np.median(values):.4f}" for values in (deviations, spreads))
    return [label, NAMES[measure], str(len(found)), *shares, true, estimated, ratio(ratios)]


def ratio(ratios: list[float]) -> str:
    """Their median; a dash where most deviations are 0."""
    known = [value for value in ratios if math.isfinite(value)]
    return f"{np.median(known):.2f}" if 2 * len(known) > len(ratios) else "–"


def table(folder: Path) -> str:
    """All files of the folder as one Markdown table."""
    head = ["what differs", "measure", "audits", "interval over records", "± 1.96 spreads", "both"]
    rows = [[*head, "true deviation", "spread", "spread / true"]]
    for path in sorted(folder.glob("*-*.json")):
        knowledge, _, vary = path.stem.partition("-")
        found = metrics_files.read_json(path)
        rows += [row(f"{knowledge}: {WHAT[vary]}", measure, found) for measure in NAMES]
    return text_table.markdown(rows, words=(0, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vary", choices=STAGES)
    parser.add_argument("--knowledge", choices=("generated", "disjoint", "population"), default="generated")
    parser.add_argument("--blocks", type=int, default=1, help="of five shadows")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    found = []
    runs = audits(arguments.vary, arguments.knowledge, arguments.blocks, arguments.times) if arguments.vary else ()
    for of_audit in runs:
        found.append(of_audit)
        if len(found) > 1:
            metrics_files.write_json(out / f"{arguments.knowledge}-{arguments.vary}.json", found)
    made = table(out)
    with atomic.file(out / "another_training.md") as temporary:
        temporary.write_text(made + "\n", encoding="utf-8")
    print(made)


if __name__ == "__main__":
    main()
