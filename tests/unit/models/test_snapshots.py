"""A training that is cut short goes on from its snapshot to the same bytes, and never from another training's."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_training
import torch
from torch import Tensor

import pipeline
from mia.errors import InputError
from mia.models import building, checkpoints, optimizers, resume, snapshots, training
from mia.models.lessons import Lesson
from mia.models.snapshots import Snapshots
from mia.models.training import Trained
from mia.params_audit import Recipe

ADAM = test_training.recipe(epochs=3, batch_size=8)
SGD = ADAM.model_copy(
    update={
        "optimizer": "sgd",
        "schedule": "cosine",
        "weight_decay": 0.01,
        "augmentation": ["flip", "shift", "cutout"],
    }
)
RESNET = SGD.model_copy(update={"architecture": "resnet18"})  # with running means; slow
IMAGES = np.random.default_rng(3).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
LABELS = np.arange(40) % 3
ROWS = np.arange(40)
LESSONS = [Lesson(1, ROWS[:20], ROWS[20:], 1, 2, 3), Lesson(2, ROWS[9:30], ROWS[:9], 4, 5, 6)]
STEPS = 3  # an epoch


class CutShortError(Exception):
    pass


@pytest.fixture
def at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIA_SNAPSHOT_SECONDS", "0")
    monkeypatch.setattr(snapshots, "SHARE", 1e9)


def train(kept: Path | None, recipe: Recipe = ADAM, lessons: list[Lesson] = LESSONS[:1]) -> list[Trained]:
    return training.train(IMAGES, LABELS, 3, recipe, kept, lessons)


def cut_short(monkeypatch: pytest.MonkeyPatch, after: int, kept: Path, *given: Any) -> None:
    """Train, and end after so many snapshots as a kill would: at once."""
    offer, offered = Snapshots.offer, iter(range(1, 1000))

    def once_more(self: Snapshots, state: Callable[[], Mapping[str, Tensor]]) -> None:
        offer(self, state)
        if next(offered) == after:
            raise CutShortError

    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "offer", once_more)
        with pytest.raises(CutShortError):
            train(kept, *given)


def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one with every step of an optimizer."""
    taken: list[int] = []
    step = optimizers.Optimizer.step

    def counted(self: optimizers.Optimizer, rate: float) -> None:
        taken.append(1)
        step(self, rate)

    monkeypatch.setattr(optimizers.Optimizer, "step", counted)
    return taken


def equal(one: list[Trained], other: list[Trained]) -> bool:
    for mine, theirs in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(mine.learning, theirs.learning, check_exact=True)
    return [each.weights for each in one] == [each.weights for each in other]


@pytest.mark.fault("training cut short after a step")
@pytest.mark.usefixtures("at_each_step")
@pytest.mark.parametrize("lessons", [LESSONS[:1], LESSONS], ids=["one", "together"])
@pytest.mark.parametrize(
    ("recipe", "after"),
    [(recipe, after) for recipe in (ADAM, SGD) for after in range(1, 3 * STEPS + 1)] + [(RESNET, 4)],
    ids=lambda one: one.optimizer + " " + one.architecture if isinstance(one, Recipe) else None,
)
def test_it_goes_on_where_it_was_cut_short_to_the_same_bytes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recipe: Recipe,
    lessons: list[Lesson],
    after: int,
) -> None:
    undisturbed = train(None, recipe, lessons)
    cut_short(monkeypatch, after, tmp_path, recipe, lessons)
    assert len(list(tmp_path.iterdir())) == 1
    taken = steps(monkeypatch)
    assert equal(train(tmp_path, recipe, lessons), undisturbed)
    assert len(taken) == 3 * STEPS - after
    name = "shadow 1" if len(lessons) == 1 else "shadows 1 to 2"
    assert capsys.readouterr().err == f"{name}: goes on in epoch {min(after // STEPS + 1, 3)} of 3\n"


@pytest.mark.usefixtures("at_each_step")
def test_cut_short_again_and_again_it_still_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3 * STEPS - 1):
        cut_short(monkeypatch, 1, tmp_path, SGD, LESSONS)
    taken = steps(monkeypatch)
    assert equal(train(tmp_path, SGD, LESSONS), train(None, SGD, LESSONS))
    assert len(taken) == 1 + 3 * STEPS


def changed(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    other = rows.copy()
    other.flat[5] -= 1
    return other


RECIPES: dict[str, Any] = {
    "architecture": "shokri_mlp",
    "epochs": 4,
    "batch_size": 9,
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "schedule": "cosine",
    "momentum": 0.8,
    "weight_decay": 0.1,
    "label_smoothing": 0.1,
    "augmentation": ["flip"],
    "precision": "bfloat16",
    "initial": "start.safetensors",
}
OTHERS: dict[str, dict[str, Any]] = {
    **{field: {"recipe": ADAM.model_copy(update={field: value})} for field, value in RECIPES.items()},
    "mean": {"recipe": ADAM.model_copy(update={"mean": [0.4], "deviation": [0.5]})},
    "deviation": {"recipe": ADAM.model_copy(update={"mean": [0.5], "deviation": [0.3]})},
    "a pixel": {"images": changed(IMAGES)},
    "a label": {"labels": changed(LABELS)},
    "classes": {"n_classes": 4},
    "members": {"group": [dataclasses.replace(LESSONS[0], members=ROWS[1:21])]},
    "non-members": {"group": [dataclasses.replace(LESSONS[0], nonmembers=ROWS[21:])]},
    "first weights": {"group": [dataclasses.replace(LESSONS[0], initial_seed=9)]},
    "order": {"group": [dataclasses.replace(LESSONS[0], order_seed=9)]},
    "augmentation's seed": {"group": [dataclasses.replace(LESSONS[0], augmentation_seed=9)]},
    "another model beside it": {"group": LESSONS},
}


@pytest.mark.usefixtures("at_each_step")
@pytest.mark.parametrize("other", OTHERS)
def test_another_training_never_takes_it_up(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    other: str,
) -> None:
    assert set(Recipe.model_fields) <= OTHERS.keys()
    monkeypatch.chdir(tmp_path_factory.mktemp("start"))
    content = checkpoints.weights(building.create(ADAM.architecture, (8, 8, 1), 3, seed=4))
    Path(str(RECIPES["initial"])).write_bytes(content)
    cut_short(monkeypatch, 4, tmp_path)
    given = {"images": IMAGES, "labels": LABELS, "n_classes": 3, "recipe": ADAM, "group": LESSONS[:1]}
    training.train(**{**given, **OTHERS[other]}, snapshot_folder=tmp_path)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("at_each_step")
@pytest.mark.parametrize("what", ["threads", "code", "torch"])
def test_nor_does_what_may_round_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    cut_short(monkeypatch, 4, tmp_path)
    if what == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    elif what == "code":
        monkeypatch.setattr(resume, "_code", lambda: b"x = 1")
    else:
        monkeypatch.setattr(torch, "__version__", "9")
    train(tmp_path)
    assert capsys.readouterr().err == ""


def test_the_code_that_counts_is_all_that_training_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    content = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.add(str(path)) or content(path))  # type: ignore[func-returns-value]
    resume._code.__wrapped__()
    module = pipeline.SRC / "mia/models/training.py"
    computing = {
        path for path in {module, *pipeline.imports(module, pipeline.GIVEN)} if not pipeline.is_empty(path)
    } - {pipeline.ROOT / name for name in pipeline.NO_ARITHMETIC}
    assert {Path(name).resolve() for name in read} == computing


@pytest.mark.fault("snapshot damaged or cut short")
@pytest.mark.usefixtures("at_each_step")
@pytest.mark.parametrize("place", [0, 31, 40, -1])
def test_a_damaged_snapshot_is_said_and_costs_the_time_it_would_have_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: int
) -> None:
    cut_short(monkeypatch, 4, tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert equal(train(tmp_path), train(None))
    assert capsys.readouterr().err == f"shadow 1: cannot go on from {path} (damaged): trains from the start\n"


@pytest.mark.fault("snapshot damaged or cut short")
@pytest.mark.usefixtures("at_each_step")
@pytest.mark.parametrize("length", [0, 16, 32, 500])
def test_one_cut_short_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], length: int
) -> None:
    cut_short(monkeypatch, 4, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:length])
    assert equal(train(tmp_path), train(None))
    assert "trains from the start" in capsys.readouterr().err


@pytest.mark.fault("no place for snapshots")
@pytest.mark.usefixtures("at_each_step")
def test_where_none_can_be_kept_the_training_still_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a file").write_text("")
    folder = tmp_path / "a file" / "training"
    assert equal(train(folder), train(None))
    assert capsys.readouterr().err == (
        f"shadow 1: cannot be kept in {folder} (Not a directory): if it is cut short, it starts again\n"
    )


def test_a_short_training_keeps_none(tmp_path: Path) -> None:
    train(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_however_slow_the_disk_it_takes_one_percent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, writing = [0.0], [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def state() -> dict[str, Tensor]:
        now[0] += 3
        writing[0] += 3
        return {"x": torch.zeros(1)}

    kept = Snapshots(tmp_path, "key", "target")
    while now[0] < 10_000:
        now[0] += 1
        kept.offer(state)
    assert 20 <= writing[0] <= 100 + 3


def test_what_is_stored_and_what_nobody_came_back_for_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.write_text("")
    other.write_text("")
    snapshots.clear([own, None, tmp_path / "never written"])
    assert list(tmp_path.iterdir()) == [other]
    monkeypatch.setattr(time, "time", lambda: other.stat().st_mtime + 31 * 24 * 3600)
    snapshots.clear([own])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["often", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MIA_SNAPSHOT_SECONDS", value)
    with pytest.raises(InputError) as caught:
        train(None)
    assert str(caught.value) == (f"MIA_SNAPSHOT_SECONDS: expected a number of seconds, got {value!r}; unset it for 20")
