"""params.yaml and the active audit's, read as DVC reads them (YAML 1.2), every fault reported at once.

Only declarations stand here: no default, no arithmetic, no value changed on the way. A value reaches a stage through
the stage's `params:` list in dvc.yaml alone, which is why this file is no dependency of any stage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mia import catalogue, params_faults, paths
from mia.errors import InputError

NETWORKS = Path(__file__).parent / "models/networks"

Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Settings = dict[str, Any]  # names and values are scikit-learn's, which checks them


class Section(BaseModel):
    """A section of params.yaml: typed, frozen, no unknown key."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Population(Section):
    """How membership is decided: `published` split, or `half` of `population_size` records (None: of all).

    attacker_size: images that the attacker holds (None: all there are).
    """

    split: Literal["published", "half"]
    population_size: Annotated[int, Field(ge=4)] | None
    attacker_size: Count | None


class DigitsData(Section):
    """scikit-learn's digits and images drawn from a kernel density per class."""

    source: Literal["digits"]
    split: Literal["half"]
    population_size: Annotated[int, Field(ge=4)]
    generated: Count
    bandwidth: Positive


class CifakeData(Population):
    """CIFAKE, from a folder or archive, or downloaded."""

    source: Literal["cifake"]
    path: str | None


class Cifar10Data(Population):
    """Lossless CIFAR-10 and CIFAKE's generated half."""

    source: Literal["cifar10"]
    path: str | None
    cifake_path: str | None


class ImagesData(Population):
    """The user's own images in audits/NAME/data: population/, and generated/ in their likeness."""

    source: Literal["images"]
    min_per_class: Count


class AnswersData(Section):
    """Answers of a trained model, in audits/NAME/answers: target, and shadows where there are any."""

    source: Literal["answers"]
    split: Literal["published"]  # the column `member` says who is one


Data = Annotated[DigitsData | CifakeData | Cifar10Data | ImagesData | AnswersData, Field(discriminator="source")]


class Attacker(Section):
    """What the attacker holds."""

    knowledge: Literal["generated", "disjoint", "population"]


def architectures() -> list[str]:
    """Every architecture, sorted: the files of mia/models/networks, one an architecture."""
    return sorted(path.stem for path in NETWORKS.glob("*.py") if path.stem != "__init__")


def _architecture(name: str) -> str:
    if name not in (known := architectures()):
        hint = params_faults.did_you_mean(name, known)
        raise ValueError(f"expected one of {', '.join(known)}{hint and '; ' + hint}")
    return name


class Recipe(Section):
    """How a model is trained. momentum: Adam's beta1, or Nesterov momentum."""

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


def _distinct(blocks: list[int]) -> list[int]:
    if len(set(blocks)) < len(blocks):
        raise ValueError("expected distinct block numbers")
    return blocks


class Sizes(Section):
    """How many shadows a block holds, how many of them train in the same steps, and on how much data."""

    per_block: Count
    together: Count
    train_size: Count
    heldout_size: Count


def _no_recipe(value: Any) -> Any:
    """Stages name target.architecture: an audit without training has that key alone, null."""
    return None if value == {"architecture": None} else value


class Audit(Section):
    """audits/NAME/params.yaml: what is audited and how it was trained. Shadows imitate the target's recipe."""

    name: str
    data: Data
    target: Annotated[Recipe | None, BeforeValidator(_no_recipe)]  # None: nothing is trained here
    shadow: Sizes | None

    @model_validator(mode="after")
    def _trained_or_given(self) -> Audit:
        given = self.data.source == "answers"
        for section, value in (("target", self.target), ("shadow", self.shadow)):
            if (value is None) != given:
                expected = "no values, as answers are given" if given else f"values, as for {self.data.source}"
                raise ValueError(f"{section}: expected {expected}")
        return self

    @property
    def recipe(self) -> Recipe:
        """How the target and its shadows are trained; only where they are."""
        assert self.target is not None
        return self.target

    @property
    def sizes(self) -> Sizes:
        """Of the shadows that are trained here."""
        assert self.shadow is not None
        return self.shadow

    @property
    def path(self) -> Path:
        """The file of its values."""
        return paths.audit(self.name) / paths.PARAMS

    def place(self, value: str) -> str:
        """How a message names one of its values."""
        return f"{self.path}: {value}"


class Shadow(Section):
    """The blocks of shadow models."""

    blocks: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_distinct)]


class Query(Section):
    """How models are queried."""

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
    """What the quantile regression sees of an image."""

    patches: Annotated[int, Field(ge=1, le=500)]


class StackedEstimators(Section):
    """Candidates of the stacked attack and their settings."""

    logistic_regression: Settings
    hist_gradient_boosting: Settings


def _attack_names(run: Any) -> Any:
    """One line for what the union's own errors say in 24."""
    if run == "all":
        return run
    if not isinstance(run, list) or not run:
        raise ValueError("expected all, or a list of attacks")
    known = catalogue.NAMES
    for name in run:
        if name not in known:
            raise ValueError(f"unknown attack {params_faults.short(name)}; {params_faults.hint(name, known)}")
    return run


class Attacks(Section):
    """Which attacks run, and their settings."""

    run: Annotated[Literal["all"] | list[str], BeforeValidator(_attack_names)]
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
    halving: bool


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
    """params.yaml, and the audit that it names."""

    seed: Annotated[int, Field(ge=0)]
    audit: Audit
    attacker: Attacker
    shadow: Shadow
    query: Query
    features: Features
    attacks: Attacks
    select: Select
    estimators: Estimators
    evaluate: Evaluate
    report: Report


def load(path: Path) -> Params:
    """Read and check params.yaml and the file of the audit that it names.

    Raises InputError with one line a fault: `params.yaml: shadow.conut: unknown key; did you mean 'count'?`.
    """
    values = _read(path)
    lines: list[str] = []
    if isinstance(values, dict) and "audit" in values:
        try:
            values = {**values, "audit": _audit(path, values["audit"])}
        except InputError as error:
            lines, values = [str(error)], {name: value for name, value in values.items() if name != "audit"}
    try:
        loaded = Params.model_validate(values)
    except ValidationError as error:
        audit = values.get("audit") if isinstance(values, dict) else None
        own = path.parent / paths.audit(audit["name"] if isinstance(audit, dict) else "") / paths.PARAMS
        faults = [fault for fault in error.errors() if not (lines and fault["loc"] == ("audit",))]
        lines += [params_faults.in_words(fault, Params, path, own) for fault in faults]
    if lines:
        raise InputError("\n".join(dict.fromkeys(lines)))
    return loaded


def _audit(path: Path, name: Any) -> Any:
    known = sorted(file.parent.name for file in path.parent.glob(f"{paths.audit('*')}/{paths.PARAMS}"))
    if name not in known:
        copy = (
            "; this copy of the repository holds only what git tracks: `git add` the folder" if paths.in_copy() else ""
        )
        raise InputError(
            f"{path}: audit: expected a folder of {paths.AUDITS} with a {paths.PARAMS}, got "
            f"{params_faults.short(name)}; "
            f"{params_faults.hint(name, known) + ', or ' if known else ''}make one: `mia new NAME`{copy}"
        )
    values = _read(path.parent / paths.audit(name) / paths.PARAMS)
    return {"name": name, **values} if isinstance(values, dict) else values


def _read(path: Path) -> Any:
    from ruamel.yaml import YAML  # here: processes that train take a recipe and read no file
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the repository root, or `git checkout {path}`") from None
    except RecursionError:
        raise InputError(f"{path}: not YAML: brackets in brackets in brackets, more than Python follows") from None
    except (YAMLError, ValueError) as error:  # UnicodeDecodeError with it, and a date that does not exist
        raise InputError(f"{path}: not YAML: {' '.join(str(error).partition('To suppress')[0].split())}") from None
