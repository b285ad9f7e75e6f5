"""audits/NAME/params.yaml: what is audited, and how its target and shadows are made. Declarations, as in mia.params."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from mia import params_faults, paths

NETWORKS = Path(__file__).parent / "models/networks"

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Settings = dict[str, Any]  # names and values are those of the class that takes them, which checks them


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


def _distinct_names(splits: dict[str, str]) -> dict[str, str]:
    if len({name.casefold() for name in splits}) < len(splits):
        raise ValueError("expected each name once, whatever its case")
    return splits


class ImagesData(Population):
    """The user's own images in audits/NAME/data: population/, and generated/ in their likeness.

    The keys with a default say how they are read (`mia.data.image_files.Reading`); older audits have none of them.
    """

    source: Literal["images"]
    min_per_class: Count
    size: Annotated[list[Annotated[int, Field(ge=1, le=1024)]], Field(min_length=2, max_length=2)] | None = None
    splits: Annotated[dict[str, Literal["member", "nonmember", "unused"]], AfterValidator(_distinct_names)] | None = (
        None
    )
    skip_broken: bool = False
    image_column: str | None = None
    label_column: str | None = None
    file_list: str | None = None


class TableData(Population):
    """The user's own table in audits/NAME/data: population, and generated of the same columns.

    label: the column of the class. id: the column that names a record (None: its row does). published: the column that
    says who is in the training split (None: none was published). ignored: columns that no model sees.
    texts: columns of numbers that stand for categories.
    """

    source: Literal["table"]
    label: str
    id: str | None
    published: str | None
    ignored: list[str]
    texts: list[str]


class AnswersData(Section):
    """Answers of a trained model, in audits/NAME/answers: target, and shadows where there are any."""

    source: Literal["answers"]
    split: Literal["published"]  # the column `member` says who is one


Data = Annotated[
    DigitsData | CifakeData | Cifar10Data | ImagesData | TableData | AnswersData, Field(discriminator="source")
]


def architectures() -> list[str]:
    """Every architecture, sorted: the files of mia/models/networks, one an architecture."""
    return sorted(path.stem for path in NETWORKS.glob("*.py") if path.stem != "__init__")


OWN = "own"  # the audit's code/recipe.py
TORCHVISION = "torchvision:"  # followed by a name of torchvision's; `split` looks it up, since torchvision loads torch


def _architecture(name: str) -> str:
    of_torchvision = name.startswith(TORCHVISION) and name.count(":") == 1
    if name not in (known := [*architectures(), OWN]) and not of_torchvision:
        hint = params_faults.did_you_mean(name, known)
        expected = f"expected one of {', '.join(known)} (code/recipe.py), or {TORCHVISION}NAME"
        raise ValueError(f"{expected}{hint and '; ' + hint}")
    return name


def _below_code(name: str) -> str:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or path.suffix != ".safetensors":
        raise ValueError("expected the name of a .safetensors file in the audit's folder code")
    return name


FAMILIES = (
    "decision_tree",
    "extra_trees",
    "gaussian_nb",
    "hist_gradient_boosting",
    "k_neighbors",
    "lightgbm",
    "logistic_regression",
    "mlp",
    "random_forest",
    "shokri_mlp",
    "svm",
    "xgboost",
)


def _estimator(name: str) -> str:
    if name not in (known := [*FAMILIES, OWN]):
        raise ValueError(f"unknown estimator; {params_faults.hint(name, known)}")
    return name


Channels = Annotated[list[float], Field(min_length=1)] | None
Deviations = Annotated[list[Positive], Field(min_length=1)] | None
Scaling = tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation of each channel, or of all, in 0 to 1


class Scaled(Section):
    """What pixels in 0 to 1 are normalised by, one number for all channels or one a channel. None: .5."""

    mean: Channels = None
    deviation: Deviations = None

    @property
    def scaling(self) -> Scaling | None:
        """Mean and deviation; None where neither is given."""
        if self.mean is None and self.deviation is None:
            return None
        return tuple(self.mean or [0.5]), tuple(self.deviation or [0.5])


class Recipe(Scaled):
    """How a model is trained. momentum: Adam's beta1, or Nesterov momentum.

    initial: the file of the weights that it begins with, in the audit's folder code (None: drawn from the seed).
    """

    architecture: Annotated[str, AfterValidator(_architecture)]
    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "sgd"]
    learning_rate: Positive
    schedule: Literal["constant", "cosine"]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: NotNegative
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    augmentation: list[Literal["flip", "shift", "colour", "rotate", "cutout", "erase"]]
    precision: Literal["float32", "bfloat16"]
    initial: Annotated[str, AfterValidator(_below_code)] | None = None


class Sizes(Scaled):
    """How many shadows a block holds, how many of them train in the same steps, and on how much data.

    mean, deviation: None: as the target's.
    """

    per_block: Count
    together: Count
    train_size: Count
    heldout_size: Count


class Estimator(Section):
    """How a model with `fit` and `predict_proba` is made. settings: of its class, or what `build` is given."""

    estimator: Annotated[str, AfterValidator(_estimator)]
    settings: Settings


class Model(Section):
    """A trained model that the user brings in audits/NAME/model: what it takes, and what its answers are.

    layout, pixels: of images (None: of a table). mean, deviation: what each channel is normalised by after scaling, one
    for all or one a channel (None: it is not). classes: the model's own order of class names (None: the data's, or the
    one that the model names). columns: of a table, in the model's order (None: the table's, or the model's own).
    """

    layout: Literal["channels_last", "channels_first"] | None
    pixels: Literal["bytes", "unit", "symmetric"] | None  # 0 to 255, 0 to 1, -1 to 1
    mean: Channels
    deviation: Deviations
    outputs: Literal["probabilities", "logits"]
    classes: list[str] | None
    columns: list[str] | None

    @model_validator(mode="after")
    def _both_or_none(self) -> Model:
        if len(self.mean or []) != len(self.deviation or []):
            raise ValueError("deviation: expected as many numbers as in mean")
        return self


def _kind(target: Any) -> str:
    names_one = isinstance(target, dict) and "estimator" in target
    return "estimator" if isinstance(target, Estimator) or names_one else "network"


Trained = Annotated[Annotated[Recipe, Tag("network")] | Annotated[Estimator, Tag("estimator")], Discriminator(_kind)]


def _brought(model: Model, data: Data) -> None:
    """Raise ValueError where the settings of a trained model do not fit the data of its queries."""
    if data.source == "answers":
        raise ValueError("model: expected null, as answers are given")
    if data.split != "published":
        raise ValueError("data.split: a trained model's members are those it was trained on: expected published")
    of_images, of_tables = ("layout", "pixels", "mean", "deviation"), ("columns",)
    for name in of_images if data.source == "table" else of_tables:
        if getattr(model, name) is not None:
            raise ValueError(f"model.{name}: expected null, as records are {_noun(data)}")
    if data.source != "table" and (model.layout is None or model.pixels is None):
        raise ValueError("model: expected a layout and pixels, as records are images")


def _noun(data: Data) -> str:
    return "rows of a table" if data.source == "table" else "images"


class Audit(Section):
    """audits/NAME/params.yaml: what is audited and how it was trained.

    Shadows imitate the target's recipe; where a trained model is the target, `target` is what they are made by.
    """

    name: str
    data: Data
    model: Model | None  # None: no trained model is brought
    target: Trained | None  # None: nothing is trained here
    shadow: Sizes | None

    @model_validator(mode="after")
    def _trained_or_given(self) -> Audit:
        given = self.data.source == "answers"
        if self.model is not None:
            _brought(self.model, self.data)
            if (self.target is None) != (self.shadow is None):
                raise ValueError("shadow: expected values where target has them, and null where it is null")
        for section, value in (("target", self.target), ("shadow", self.shadow)):
            if (value is None) != given and self.model is None:
                expected = "no values, as answers are given" if given else f"values, as for {self.data.source}"
                raise ValueError(f"{section}: expected {expected}")
        if self.data.source == "table" and isinstance(self.target, Recipe):
            raise ValueError("target: networks take images; for a table name an estimator, such as shokri_mlp")
        return self

    @property
    def door(self) -> Literal["model", "answers", "estimator", "network"]:
        """How the target comes: as a trained model, by its answers, or it is fitted or trained here."""
        return "model" if self.model is not None else self.kind

    @property
    def shadows_door(self) -> Literal["elsewhere", "answers", "estimator", "network"]:
        """How shadows come: they were trained elsewhere, by a plan, if the audit's folder holds their answers.

        Or their answers are given with the target's, or there are none; or they are fitted or trained here.
        """
        if self.data.source != "answers" and paths.is_brought(paths.audit(self.name) / "answers" / "shadows"):
            return "elsewhere"
        return self.kind

    @property
    def kind(self) -> Literal["answers", "estimator", "network"]:
        """What the recipe makes; `answers` where there is none."""
        if self.target is None:
            return "answers"
        return "estimator" if isinstance(self.target, Estimator) else "network"

    @property
    def brought(self) -> Model:
        """What the trained model takes and answers; only where one is brought."""
        assert self.model is not None
        return self.model

    @property
    def recipe(self) -> Recipe:
        """How the target and its shadows are trained; only where they are networks.

        Its architecture and initial weights name their place where they are the user's own: `own:audits/NAME/code`. For
        messages, torchvision's name it too: `torchvision:resnet18:audits/NAME/params.yaml`.
        """
        assert isinstance(self.target, Recipe)
        places = {}
        if self.target.architecture == OWN:
            places["architecture"] = f"{OWN}:{self.code}"
        elif self.target.architecture.startswith(TORCHVISION):
            places["architecture"] = f"{self.target.architecture}:{self.path}"
        if self.target.initial is not None:
            places["initial"] = str(self.code / self.target.initial)
        return self.target.model_copy(update=places) if places else self.target

    @property
    def shadow_recipe(self) -> Recipe:
        """How shadows are trained: as the target, unless they have a normalisation of their own."""
        own = {"mean": self.sizes.mean, "deviation": self.sizes.deviation}
        return self.recipe.model_copy(update={name: value for name, value in own.items() if value is not None})

    @property
    def estimator(self) -> Estimator:
        """How the target and its shadows are made; only where they are estimators."""
        assert isinstance(self.target, Estimator)
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

    @property
    def code(self) -> Path:
        """The folder of the user's own code."""
        return paths.audit(self.name) / "code"

    def place(self, value: str) -> str:
        """How a message names one of its values."""
        return f"{self.path}: {value}"
