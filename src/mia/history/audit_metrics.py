"""The values of the small files of an audit, each checked: of metrics/*.json and params.yaml.

An audit of another commit may have keys that this version does not know; they are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}$")]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Verdict(_File):
    """metrics/verdict.json; fpr and tpr... are None where the non-members are too few for every wanted FPR.

    auc_p, tpr_p: by the exact test; None in audits that were made before there was one. kind: what one audited record
    is called.
    """

    kind: Literal["image", "record"] = "image"
    attacks: Count
    n_member: Annotated[int, Field(ge=1)]
    n_nonmember: Annotated[int, Field(ge=1)]
    auc_attack: Name
    auc: Share
    auc_low: Share
    auc_high: Share
    auc_p: Share | None = None
    fpr: Annotated[float, Field(gt=0, le=1)] | None = None
    tpr_attack: Name | None = None
    tpr: Share | None = None
    tpr_low: Share | None = None
    tpr_high: Share | None = None
    tpr_p: Share | None = None

    @model_validator(mode="after")
    def _all_or_none(self) -> Verdict:
        absent = [value is None for value in (self.fpr, self.tpr_attack, self.tpr, self.tpr_low, self.tpr_high)]
        if len(set(absent)) > 1:
            raise ValueError("expected fpr, tpr_attack, tpr, tpr_low, tpr_high, or none of them")
        return self


class Attack(_File):
    """An entry of metrics/attacks.json. tprs: by FPR, value and limits."""

    attack: Name
    auc: Share
    auc_low: Share
    auc_high: Share
    tprs: dict[float, tuple[Share, Share, Share]]

    @model_validator(mode="before")
    @classmethod
    def _collect(cls, entry: Any) -> Any:
        if not isinstance(entry, Mapping):
            return entry
        tprs = {}
        for key in entry:
            if match := re.fullmatch(r"tpr_at_fpr_(0_\d{1,12}|1)", str(key)):
                ends = tuple(entry.get(f"{key}{end}") for end in ("", "_low", "_high"))
                tprs[float(match[1].replace("_", "."))] = ends
        return {**entry, "tprs": tprs}


class Target(_File):
    """What is used of metrics/target.json."""

    train_accuracy: Share
    test_accuracy: Share


class Shadows(_File):
    """What is used of metrics/shadows.json."""

    models: Count


class Data(_File):
    """What is used of metrics/data.json."""

    population: Count
    attacker: Count = 0
    classes: Count
    population_duplicates: Count = 0


class Used(_File):
    """What the costs are made of, out of the parameters, of models that were trained here.

    train_size: of a shadow. per_block: shadows in a block. epochs: None where rows of a table need none.
    """

    audit: str
    source: str | None = None
    knowledge: str
    epochs: Count | None
    views: Count
    blocks: list[Count]
    per_block: Count
    train_size: Count

    @model_validator(mode="after")
    def _trained(self) -> Used:
        if self.epochs is None and self.source != "table":
            raise ValueError("expected target.epochs")
        return self


class Given(_File):
    """What is used of the parameters of an audit whose models were trained elsewhere: their answers were given."""

    audit: str
    source: Literal["answers"]


def used_of(values: Any) -> dict[str, Any]:
    """What `Used` and `Given` are made of; None where the parameters have it not."""

    def at(*names: str) -> Any:
        value = values
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    return {
        "audit": at("audit"),
        "source": at("data", "source"),
        "knowledge": at("attacker", "knowledge"),
        "epochs": at("target", "epochs"),
        "views": at("query", "views"),
        "blocks": at("shadow", "blocks"),
        "per_block": at("shadow", "per_block"),
        "train_size": at("shadow", "train_size"),
    }
