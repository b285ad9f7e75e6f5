"""What training and querying stages do where models are fitted: families by name, or the user's own `build`.

Training also queries the models (mia.models.fitting), so its stages depend on the records of all queries. `declare`
writes their digest, and that of the code that fits, to data/network.json. A network's training depends on neither.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mia import paths
from mia.compute import forks
from mia.data import stored_records
from mia.data.membership import MEMBERSHIP
from mia.data.records import Records
from mia.errors import InputError
from mia.models import families, fitting, kept_models, lessons, recipe_checks, recipes
from mia.models.fitting import Fitted, Make
from mia.models.learning import LEARNING
from mia.models.lessons import Lesson
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.params_audit import OWN, Audit
from mia.store import atomic, parquet, sealed_json

CODE = (__file__, fitting.__file__, families.__file__, kept_models.__file__, recipes.__file__)
OF_SHOKRI_MLP = ("perceptron.py", "optimizers.py", "networks/shokri_mlp.py")  # of mia.models: what it computes with


def declare(params: Params, asked: Sequence[Path]) -> None:
    """Write what training depends on beside its own stage's files, in place of an architecture's digest.

    asked: the folders of the records of all queries.
    """
    if params.query.views != 1:
        raise InputError(
            f"params.yaml: query.views: an estimator answers queries of the records themselves: expected 1, got "
            f"{params.query.views}; set it to 1"
        )
    estimator = params.audit.estimator.estimator
    own = OF_SHOKRI_MLP if estimator == families.SHOKRI_MLP else ()
    files = [*map(Path, CODE), *(Path(families.__file__).parent / module for module in own)]
    code = b"".join(file.read_bytes() for file in files)
    written = {"estimator": estimator, "code": hashlib.sha256(code).hexdigest(), "records": digest_of_records(asked)}
    if estimator == OWN:
        written["own"] = recipes.digest(_folder(params.audit))
    with atomic.file(paths.NETWORK) as temporary:
        temporary.write_text(sealed_json.seal(written), encoding="utf-8")


def digest_of_records(folders: Sequence[Path]) -> str:
    """The sha256 of the records and labels in these folders, hexadecimal."""
    table = pd.concat([stored_records.load_records(folder) for folder in folders])
    return hashlib.sha256("\n".join(table["sha256"] + " " + table["label"].astype(str)).encode()).hexdigest()


def sources(knowledge: str) -> dict[str, Records]:
    """The records of all queries: the population, and the attacker's records where these are others."""
    records = {"population": stored_records.load(paths.POPULATION)}
    if knowledge != "population":
        records["attacker"] = stored_records.load(paths.ATTACKER)
    return records


def train_target(params: Params) -> None:
    """Fit the target, and query it."""
    records = sources(params.attacker.knowledge)
    if params.audit.estimator.estimator == OWN:
        recipe_checks.check(
            maker(params.audit), records["population"], f"{_folder(params.audit) / recipes.FILE}: build"
        )
    lesson = lessons.lesson_of(params.seed, parquet.read(paths.TARGET_MEMBERSHIP, MEMBERSHIP))
    store(paths.TARGET_MODEL, paths.TARGET_LEARNING, train(params.audit, records, "population", [lesson]), records)


def train_shadows(params: Params, block: int, memberships: list[pd.DataFrame]) -> None:
    """Fit the shadows of a block, as many at once as there are cores, and query them. memberships: of each."""
    records = sources(params.attacker.knowledge)
    (trained_on,) = memberships[0]["source"].unique().tolist()
    each = [lessons.lesson_of(params.seed, membership) for membership in memberships]
    fits = train(params.audit, records, trained_on, each)
    store(paths.shadow_models(block), paths.shadow_learning(block), fits, records)


def train(audit: Audit, records: Mapping[str, Records], trained_on: str, each: list[Lesson]) -> Iterator[Fitted]:
    """A model for each lesson in their order, as many at once as there are cores."""
    make = maker(audit)
    return forks.results(lambda lesson: fitting.fit(make, records, trained_on, lesson), each)


def maker(audit: Audit) -> Make:
    """What makes the audit's models, of a seed."""
    estimator, place = audit.estimator, audit.place("target.settings")
    if estimator.estimator == OWN:
        build = recipes.function(_folder(audit), "build")
        return lambda seed: build(dict(estimator.settings), seed)
    return lambda seed: families.OfFamily(estimator.estimator, estimator.settings, seed, place)


def _folder(audit: Audit) -> Path:
    return paths.audit(audit.name) / "code"


def store(models: Path, learning: Path, fitted: Iterable[Fitted], records: Mapping[str, Records]) -> None:
    """Write models' files, their answers and learning curves as they come."""
    curves = []
    began = time.monotonic()
    with atomic.folder(models) as temporary:
        for model in fitted:
            for suffix, content in model.files.items():
                (temporary / f"{model.model_id}.{suffix}").write_bytes(content)
            answers = pa.concat_tables(
                signals(model.model_id, name, source, 0, model.answers[name]) for name, source in records.items()
            )
            parquet.write(temporary / f"{model.model_id}.answers.parquet", answers, SIGNALS)
            curves.append(model.learning)
            if model.model_id == fitting.TARGET and not model.files:
                print(f"{models}: the model cannot be stored without pickle: its answers are kept, and nothing else")
    parquet.write(learning, pd.concat(curves, ignore_index=True), LEARNING)
    if time.monotonic() - began > 60:
        print(f"{models}: {len(curves)} models in {(time.monotonic() - began) / 60:.1f} min")


def signals(model_id: int, source: str, records: Records, view: int, logits: NDArray[np.float32]) -> pa.Table:
    """One model's answers about the records of a source in a view, (samples, classes), as models.logits.SIGNALS."""
    keys = pd.DataFrame(
        {
            "model_id": model_id,
            "source": source,
            "sample_id": np.arange(len(records)),
            "view": view,
            "label": records.labels,
            "holds": "posteriors",
        }
    )
    table = pa.Table.from_pandas(keys, preserve_index=False)
    return table.append_column("logits", parquet.list_column(logits))


def query(models: Path, path: Path) -> None:
    """Hand over the answers that stand with the models."""
    files = sorted(models.glob("*.answers.parquet"), key=lambda file: int(file.name.partition(".")[0]))
    if not files:
        raise InputError(f"{models}: no model; `dvc pull {models}` fetches it, `dvc repro` trains it")
    with parquet.writer(path, SIGNALS) as add:
        for file in files:
            add(parquet.read_table(file, SIGNALS))
