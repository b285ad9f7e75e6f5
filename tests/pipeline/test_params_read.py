"""Each stage reads the parameters that dvc.yaml hands it and no other, seen while the tiny experiment runs."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import people
import pipeline
import tiny
from mia.data import cifake, cifar10
from mia.data.records import Records
from recording import Recording

pytestmark = pytest.mark.long

STAGES = pipeline.stages()
QUICK: dict[str, Any] = {
    "target.epochs": 1,
    "attacks.quantile.patches": 8,
    "attacks.glira.records": 20,
    "select.search_iterations": 1,
    "estimators.mlp.max_iter": 2,
}
# One run a threat model, and between them both sides of every other choice that a stage makes by a parameter.
CONFIGURATIONS: list[dict[str, Any]] = [
    {"attacker.knowledge": "generated"},
    {"attacker.knowledge": "disjoint", "attacks.learned.estimator": "gaussian_nb"},
    {"attacker.knowledge": "population", "attacks.rmia.a": 0.5},
]

Read = defaultdict[str, set[str]]  # dotted names, by stage


def covers(entry: str, name: str) -> bool:
    """Whether an entry of dvc.yaml is the parameter, or a section that holds it."""
    return name == entry or name.startswith(f"{entry}.")


def undeclared(read: Read) -> set[tuple[str, str]]:
    """(stage, name) of what was read and stands under no entry."""
    return {
        (stage, name)
        for stage, names in read.items()
        for name in names
        if not any(covers(entry, name) for entry in pipeline.parameters(stage))
    }


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """What each stage read of the digits experiment, under any of the configurations."""
    names: Read = defaultdict(set)
    before = Path.cwd()
    try:
        for changes in CONFIGURATIONS:
            os.chdir(tmp_path_factory.mktemp("read"))
            tiny.run(changes=QUICK | changes, read=names)
        os.chdir(tmp_path_factory.mktemp("read"))  # of an estimator `split` reads more
        people.write(Path("audits/table/data/population"))
        tiny.run("prepare", "split", changes={"audit": "table", "attacker.knowledge": "population"}, read=names)
    finally:
        os.chdir(before)
    return names


def test_what_a_stage_reads_is_declared(read: Read) -> None:
    assert set(read) == set(STAGES)
    assert undeclared(read) == set()


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_declared_is_read(read: Read, stage: str) -> None:
    assert {
        entry for entry in pipeline.parameters(stage) if not any(covers(entry, name) for name in read[stage])
    } == set()


def test_a_parameter_that_is_read_in_any_way_is_recorded(tmp_path: Path) -> None:
    given = tiny.write_params(tmp_path / "params.yaml")
    ways: dict[str, Callable[[Any], Any]] = {
        "query.views": lambda params: params.query.views,
        "target.epochs": lambda params: params.audit.target.epochs,
        "attacks.lira.variance": lambda params: params.attacks.model_dump(),
        "shadow.together": lambda params: dict(params.audit.shadow),
        "estimators.mlp": lambda params: getattr(params.estimators, "mlp", {}),
    }
    for name, way in ways.items():
        names: set[str] = set()
        real, recorded = way(given), way(Recording(given, names))
        assert recorded == real
        assert name in names
    assert getattr(Recording(given, set()).estimators, "best", None) is None


def images(seed: int) -> Records:
    """Sixty grey images of two classes, half of them of the published training split."""
    rng = np.random.default_rng(seed)
    return Records(
        x=rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8),
        labels=np.arange(60) % 2,
        classes=("cat", "dog"),
        published_train=np.arange(60) < 30,
        names=np.array([f"{seed}/{row}" for row in range(60)]),
    )


def written(folder: Path, data: Records) -> None:
    """The images as a folder a class."""
    for row, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
        path = folder / data.classes[label] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


@pytest.mark.parametrize("knowledge", ["generated", "disjoint"])
@pytest.mark.parametrize("dataset", ["cifake", "cifar10", "images"])
def test_prepare_reads_the_data_of_its_audit(
    dataset: str, knowledge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cifake, "load", lambda *_, **__: (images(1), images(2)))
    monkeypatch.setattr(cifar10, "load", lambda *_: images(1))
    changes = {
        "audit": dataset,
        "attacker.knowledge": knowledge,
        "data.split": "half",
        "data.population_size": 40,
    }
    written(Path("audits/images/data/population"), images(1))
    written(Path("audits/images/data/generated"), images(2))
    names: Read = defaultdict(set)
    tiny.run("prepare", "split", changes=changes, read=names)
    assert undeclared(names) == set()
    assert {"data.split", "data.population_size"} <= names["prepare"]
