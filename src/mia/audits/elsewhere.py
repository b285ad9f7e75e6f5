"""Shadows that were trained elsewhere by a plan (mia.audits.plan): their answers stand in audits/NAME/answers/shadows.

So do those of an audit of answers (mia.audits.given), which may be of any design. These are of a target that is trained
here, or brought as a model, and each shadow was trained on the records that the plan, and training here, gives it.

A record is named by where it came from; one that is generated, by its name in the folder `generated`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mia import paths
from mia.arrays import Bools, Floats
from mia.audits import brought, fitted, given
from mia.data import answers, answers_file, shadow_draws
from mia.data.answers import Answers, Given
from mia.data.membership import MEMBERSHIP
from mia.data.records import Records
from mia.errors import InputError
from mia.models import fitting
from mia.params import Params
from mia.store import atomic, parquet, sealed_json

CODE = (__file__, answers.__file__, answers_file.__file__, fitted.__file__)
NO_ZERO = 5e-324  # stands for a probability of 0 until the model's own floor is known
RULE = "expected a .csv or .parquet file, a folder of them, or a link to either, got nothing"


def ids(sources: Mapping[str, Sequence[str]], knowledge: str) -> dict[str, list[str]]:
    """How a plan and its answers name the records, from their names by source.

    Raises InputError where two records have one name.
    """
    before = {"attacker": "generated/"} if knowledge == "generated" else {}
    named = {source: [f"{before.get(source, '')}{name}" for name in names] for source, names in sources.items()}
    every = pd.Series([name for names in named.values() for name in names])
    if (again := every.duplicated()).any():
        raise InputError(
            f"data: expected records of distinct names, got {every[again].iloc[0]!r} twice; rename one, or give a "
            "table a column of ids (data.id)"
        )
    return named


def declare(path: Path, params: Params, asked: Sequence[Path]) -> None:
    """Write what taking in such answers depends on; the same for all audits without them.

    asked: the folders of the records of all queries.
    Raises InputError where params.yaml wants views of the records, which a plan does not hold.
    """
    written: dict[str, object] = {"answers": None}
    if params.audit.shadows_door == "elsewhere":
        if params.query.views != 1:
            raise InputError(
                f"params.yaml: query.views: shadows that are trained elsewhere answer about the records themselves: "
                f"expected 1, got {params.query.views}; set it to 1"
            )
        whole = b"".join(Path(module).read_bytes() for module in CODE)
        written = {"answers": hashlib.sha256(whole).hexdigest(), "records": fitted.digest_of_records(asked)}
    with atomic.file(path) as temporary:
        temporary.write_text(sealed_json.seal(written), encoding="utf-8")


def train_shadows(path: Path, params: Params, block: int) -> None:
    """Take in their answers, as if they had been fitted here: answers and membership, and no learning curve.

    path: what `declare` wrote. Raises InputError where a shadow is not one of the plan, or as
    `mia.data.answers.read_models`.
    """
    if block != 0:
        raise InputError(
            f"params.yaml: shadow.blocks: shadows that are trained elsewhere are one block: expected [0], got {block}; "
            "set it to [0]"
        )
    if brought.declared(path)["answers"] is None:
        raise InputError(f"{path}: made before {_path(params)} was there; `dvc repro` makes it anew")
    records = fitted.sources(params.attacker.knowledge)
    shadows = read(params, records)
    print(f"{_path(params)}: {len(shadows)} shadows, trained elsewhere")
    fits = (
        fitting.Fitted(model_id, _by_source(logits, records), given.NO_CURVE, {})
        for model_id, (logits, _) in shadows.items()
    )
    fitted.store(paths.shadow_models(block), paths.shadow_learning(block), fits, records)
    memberships = pd.concat([membership for _, membership in shadows.values()], ignore_index=True)
    parquet.write(paths.shadow_membership(block), memberships, MEMBERSHIP)


def read(params: Params, records: Mapping[str, Records]) -> dict[int, tuple[NDArray[np.float32], pd.DataFrame]]:
    """Each shadow's logits, (samples, classes), and its membership, by its number; records of all sources in a row.

    records: what shadows answer about, by source. Raises InputError as `train_shadows`.
    """
    path, knowledge = _path(params), params.attacker.knowledge
    named = ids({source: list(map(str, each.names)) for source, each in records.items()}, knowledge)
    models = answers.read_models(path, _given(path, named, records))
    (file, *_) = answers_file.files(path)
    layout = answers_file.layout(file, next(answers_file.batches(file)).column_names, shadows=True)
    attacker = records.get("attacker", records["population"])
    shadows = {}
    for number, name in sorted((_number(path, name), name) for name in models):
        model = models[name]
        membership = shadow_draws.drawn(params, attacker.group, attacker.published_train, number - 1)
        _check(params, number, model, membership, named)
        members = int(model.is_member.sum())
        logits = model.logits[0]
        shadows[number] = (_above_zero(logits, members) if layout.form == "probabilities" else logits, membership)
    return shadows


def _path(params: Params) -> Path:
    return paths.brought(paths.audit(params.audit.name) / "answers" / "shadows", RULE)


def _given(path: Path, named: Mapping[str, list[str]], records: Mapping[str, Records]) -> Given:
    """The records as answers are joined to them."""
    names = [name for source in records for name in named[source]]
    labels, classes = np.concatenate([each.labels for each in records.values()]), records["population"].classes
    none = Answers.empty(1, len(names), len(classes))
    return Given(path, pa.array(names, pa.string()), labels, tuple(classes), "posteriors", NO_ZERO, none)


def _number(path: Path, name: str) -> int:
    if not (name.isascii() and name.isdecimal() and int(name[:9]) > 0 and len(name) < 10):
        raise InputError(
            f"{path}: model: expected the number of a shadow, 1, 2, 3 and so on, as in the plan's column shadow, got "
            f"{answers_file.shortened(name)}; mend it"
        )
    return int(name)


def _check(
    params: Params, number: int, model: Answers, membership: pd.DataFrame, named: Mapping[str, list[str]]
) -> None:
    """Raise InputError where a shadow was trained on other records than the plan's."""
    names = [name for source in named for name in named[source]]
    before = 0 if membership["source"].iloc[0] == "population" else len(named["population"])
    planned: Bools = np.zeros(len(names), bool)
    planned[before + membership.loc[membership["is_member"], "sample_id"].to_numpy()] = True
    if (other := np.flatnonzero(planned != model.is_member)).size:
        row = int(other[0])
        raise InputError(
            f"{_path(params)}: shadow {number}: member: expected {planned[row]} of {names[row]!r} as in the plan, got "
            f"{not planned[row]}, and {other.size:,} records differ; train it on the records of `mia plan "
            f"{params.audit.name}`, which change with seed, data, shadow and attacker.knowledge (now "
            f"{params.attacker.knowledge})"
        )


def _above_zero(logits: NDArray[np.float32], members: int) -> NDArray[np.float32]:
    """Log probabilities with something in place of log 0, as `fitting.logits` has it. members: of the model."""
    positive: Floats = np.exp(logits[logits > np.float32(np.log(NO_ZERO))].astype(np.float64))
    floor = max(fitting.LEAST, min(1 / members, float(positive.min(initial=1))) / 2)
    return np.maximum(logits, np.float32(np.log(floor)))


def _by_source(logits: NDArray[np.float32], records: Mapping[str, Records]) -> dict[str, NDArray[np.float32]]:
    ends = np.cumsum([len(each) for each in records.values()])[:-1]
    return dict(zip(records, np.split(logits, ends), strict=True))
