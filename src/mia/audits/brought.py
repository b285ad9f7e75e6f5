"""What the first stages do where the target is a trained model that the user brought, in audits/NAME/model.

The stage that takes the model in also queries it and keeps its answers, as with fitted models. So this stage depends on
the records of all queries. `declare` writes their digest to data/model.json, with those of the file, of its settings,
of the user's code and of the code that queries. Shadows depend on none of these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from mia import paths
from mia.arrays import Bools
from mia.audits import fitted, given
from mia.data import stored_records
from mia.data.membership import MEMBERSHIP
from mia.data.records import Records
from mia.errors import InputError
from mia.models import fitting, given_model, model_checks, model_files, model_kinds, recipes
from mia.models.given_model import Asked
from mia.models.learning import LEARNING
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.params_audit import Audit
from mia.store import atomic, parquet, sealed_json

RULE = "expected a trained model, or a folder or link with one, got nothing; docs/your-own.md lists the kinds"
CODE = (
    __file__,
    fitting.__file__,
    given_model.__file__,
    model_checks.__file__,
    model_files.__file__,
    model_kinds.__file__,
    recipes.__file__,
)


def declare(path: Path, params: Params, asked: Sequence[Path]) -> None:
    """Write what taking in a model depends on beside its stage's files; the same for all audits that bring none.

    asked: the folders of the records of all queries.
    Raises InputError where there is no model, or one that cannot be read.
    """
    written: dict[str, object] = {"model": None}
    if params.audit.door == "model":
        if not stored_records.has_images(asked[0]) and params.query.views != 1:
            raise InputError(
                f"params.yaml: query.views: a table has one view of each record: expected 1, got {params.query.views}; "
                "set it to 1"
            )
        written = {**_digest(params), "records": fitted.digest_of_records(asked)}
    with atomic.file(path) as temporary:
        temporary.write_text(sealed_json.seal(written), encoding="utf-8")


def declared(path: Path) -> dict[str, object]:
    """What `declare` wrote. Raises InputError where it wrote nothing, or the file was changed."""
    try:
        return sealed_json.unseal(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc repro` makes it anew") from None
    except ValueError as error:
        raise InputError(f"{path}: not what `split` writes ({error}); delete it, then `dvc repro`") from None


def _digest(params: Params) -> dict[str, object]:
    place, code = _place(params.audit), _code(params.audit)
    whole = b"".join(Path(module).read_bytes() for module in CODE)
    return {
        "model": recipes.digest(place) if place.is_dir() else hashlib.sha256(place.read_bytes()).hexdigest(),
        "kind": model_kinds.kind(model_kinds.file(place, code)),
        "settings": params.audit.brought.model_dump(),
        "views": params.query.views,
        "own": recipes.digest(code),
        "code": hashlib.sha256(whole).hexdigest(),
    }


def _place(audit: Audit) -> Path:
    return paths.brought(paths.audit(audit.name) / "model", RULE)


def _code(audit: Audit) -> Path:
    return paths.audit(audit.name) / "code"


def train_target(path: Path, params: Params) -> None:
    """Take the model in: read it, look for what is wrong with it, query it about all records, keep its answers.

    path: data/model.json. Raises InputError as mia.models.given_model and model_checks do.
    """
    written = declared(path)
    views = int(str(written["views"]))
    sources = fitted.sources(params.attacker.knowledge)
    model, is_member = _checked(params.audit, sources["population"])
    with atomic.folder(paths.TARGET_MODEL) as temporary:
        file = temporary / f"{fitting.TARGET}.answers.parquet"
        parquet.write(file, answers(model, sources, views, int(is_member.sum())), SIGNALS)
    parquet.write(paths.TARGET_LEARNING, given.NO_CURVE, LEARNING)


def check(params: Params) -> None:
    """Read the model and let it answer queries about a sample, after `split`, with errors as in `train_target`."""
    _checked(params.audit, stored_records.load(paths.POPULATION))


def _checked(audit: Audit, population: Records) -> tuple[Asked, Bools]:
    """The model, and which records of the population it was trained on."""
    membership = parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP)
    is_member = np.zeros(len(population), bool)
    is_member[membership.loc[membership["is_member"], "sample_id"]] = True
    model = given_model.read(_place(audit), _code(audit), audit.brought, str(audit.path), population)
    if file := model_kinds.passed_over(_place(audit), _code(audit)):
        print(f"{_code(audit) / recipes.FILE}: load(path) reads the model; without it {file.name} would be read itself")
    model_checks.check(model, population, is_member)
    return model, is_member


def answers(model: Asked, sources: dict[str, Records], views: int, members: int) -> pa.Table:
    """The model's answers by source, view and record (SIGNALS). members: how many records it was trained on."""
    asked = [(name, view) for name in sources for view in range(views)]
    raw = [model.raw(given_model.in_view(sources[name], view), f"query {name}") for name, view in asked]
    logits = model.logits(np.concatenate(raw), members)  # all at once: they share what stands for a probability of 0
    ends = np.cumsum([len(part) for part in raw])[:-1]
    return pa.concat_tables(
        fitted.signals(fitting.TARGET, name, sources[name], view, part)
        for (name, view), part in zip(asked, np.split(logits, ends), strict=True)
    )
