"""params.yaml, read as DVC reads it (YAML 1.2), checked whole, every fault reported at once.

Only declarations stand here: no default, no arithmetic, no value changed on the way. A value reaches a stage through
the stage's `params:` list in dvc.yaml alone, which is why this file is no dependency of any stage.
"""

from __future__ import annotations

import difflib
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mia.errors import InputError

Dataset = Literal["digits", "cifake", "cifar10", "folder"]
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Settings = dict[str, Any]  # names and values are scikit-learn's, which checks them
T = TypeVar("T")


class Section(BaseModel):
    """A section of params.yaml: typed, frozen, no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class PerDataset(Section):
    """A section with one part per data set, of which one is active."""

    def of(self, dataset: Dataset) -> Any:
        """The active part."""
        return getattr(self, dataset)


class Population(Section):
    """How membership is decided: `published` split, or `half` of `population_size` records (None: of all).

    attacker_size: images that the attacker holds (None: all there are).
    """

    split: Literal["published", "half"]
    population_size: Annotated[int, Field(ge=4)] | None
    attacker_size: Count | None


class DigitsData(Section):
    """scikit-learn's digits and images drawn from a kernel density per class."""

    split: Literal["half"]
    population_size: Annotated[int, Field(ge=4)]
    generated: Count
    bandwidth: Positive


class CifakeData(Population):
    """CIFAKE, from a folder or archive, or downloaded."""

    path: str | None


class Cifar10Data(Population):
    """Lossless CIFAR-10 and CIFAKE's generated half."""

    path: str | None
    cifake_path: str | None


class FolderData(Population):
    """The user's own images, and images generated in their likeness."""

    path: str
    generated: str
    min_per_class: Count


class Data(PerDataset):
    """What is audited."""

    dataset: Dataset
    digits: DigitsData
    cifake: CifakeData
    cifar10: Cifar10Data
    folder: FolderData


class Attacker(Section):
    """What the attacker holds."""

    knowledge: Literal["generated", "disjoint", "population"]


ARCHITECTURES = sorted(
    path.stem for path in Path(__file__).parent.glob("models/networks/*.py") if path.stem != "__init__"
)


def _architecture(name: str) -> str:
    if name not in ARCHITECTURES:
        close = difflib.get_close_matches(name, ARCHITECTURES, n=1, cutoff=0.5)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ValueError(f"expected one of {', '.join(ARCHITECTURES)}{hint}")
    return name


class Recipe(Section):
    """How a model is trained."""

    architecture: Annotated[str, AfterValidator(_architecture)]
    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "sgd"]
    learning_rate: Positive
    schedule: Literal["constant", "cosine"]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: NotNegative
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    augmentation: list[Literal["flip", "shift", "cutout"]]
    precision: Literal["float32", "bfloat16"]


class Target(PerDataset):
    """The target's recipe, which shadows imitate."""

    digits: Recipe
    cifake: Recipe
    cifar10: Recipe
    folder: Recipe


def _distinct(blocks: list[int]) -> list[int]:
    if len(set(blocks)) < len(blocks):
        raise ValueError("expected distinct block numbers")
    return blocks


class ShadowSize(Section):
    """How many shadows a block holds, how many of them train in the same steps, and on how much data."""

    per_block: Count
    together: Count
    train_size: Count
    heldout_size: Count


class Shadow(PerDataset):
    """The shadow models."""

    blocks: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_distinct)]
    digits: ShadowSize
    cifake: ShadowSize
    cifar10: ShadowSize
    folder: ShadowSize


class Query(Section):
    """How models are asked."""

    views: Literal[1, 2, 18]


class Features(Section):
    """What the attack model sees of a record."""

    columns: Annotated[list[Literal["posteriors", "sorted_posteriors", "signals", "label"]], Field(min_length=1)]
    max_records: Annotated[int, Field(ge=2)]


class Estimators(Section):
    """Settings of each scikit-learn classifier on the leaderboard; scikit-learn's own default where none stands."""

    dummy: Settings
    logistic_regression: Settings
    lda: Settings
    qda: Settings
    gaussian_nb: Settings
    k_neighbors: Settings
    decision_tree: Settings
    random_forest: Settings
    extra_trees: Settings
    bagging: Settings
    ada_boost: Settings
    hist_gradient_boosting: Settings
    mlp: Settings


class Learned(Section):
    """The learned attack."""

    estimator: Literal[
        "best",
        "dummy",
        "logistic_regression",
        "lda",
        "qda",
        "gaussian_nb",
        "k_neighbors",
        "decision_tree",
        "random_forest",
        "extra_trees",
        "bagging",
        "ada_boost",
        "hist_gradient_boosting",
        "mlp",
    ]


AttackName = Literal[
    "correctness",
    "loss",
    "confidence",
    "entropy",
    "modified_entropy",
    "loss_per_class",
    "confidence_per_class",
    "entropy_per_class",
    "modified_entropy_per_class",
    "learned",
    "learned_per_class",
    "population",
    "reference",
    "calibrated",
    "lira_online",
    "lira_offline",
    "rmia_online",
    "rmia_offline",
    "base_online",
    "base_offline",
    "bavaria_normal",
    "bavaria_t",
    "quantile",
    "stacked",
]


class Played(Section):
    """Shadows that play the target."""

    models: Count
    records: Annotated[int, Field(ge=2)]


class Lira(Section):
    """LiRA."""

    variance: Literal["auto", "record", "pooled"]


class Rmia(Section):
    """RMIA. a: None: chosen on shadows."""

    gamma: Positive
    a: Annotated[float, Field(ge=0, le=1)] | None


class Base(Section):
    """BASE."""

    offline_scale: Positive


class Quantile(Section):
    """How the quantile regression is trained."""

    epochs: Count
    batch_size: Count
    learning_rate: Positive


class StackedEstimators(Section):
    """Candidates of the stacked attack and their settings."""

    logistic_regression: Settings
    hist_gradient_boosting: Settings


def _attack_names(run: Any) -> Any:
    """What the union's own errors would say in 24 lines."""
    if run == "all":
        return run
    if not isinstance(run, list) or not run:
        raise ValueError("expected all, or a list of attacks")
    for name in run:
        if name not in get_args(AttackName):
            close = difflib.get_close_matches(_got(name), get_args(AttackName), n=1, cutoff=0.5)
            hint = f"did you mean '{close[0]}'?" if close else f"expected one of {', '.join(get_args(AttackName))}"
            raise ValueError(f"unknown attack {_got(name)}; {hint}")
    return run


class Attacks(Section):
    """Which attacks run, and what they are told."""

    run: Annotated[Literal["all"] | list[AttackName], BeforeValidator(_attack_names)]
    played: Played
    learned: Learned
    lira: Lira
    rmia: Rmia
    base: Base
    quantile: Quantile
    stacked: StackedEstimators


class Select(Section):
    """How estimators are compared."""

    records_per_model: Annotated[int, Field(ge=2)]
    search_iterations: Count


class Evaluate(Section):
    """What is measured."""

    fprs: Annotated[list[Fraction], Field(min_length=1)]
    bootstrap_replicates: Annotated[int, Field(ge=100, le=1_000_000)]
    histogram_bins: Annotated[int, Field(ge=2, le=10_000)]


class Report(Section):
    """The page of the audit. gallery: images shown at either end, most and least exposed.

    mitigations: the file of what other trainings of a target gave (`mia.report.audit.mitigations.read`).
    """

    gallery: Annotated[int, Field(ge=0)]
    mitigations: str


class Params(Section):
    """params.yaml, whole."""

    seed: Annotated[int, Field(ge=0)]
    data: Data
    attacker: Attacker
    target: Target
    shadow: Shadow
    query: Query
    features: Features
    attacks: Attacks
    select: Select
    estimators: Estimators
    evaluate: Evaluate
    report: Report


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises InputError with one line per fault: `params.yaml: shadow.conut: unknown key; did you mean 'count'?`.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the repository root, or `git checkout {path}`") from None
    except RecursionError:
        raise InputError(f"{path}: not YAML: brackets in brackets in brackets, more than Python follows") from None
    except (YAMLError, ValueError) as error:  # UnicodeDecodeError with it, and a date that is none
        raise InputError(f"{path}: not YAML: {' '.join(str(error).partition('To suppress')[0].split())}") from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        faults = (_fault(fault) for fault in error.errors())
        raise InputError("\n".join(f"{path}: {fault}" for fault in dict.fromkeys(faults))) from None


def _fault(fault: Any) -> str:
    """One fault in words: where, what was expected, what came."""
    name = ".".join(str(part) for part in fault["loc"]) or "the file"
    if fault["type"] == "extra_forbidden":
        parent = _section(fault["loc"][:-1])
        close = difflib.get_close_matches(str(fault["loc"][-1]), parent, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"expected one of {', '.join(parent)}"
        return f"{name}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{name}: missing; `git diff params.yaml` shows what was removed"
    if fault["type"] == "value_error":
        return f"{name}: {fault['ctx']['error']}, got {_got(fault['input'])}"
    rule = fault["msg"].removeprefix("Input should be ").replace("a valid integer", "an integer")
    rule = rule.replace("a valid ", "a ").replace(" or instance of Params", "")
    return f"{name}: expected {rule[0].lower() + rule[1:]}, got {_got(fault['input'])}"


def _got(value: Any) -> str:
    """The value as it came, the first of it: nine lists, each of the last one's names ten times, are gigabytes."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_SHORT.maxlevel = 3


def _section(loc: tuple[Any, ...]) -> list[str]:
    """The keys that the section at `loc` may hold."""
    model: Any = Params
    for part in loc:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
