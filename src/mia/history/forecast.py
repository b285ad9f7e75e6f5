"""How long the queued experiments take, before they start: `mia forecast`.

A network's training time follows from a timed step of its recipe; that of estimators and of all other stages is what
they took when they last ran here. A training that experiments share is counted once, and one that dvc.lock has not at
all: DVC takes both from its cache.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from ruamel.yaml import YAML

from mia import paths, stage_seconds
from mia.compute import tasks
from mia.data.membership import MEMBERSHIP
from mia.errors import InputError
from mia.history import experiments
from mia.models import checkpoints, outlook
from mia.models.outlook import Forecast, Work
from mia.params import Params
from mia.store import parquet

TRAINING = ("train_target", "train_shadows")
ONCE = ("train_imitators",)  # stages that run for one block alone
_BEFORE = ("prepare", "split")  # stages whose parameters on data and seed decide what is trained on, too

Values = Mapping[str, Any]  # params.yaml, as nested sections
Lock = Mapping[str, Mapping[str, Any]]  # dvc.lock: of each stage its parameters, by dotted name


class Fits(NamedTuple):
    """Estimators of one stage that will be fitted. seconds: what the stage took last; None where it never ran here."""

    name: str
    n_models: int
    seconds: float | None


class Size(NamedTuple):
    """Images (height, width, channels), classes, and how many images the target is trained and measured on."""

    shape: tuple[int, int, int]
    n_classes: int
    members: int
    nonmembers: int


def report() -> None:
    """Print one line: how long the queued experiments take, or else the audit of the workspace's params.yaml."""
    queued = [values for values, state in listed(experiments.dvc_exp_show()) if state == "queued"]
    name = f"{len(queued)} experiment{'s' * (len(queued) > 1)}"
    if not queued:
        name, queued = "this audit", [here()]
    try:
        size = size_here() if any(_trains_networks(values) for values in queued) else None
    except InputError as error:
        print(f"{name}: its time is not known before a first `dvc repro` ({error})")
        return
    print(line(name, queued, size, locked(), stage_seconds.last(), datetime.now()))


def _trains_networks(values: Values) -> bool:
    return "architecture" in ((values.get("audit") or {}).get("target") or {})


def here() -> Values:
    """The values of the workspace, those of its audit as the section `audit`."""
    read = YAML(typ="safe", pure=True).load
    values = read(paths.PARAMS.read_text(encoding="utf-8"))
    own = paths.audit(values["audit"]) / paths.PARAMS
    return together({paths.PARAMS.name: values, str(own): read(own.read_text(encoding="utf-8"))})


def listed(commits: Iterable[Mapping[str, Any]]) -> list[tuple[Values, str]]:
    """The parameters and the state of each experiment in what `dvc exp show --json` prints."""
    groups = [group for commit in commits for group in commit["experiments"] or ()]
    files = [(group["revs"][-1]["data"] or {}).get("params", {}) for group in groups]
    states = [experiments.experiment_of(group).state for group in groups]
    values = [together({name: file.get("data") or {} for name, file in each.items()}) for each in files]
    return list(zip(values, states, strict=True))


def together(files: Mapping[str, Values]) -> Values:
    """The values of params.yaml and, as its section `audit`, those of the audit's file."""
    values = dict(files.get(paths.PARAMS.name, {}))
    for name, own in files.items():
        if name != paths.PARAMS.name:
            values["audit"] = {"name": Path(name).parent.name, **own}
    return values


def size_here() -> Size:
    """The sizes of the audit in the workspace. Raises InputError where it has not run."""
    model = checkpoints.read(paths.TARGET_MODEL, 0).description
    is_member = parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP)["is_member"]
    return Size(model.shape, model.n_classes, int(is_member.sum()), int((~is_member).sum()))


def locked() -> Lock:
    """What dvc.lock says."""
    if not (path := paths.PARAMS.with_name("dvc.lock")).exists():
        return {}
    stages: Values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))["stages"]
    return {name: dict(_named(stage.get("params", {}))) for name, stage in stages.items()}


def _named(files: Mapping[str, Values]) -> Iterator[tuple[str, Any]]:
    for file, values in files.items():
        prefix = "" if file == paths.PARAMS.name else "audit."
        yield from ((f"{prefix}{name}", value) for name, value in values.items())


def line(
    name: str,
    queued: Iterable[Values],
    size: Size | None,
    lock: Lock,
    seconds: Mapping[str, Mapping[str, float]],
    now: datetime,
) -> str:
    """`6 experiments, 1 target and 25 shadows to train: at most 12 min here, 8 MB, done at 17:40`.

    size: of the audit in the workspace, taken for every experiment of its audit that trains networks; None where none
    does. seconds: `stage_seconds.last()`.
    """
    trainings: dict[str, Work | Fits] = {}
    others, unknown = 0.0, 0
    for values in queued:
        try:
            params = Params.model_validate(values)
        except ValidationError:  # refused when it runs
            continue
        others += other_stages(len(params.shadow.blocks), seconds)
        locked_data = value_at(lock.get("prepare", {}), "audit.data")
        if params.audit.target is None or (locked_data and locked_data["source"] != params.audit.data.source):
            unknown += 1
            continue
        if params.audit.shadows_door == "estimator":
            trainings |= fits_of(params, values, lock, seconds)
        else:
            assert size is not None
            trainings |= trainings_of(params, values, size, lock)
    forecasts = [expected(work) for work in trainings.values()]
    whole = Forecast(others + sum(each.seconds for each in forecasts), sum(each.bytes for each in forecasts))
    end = outlook.clock(now + timedelta(seconds=whole.seconds), now)
    most = "at most" if others else "about"  # a stage that is not training may come from the cache too
    text = f"{name}, {counted(trainings.values())}: {most} {outlook.duration(whole.seconds)} here"
    text += f", {outlook.size(whole.bytes)}" * (whole.bytes > 0) + f", done {end}"
    if not any(stage not in TRAINING for stage in seconds):
        text += "; what is not training comes on top, and was not timed here yet"
    if any(isinstance(work, Fits) and work.seconds is None for work in trainings.values()):
        text += "; how long estimators take was not timed here yet"
    return text + f"; {unknown} of another audit not counted" * (unknown > 0)


def expected(work: Work | Fits) -> Forecast:
    """What a training takes; of estimators that were never timed, and of their files' size, nothing."""
    return Forecast(work.seconds or 0.0, 0) if isinstance(work, Fits) else outlook.expected(work)


def fits_of(params: Params, values: Values, lock: Lock, seconds: Mapping[str, Mapping[str, float]]) -> dict[str, Fits]:
    """The estimators of an experiment that dvc.lock lacks, by their dependencies."""

    def last(stage: str) -> float | None:
        known = seconds.get(stage, {}).values()
        return sum(known) / len(known) if known else None

    block = Fits("shadows", params.audit.sizes.per_block, last("train_shadows"))
    stages = {} if params.audit.door == "model" else {"train_target": Fits("target", 1, last("train_target"))}
    stages |= {f"train_shadows@{number}": block for number in params.shadow.blocks}
    return {key: fits for stage, fits in stages.items() if (key := inputs(stage, values, lock))}


def trainings_of(params: Params, values: Values, size: Size, lock: Lock) -> dict[str, Work]:
    """The networks of an experiment that dvc.lock lacks, by their dependencies."""
    shadow, file = params.audit.sizes, str(params.audit.path)
    target = Work(
        name="target",
        file=file,
        recipe=params.audit.recipe,
        shape=size.shape,
        n_classes=size.n_classes,
        n_models=1,
        members=size.members,
        asked=size.nonmembers,
        together=1,
        n_threads=outlook.all_threads(),
        processes=1,
    )
    half = (size.members + size.nonmembers) // 2
    paired = params.attacker.knowledge == "population"
    block = Work(
        name="shadows",
        file=file,
        recipe=target.recipe,
        shape=size.shape,
        n_classes=size.n_classes,
        n_models=shadow.per_block,
        members=half if paired else shadow.train_size,
        asked=half if paired else shadow.heldout_size,
        together=min(shadow.together, shadow.per_block),
        n_threads=tasks.threads(),
        processes=outlook.processes(),
    )
    own = {} if params.audit.door == "model" else {"train_target": target}
    blocks = () if params.audit.shadows_door == "elsewhere" else params.shadow.blocks
    stages = own | {f"train_shadows@{number}": block for number in blocks}
    return {key: work for stage, work in stages.items() if (key := inputs(stage, values, lock))}


def inputs(stage: str, values: Values, lock: Lock) -> str:
    """The parameters that a stage's result depends on, as text; empty where dvc.lock has them as they are."""
    kind = stage.partition("@")[0]
    declared = next((stage for stage in lock if stage.partition("@")[0] == kind), "")
    names = [(of, name) for of in _BEFORE for name in lock.get(of, {}) if name.startswith(("audit.data", "seed"))]
    names += [(declared, name) for name in lock.get(declared, {})]
    wanted = {name: value_at(values, name) for _, name in names} if declared else values
    if stage in lock and all(value_at(values, name) == lock[of][name] for of, name in names):
        return ""
    return f"{stage} {json.dumps(wanted, sort_keys=True)}"


def value_at(values: Values, name: str) -> Any:
    """The value of a dotted name, which may stand there as such; None where there is none."""
    if name in values:
        return values[name]
    value: Any = values
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def other_stages(n_blocks: int, seconds: Mapping[str, Mapping[str, float]]) -> float:
    """Seconds of an experiment's stages but for training; a block takes as long as the mean of those that ran.

    Imitators are among them: their stage takes what it took last.
    """
    return sum(
        of_blocks[""]
        if "" in of_blocks
        else (1 if stage in ONCE else n_blocks) * sum(of_blocks.values()) / len(of_blocks)
        for stage, of_blocks in seconds.items()
        if stage not in TRAINING
    )


def counted(trainings: Iterable[Work | Fits]) -> str:
    """`2 targets and 25 shadows to train`."""
    counts = {"target": 0, "shadow": 0}
    for work in trainings:
        counts[work.name.rstrip("s")] += work.n_models
    texts = [f"{count} {kind}{'s' * (count > 1)}" for kind, count in counts.items() if count]
    return f"{' and '.join(texts) or 'nothing'} to train"
