"""What makes a training slow on this machine is said before it, in one line each, and so is when it will be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from mia.compute import devices, machine
from mia.models import outlook, timed_steps, training
from mia.models.lessons import Lesson
from mia.models.outlook import Forecast, Work
from mia.models.timed_steps import StepCost
from mia.params_audit import Recipe

RECIPE = Recipe(
    architecture="shokri_cnn",
    epochs=10,
    batch_size=32,
    optimizer="adam",
    learning_rate=0.001,
    schedule="constant",
    momentum=0.9,
    weight_decay=0.0,
    label_smoothing=0.0,
    augmentation=[],
    precision="float32",
)
WORK = Work(
    name="64 shadows",
    file="audits/cifake/params.yaml",
    recipe=RECIPE,
    shape=(8, 8, 1),
    n_classes=10,
    n_models=64,
    members=300,
    asked=300,
    together=1,
    n_threads=1,
    processes=2,
)
HALF = replace(WORK, recipe=RECIPE.model_copy(update={"precision": "bfloat16"}))
NOW = datetime(2026, 1, 31, 14, 30)
GB = 10**9

SLOW_PRECISION = (
    "warning: audits/cifake/params.yaml: target.precision: bfloat16 trains 10.9 times slower than float32 here "
    "(measured: 100,000 and 1,090,400 images/s); set it to float32"
)
SLOW_TOGETHER = (
    "warning: audits/cifake/params.yaml: shadow.together: 8 models in the same steps train 2.5 times slower than "
    "one by one here (measured: 800,000 and 2,000,000 images/s); set it to 1"
)


@pytest.fixture(autouse=True)
def ample(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick machine with memory, two cores, and no GPU."""
    pretend(monkeypatch, {})
    monkeypatch.delenv("MIA_RAY_ADDRESS", raising=False)
    monkeypatch.setattr(machine, "unused_gpu", lambda: None)
    monkeypatch.setattr(machine, "free_memory", lambda: 64 * GB)
    monkeypatch.setattr(outlook.joblib, "cpu_count", lambda: 2)  # type: ignore[attr-defined]


def pretend(monkeypatch: pytest.MonkeyPatch, speeds: Mapping[tuple[str, int], float], activations: int = 1) -> None:
    """Steps of so many images a second by precision and number of models; a million where none is given."""

    def measured(recipe: Recipe, *_: object, n_models: int = 1, **__: object) -> StepCost:
        return StepCost(speeds.get((recipe.precision, n_models), 1e6), activations)

    monkeypatch.setattr(timed_steps, "measured", measured)


def test_nothing_is_said_of_a_quick_training() -> None:
    assert outlook.lines(WORK, NOW) == []


def test_bfloat16_that_is_slower_than_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {("bfloat16", 1): 100_000, ("float32", 1): 1_090_400})
    assert outlook.lines(HALF, NOW) == [SLOW_PRECISION]
    assert outlook.lines(WORK, NOW) == []
    pretend(monkeypatch, {("bfloat16", 1): 880_000, ("float32", 1): 1_090_400})
    assert outlook.lines(HALF, NOW) == []


def test_models_together_that_are_slower_than_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one as many at once as there are processes, which counts."""
    pretend(monkeypatch, {("float32", 2): 400_000})
    assert outlook.lines(replace(WORK, together=8), NOW) == [SLOW_TOGETHER]
    pretend(monkeypatch, {("float32", 2): 1_000_000})
    assert outlook.lines(replace(WORK, together=8), NOW) == []
    assert outlook.lines(replace(WORK, together=64), NOW)[0].endswith(
        "(measured: 1,000,000 and 2,000,000 images/s); set it to 1"
    )


def test_together_is_not_questioned_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {("float32", 2): 400_000})
    monkeypatch.setattr(devices, "chosen", lambda: torch.device("cuda"))
    assert outlook.lines(replace(WORK, together=8), NOW) == []


def test_more_processes_than_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {}, activations=10_000_000)  # 32 images thrice: 960 MB beside the libraries' 350
    monkeypatch.setattr(machine, "free_memory", lambda: 8 * GB)
    assert outlook.lines(replace(WORK, processes=16), NOW) == [
        "warning: 16 processes want about 21.0 GB of memory, and 8.0 GB are free here; set MIA_PROCESSES=6"
    ]
    assert outlook.lines(replace(WORK, processes=16, n_models=4), NOW) == []
    monkeypatch.setattr(machine, "free_memory", lambda: GB // 2)
    (line,) = outlook.lines(replace(WORK, processes=16), NOW)
    assert line == (
        "warning: 16 processes want about 21.0 GB of memory, and 500 MB are free here; set MIA_PROCESSES=1, and lower "
        "target.batch_size"
    )
    (line,) = outlook.lines(replace(WORK, processes=1, together=4), NOW)
    assert line == (
        "warning: 1 process wants about 4.2 GB of memory, and 500 MB are free here; lower shadow.together or "
        "target.batch_size"
    )


def test_a_gpu_that_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "unused_gpu", lambda: "warning: a GPU")
    assert outlook.lines(WORK, NOW) == ["warning: a GPU"]


def test_a_long_training_is_foretold(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 models, 10 epochs of 300 images and a third of 300 more, two at a time."""
    pretend(monkeypatch, {("float32", 1): 64 * 10 * 400 / 2 / 11_400})
    assert outlook.lines(WORK, NOW) == ["64 shadows: about 3 h 10 min here, 14 MB, done at 17:40"]
    assert outlook.lines(replace(WORK, n_models=63), NOW) == [  # no sooner: the last one trains beside nobody
        "64 shadows: about 3 h 10 min here, 13 MB, done at 17:40"
    ]
    assert outlook.lines(replace(WORK, processes=4), NOW) == [  # no sooner: there are two cores
        "64 shadows: about 3 h 10 min here, 14 MB, done at 17:40"
    ]


@pytest.mark.parametrize(
    ("seconds", "size", "line"),
    [
        (59, 1, None),
        (60, 1_234, "x: about 1 min here, 1 kB, done at 14:31"),
        (7_200, 2.44e9, "x: about 2 h 0 min here, 2.4 GB, done at 16:30"),
        (12 * 3_600, 480e6, "x: about 12 h 0 min here, 480 MB, done on 2026-02-01 at 02:30"),
        (53 * 3_600, 5.12e12, "x: about 2 d 5 h here, 5.1 TB, done on 2026-02-02 at 19:30"),
    ],
)
def test_durations_and_sizes_are_round(seconds: float, size: int, line: str | None) -> None:
    assert outlook.foretold("x", Forecast(seconds, size), NOW) == line


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ["shokri_cnn", "shokri_mlp", "wrn28_2"])
@pytest.mark.parametrize("n_models", [1, 3])
def test_steps_are_timed(architecture: str, precision: str, n_models: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    recipe = RECIPE.model_copy(update={"architecture": architecture, "precision": precision})
    cost = timed_steps.measured(recipe, (8, 8, 1), 10, n_models=n_models, n_threads=1)
    assert cost.images_a_second > 0
    assert cost.activations > 8 * 8 * 4


def test_what_is_timed_is_said_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that each reading moves on by as much: a full batch where there is time for it, else two images."""
    monkeypatch.undo()
    for each, images_a_second in ((0.001, 32_000), (1, 2)):
        readings = iter(range(10_000))
        for clock in ("perf_counter", "process_time"):
            monkeypatch.setattr(timed_steps.time, clock, lambda each=each, left=readings: each * next(left))  # type: ignore[attr-defined]
        cost = timed_steps.measured(RECIPE, (8, 8, 1), 10, n_threads=1)
        assert cost.images_a_second == pytest.approx(images_a_second)


def test_what_a_forward_pass_keeps_is_counted_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dense network: its input, and what comes out of its one hidden layer."""
    monkeypatch.undo()
    recipe = RECIPE.model_copy(update={"architecture": "shokri_mlp"})
    small, large = (timed_steps.measured(recipe, (side, side, 1), 10, n_threads=1).activations for side in (8, 16))
    assert large - small == (16 * 16 - 8 * 8) * 4


@pytest.mark.parametrize("together", [1, 2])
def test_timed_steps_change_no_byte_of_what_is_trained(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    recipe = RECIPE.model_copy(update={"epochs": 2, "augmentation": ["flip", "shift", "cutout"]})
    group = [Lesson(k, np.arange(40), np.arange(40, 60), k, k, k) for k in range(1, together + 1)]

    def weights() -> list[bytes]:
        return [model.weights for model in training.train(images, np.arange(60) % 10, 10, recipe, None, group)]

    before = weights()
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    half = recipe.model_copy(update={"precision": "bfloat16"})
    outlook.lines(replace(WORK, recipe=half, n_models=4, together=2, n_threads=2), NOW)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert weights() == before


def test_both_stages_say_it_before_they_train_and_a_cluster_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pretend(monkeypatch, {("bfloat16", 1): 100_000, ("float32", 1): 1_090_400})
    half = {"target.precision": "bfloat16", "target.epochs": 1, "shadow.blocks": [0]}
    tiny.run("prepare", "split", changes=half)
    for stage in ("train_target", "train_shadows"):
        capsys.readouterr()
        tiny.run(stage, changes=half)
        assert capsys.readouterr().err == SLOW_PRECISION.replace("cifake", "digits") + "\n"
    monkeypatch.setenv("MIA_RAY_ADDRESS", "auto")
    outlook.say(HALF)
    assert capsys.readouterr().err == ""
