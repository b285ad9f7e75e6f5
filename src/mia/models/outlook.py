"""What is said before models are trained: what makes it slow here and what to set, and when it will be done."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import joblib
import torch

from mia.compute import devices, machine, tasks
from mia.models import building, timed_steps, training
from mia.models.lessons import Lesson
from mia.params_audit import Recipe

SLOWER = 0.8  # of the other way's speed: less is no noise
LONG = 60.0  # seconds; what takes less is not foretold
_STACK = 2  # models that are stacked to time them: as fast as four or eight, in images a second of all together
_ASKED = 1 / 3  # of a training step's time, to classify an image: a forward pass without the backward one
# Bytes of a process: imported libraries, but for what processes share; weights with their gradients and Adam's two
# moments; thrice what a forward pass keeps, for the backward one and what products need. Measured: .7 to 1.1 of it.
_LIBRARIES, _COPIES, _PASSES = 350_000_000, 4, 3


@dataclass(frozen=True)
class Work:
    """Models that will be trained with one recipe.

    name: what they are called. file: which holds the recipe, for messages. shape: (height, width,
    channels) of an image. members, asked: a model, the images it is trained on and those it is measured on, an epoch.
    together: in the same steps. n_threads: a task. processes: tasks at once.
    """

    name: str
    file: str
    recipe: Recipe
    shape: tuple[int, int, int]
    n_classes: int
    n_models: int
    members: int
    asked: int
    together: int
    n_threads: int
    processes: int

    @property
    def groups(self) -> int:
        """Tasks, each a group of models in the same steps."""
        return -(-self.n_models // self.together)

    @property
    def at_once(self) -> int:
        """Tasks that really run at once."""
        return min(self.processes, self.groups)

    @property
    def model_bytes(self) -> int:
        """Bytes of a model's file."""
        return building.size(self.recipe.architecture, self.shape, self.n_classes)


@dataclass(frozen=True)
class Forecast:
    """seconds: of the training. bytes: of the models' files."""

    seconds: float
    bytes: int


def target(file: str, recipe: Recipe, shape: tuple[int, int, int], n_classes: int, lesson: Lesson) -> Work:
    """The target's training: in this process, with all its threads."""
    sizes = {"members": len(lesson.members), "asked": len(lesson.nonmembers)}
    ways = {"together": 1, "n_threads": all_threads(), "processes": 1}
    return Work("target", file, recipe, shape, n_classes, n_models=1, **sizes, **ways)


def shadows(
    name: str,
    file: str,
    recipe: Recipe,
    shape: tuple[int, int, int],
    n_classes: int,
    lessons: Sequence[Lesson],
    together: int,
) -> Work:
    """The training of shadows as `workers.spread` spreads it on this machine."""
    sizes = {"members": max(len(lesson.members) for lesson in lessons)}
    sizes["asked"] = max(len(lesson.nonmembers) for lesson in lessons)
    ways = {"together": min(together, len(lessons)), "n_threads": tasks.threads(), "processes": processes()}
    return Work(name, file, recipe, shape, n_classes, n_models=len(lessons), **sizes, **ways)


def all_threads() -> int:
    """Threads of a task that has this process for itself."""
    return torch.get_num_threads()


def processes() -> int:
    """Tasks at once on this machine: on a GPU one."""
    return tasks.processes() if devices.chosen().type == "cpu" else 1


def say(work: Work) -> None:
    """Write to stderr what is to be said before this training; on a cluster nothing, as its machines are others."""
    if os.environ.get("MIA_RAY_ADDRESS"):
        return
    for line in lines(work, datetime.now()):
        print(line, file=sys.stderr)


def lines(work: Work, now: datetime) -> list[str]:
    """Warnings, then when the training will be done where that is not soon."""
    cost = _cost(work, work.recipe.precision, 1)
    speed = cost.images_a_second * work.at_once
    on_cpu = devices.chosen().type == "cpu"
    warnings = [machine.unused_gpu(), slow_precision(work, cost.images_a_second)]
    if work.together > 1:
        speed = speed_of(work, whole=False)
        if on_cpu:
            warnings.append(slow_together(work, speed, cost.images_a_second * min(work.processes, work.n_models)))
    if on_cpu:
        warnings.append(too_many_processes(work, process_bytes(work, cost.activations), machine.free_memory()))
    plan = None
    if forecast(work, speed).seconds >= LONG / 2:  # then an import of a second does not matter
        plan = foretold(work.name, expected(work), now)
    return [line for line in (*warnings, plan) if line]


def expected(work: Work) -> Forecast:
    """What a training takes, by timed steps with the optimizer."""
    return forecast(work, speed_of(work, whole=True))


def _cost(work: Work, precision: str, n_models: int, *, whole: bool = False) -> timed_steps.StepCost:
    recipe = work.recipe.model_copy(update={"precision": precision})
    return timed_steps.measured(
        recipe, work.shape, work.n_classes, n_models=n_models, n_threads=work.n_threads, whole=whole
    )


def slow_precision(work: Work, half: float) -> str | None:
    """The warning where bfloat16 trains slower than float32. half: images a second with it.

    Where a processor has no such products torch imitates them: without AVX-512 at an eleventh of the speed.
    """
    if work.recipe.precision != "bfloat16":
        return None
    full = _cost(work, "float32", 1).images_a_second
    if half >= SLOWER * full:
        return None
    return (
        f"warning: {work.file}: target.precision: bfloat16 trains {full / half:.1f} times slower than "
        f"float32 here (measured: {half:,.0f} and {full:,.0f} images/s); set it to float32"
    )


def speed_of(work: Work, *, whole: bool) -> float:
    """Images a second of all tasks at once. whole: as `timed_steps.measured`."""
    n_models = min(work.together, _STACK)
    return _cost(work, work.recipe.precision, n_models, whole=whole).images_a_second * work.at_once


def slow_together(work: Work, stacked: float, apart: float) -> str | None:
    """The warning where models in the same steps train slower than one by one, in images a second of all at once."""
    if stacked >= SLOWER * apart:
        return None
    return (
        f"warning: {work.file}: shadow.together: {work.together} models in the same steps train "
        f"{apart / stacked:.1f} times slower than one by one here (measured: {stacked:,.0f} and {apart:,.0f} "
        "images/s); set it to 1"
    )


def process_bytes(work: Work, activations: int) -> int:
    """Memory of a process at its peak, estimated. activations: of an image."""
    images = min(work.recipe.batch_size, work.members)
    return _LIBRARIES + work.together * (_COPIES * work.model_bytes + _PASSES * images * activations)


def too_many_processes(work: Work, each: int, free: int) -> str | None:
    """The warning where processes want more memory than is free. each: bytes of a process."""
    if work.at_once * each <= free:
        return None
    advice = f"set MIA_PROCESSES={free // each}"
    if free < each:
        fewer = "set MIA_PROCESSES=1, and lower " if work.at_once > 1 else "lower "
        together = "shadow.together or " if work.together > 1 else ""
        advice = f"{fewer}{together}target.batch_size"
    count = "1 process wants" if work.at_once == 1 else f"{work.at_once} processes want"
    return f"warning: {count} about {size(work.at_once * each)} of memory, and {size(free)} are free here; {advice}"


def forecast(work: Work, speed: float) -> Forecast:
    """speed: images a second of all tasks at once, were all cores theirs."""
    images = work.recipe.epochs * (work.members + _ASKED * min(work.asked, training.MEASURED))
    rounds = math.ceil(work.groups / work.at_once) * work.at_once / work.groups  # in the last round some may idle
    crowded = 1.0
    if devices.chosen().type == "cpu":
        crowded = max(1.0, work.at_once * work.n_threads / joblib.cpu_count())
    return Forecast(work.n_models * images / speed * rounds * crowded, work.n_models * work.model_bytes)


def foretold(name: str, expected: Forecast, now: datetime) -> str | None:
    """`64 shadows: about 3 h 10 min here, 480 MB, done at 17:40`; None where it takes less than a minute."""
    if expected.seconds < LONG:
        return None
    return (
        f"{name}: about {duration(expected.seconds)} here, {size(expected.bytes)}, "
        f"done {clock(now + timedelta(seconds=expected.seconds), now)}"
    )


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 10 min`, `2 d 4 h`: two units at most."""
    if seconds < LONG:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24} h"


def clock(end: datetime, now: datetime) -> str:
    """`at 17:40`, with the date where it is another day."""
    return f"at {end:%H:%M}" if end.date() == now.date() else f"on {end:%Y-%m-%d} at {end:%H:%M}"


def size(count: float) -> str:
    """Bytes as `480 MB`, `2.4 GB`."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
