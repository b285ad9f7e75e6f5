"""The digits experiment made tiny: seconds, not minutes, and every stage for real."""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

from filelock import FileLock
from ruamel.yaml import YAML

import people
import pipeline
import recording
from mia import params, paths

VALUES: dict[str, Any] = {
    "data.population_size": 240,
    "data.generated": 500,
    "target.epochs": 6,
    "shadow.blocks": [0, 1],
    "shadow.per_block": 2,  # LiRA needs two references, beside the shadow that plays the target
    "shadow.train_size": 100,
    "shadow.heldout_size": 100,
    "attacks.played.records": 100,
    "attacks.quantile.patches": 16,
    "attacks.glira.models": 2,
    "attacks.stacked.hist_gradient_boosting": {"max_iter": 5, "min_samples_leaf": 10},
    "select.records_per_model": 80,
    "select.search_iterations": 2,
    "evaluate.bootstrap_replicates": 100,
    "evaluate.histogram_bins": 8,
    "estimators.random_forest.n_estimators": 5,
    "estimators.extra_trees.n_estimators": 5,
    "estimators.extra_trees.min_samples_leaf": 5,
    "estimators.bagging.n_estimators": 3,
    "estimators.ada_boost.n_estimators": 3,
    "estimators.hist_gradient_boosting.max_iter": 3,
    "estimators.mlp.max_iter": 20,
}


def images() -> dict[str, Any]:
    """The values of an audit of the user's own images."""
    own: dict[str, Any] = YAML().load((pipeline.ROOT / "audits" / "cifake" / "params.yaml").read_text())
    own["data"] = {
        "source": "images",
        "split": "half",
        "population_size": None,
        "attacker_size": None,
        "min_per_class": 10,
    }
    return own


def table() -> dict[str, Any]:
    """The values of an audit of the user's own table (tests/helpers/people.py)."""
    own: dict[str, Any] = YAML().load((pipeline.ROOT / "audits" / "cifake" / "params.yaml").read_text())
    own["data"] = dict(people.SETTINGS)
    own["target"] = {"estimator": "random_forest", "settings": {"n_estimators": 10}}
    own["shadow"] = {"per_block": 2, "together": 1, "train_size": 100, "heldout_size": 100}
    return own


def write_params(path: Path, changes: dict[str, Any] | None = None) -> params.Params:
    """params.yaml and the audit's with the tiny values and then `changes`, dotted names; returned as the stages see it.

    The values of VALUES that are the digits' own are left out of another audit.
    """
    yaml = YAML()
    values = {**VALUES, **(changes or {})}
    name = str(values.pop("audit", "digits"))
    shared = yaml.load((pipeline.ROOT / "params.yaml").read_text())
    shared["audit"] = name
    file = pipeline.ROOT / "audits" / name / "params.yaml"
    made = {"images": images, "table": table}.get(name)
    own: Any = made() if made else yaml.load(file.read_text()) if file.exists() else None
    for dotted, value in values.items():
        of_audit = dotted.startswith(("data.", "model", "target", "shadow")) and dotted != "shadow.blocks"
        if of_audit and (own is None or (name != "digits" and dotted not in (changes or {}))):
            continue
        *above, last = dotted.split(".")
        section = own if of_audit else shared
        for part in above:
            section = section[part]
        section[last] = value
    yaml.dump(shared, path)
    if own is None:  # no such audit
        return params.load(path)
    folder = path.parent / "audits" / name
    for kind in ("data/population", "data/generated", "answers/target", "answers/shadows", "code", "model", "attacks"):
        if not (folder / kind).exists():
            (folder / kind).mkdir(parents=True)
    yaml.dump(own, folder / "params.yaml")
    return params.load(path)


def run(*stages: str, changes: dict[str, Any] | None = None, read: defaultdict[str, set[str]] | None = None) -> None:
    """Run stages in this process and folder, every block of those that have blocks.

    read: where it is given, the names of the parameters that each stage reads are added to it.
    """
    values = write_params(paths.PARAMS, changes)
    if not (mitigations := Path(values.report.mitigations)).exists():  # the one input that git holds
        mitigations.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pipeline.ROOT / values.report.mitigations, mitigations)
    for stage in stages or pipeline.stages():
        main = importlib.import_module(f"stages.{stage}").main
        given = values if read is None else recording.Recording(values, read[stage])
        for block in blocks(values, stage):
            main(given, *block)


def blocks(values: params.Params, stage: str) -> list[tuple[int, ...]]:
    """What a stage is called with beside the values, each time: a block of shadows, or nothing, once."""
    every: list[tuple[int, ...]] = [(block,) for block in values.shadow.blocks]
    return {"train_shadows": every, "query_shadows": every, "train_imitators": every[:1]}.get(stage, [()])


def run_in(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """Run the whole experiment in a folder and come back; the folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        run(changes=changes)
    finally:
        os.chdir(before)
    return folder


def shared(base: Path, name: str, changes: dict[str, Any] | None = None) -> Path:
    """A folder in which the whole tiny experiment has run, once for all processes of pytest; nobody writes into it.

    base: `tmp_path_factory.getbasetemp()`. Tests change a copy: hard links would let one that damages a file in place
    damage it for all.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / name
    with FileLock(f"{folder}.lock"):
        if not (done := Path(f"{folder}.done")).exists():
            folder.mkdir(exist_ok=True)
            run_in(folder, changes)
            done.touch()
    return folder


def digests(stage: str) -> dict[str, str]:
    """The sha256 of every file that a stage wrote into this folder."""
    declared = pipeline.stages()[stage]
    hashes = {}
    for key in ("outs", "metrics", "plots"):
        for name in pipeline.names(declared.get(key, [])):
            for place in Path().glob(name.replace("${item}", "*")):
                for path in [place] if place.is_file() else sorted(place.rglob("*")):
                    if path.is_file():
                        hashes[path.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes
