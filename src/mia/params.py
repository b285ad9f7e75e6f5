"""params.yaml and the active audit's, read as DVC reads them (YAML 1.2), every fault reported at once.

Only declarations stand here: no default, no arithmetic, no value changed on the way. A value reaches a stage through
the stage's `params:` list in dvc.yaml alone, which is why this file is no dependency of any stage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from mia import catalogue, params_faults, paths
from mia.errors import InputError
from mia.params_audit import Audit, Count, Positive, Section, Settings

Fraction = Annotated[float, Field(gt=0, lt=1)]


def _distinct(blocks: list[int]) -> list[int]:
    if len(set(blocks)) < len(blocks):
        raise ValueError("expected distinct block numbers")
    return blocks


class Attacker(Section):
    """What the attacker holds."""

    knowledge: Literal["generated", "disjoint", "population"]


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
    """What the quantile regression sees of a record. patches: of images, or rows of a table, to which it is likened."""

    patches: Annotated[int, Field(ge=1, le=500)]


class Glira(Section):
    """Imitators: how many of each model, and how many of the attacker's records they learn from at most.

    records: None is twice as many as a shadow.
    """

    models: Annotated[int, Field(ge=2, le=1000)]
    records: Annotated[int, Field(ge=20)] | None


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
    glira: Glira
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
    """The page of the audit. gallery: records shown at either end, most and least exposed.

    values: whether the page shows what stands in the columns of these records, where they are rows of a table.
    mitigations: the file of what other trainings of a target gave (`mia.report.audit.mitigations.read`).
    """

    gallery: Annotated[int, Field(ge=0)]
    values: bool
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


def load(path: Path, audit: str | None = None, knowledge: str | None = None) -> Params:
    """Read and check params.yaml and the file of the audit that it names.

    audit: the name of another instead. knowledge: another attacker.knowledge instead.

    Raises InputError with one line a fault: `params.yaml: shadow.conut: unknown key; did you mean 'count'?`.
    """
    values = _read(path)
    if audit is not None and isinstance(values, dict):
        values = {**values, "audit": audit}
    if knowledge is not None and isinstance(values, dict):
        values = {**values, "attacker": {"knowledge": knowledge}}
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
