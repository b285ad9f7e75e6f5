"""What the first six stages do where a model's answers were given: no model is trained or queried.

The files are those that training and queries write, so that the later stages see no difference. The files of
answers are audits/NAME/answers/target and shadows: a .csv or .parquet, a folder of such files, or a link to either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from mia import paths
from mia.data import answers, answers_covered, answers_file, stored_records
from mia.data.answers import Answers, Given
from mia.data.membership import MEMBERSHIP, membership_table
from mia.errors import InputError
from mia.models.learning import LEARNING
from mia.models.logits import SIGNALS
from mia.params import Params
from mia.params_audit import Audit
from mia.store import atomic, metrics_files, parquet, sealed_json

NO_CURVE = pd.DataFrame({name: [] for name in LEARNING.names})


def prepare(params: Params) -> None:
    """Write the records of the target's answers; there are no images, and no attacker's own records."""
    if params.attacker.knowledge != "population":
        raise InputError(
            f"params.yaml: attacker.knowledge: answers are of the audited records: expected population, got "
            f"{params.attacker.knowledge}; set it to population"
        )
    given, _, without = _read(*_files(params.audit))
    for folder in (paths.POPULATION, paths.ATTACKER):
        stored_records.save_names(folder, given.labels, given.classes, given.answers.is_member, given.names.to_pylist())
    counts = {"population": len(given), "attacker": len(given), "classes": len(given.classes)}
    dropped = ("dropped_nonmember_twins", "dropped_attacker_twins", "population_duplicates", "attacker_duplicates")
    left_out = {"without_shadows_on_both_sides": without, "dropped_without_shadows": given.left_out}
    metrics_files.write_json(paths.DATA_METRICS, {**counts, **dict.fromkeys(dropped, 0), **left_out})


def declare() -> None:
    """Write the digest of the code that reads answers, in place of an architecture's, to data/network.json."""
    code = b"".join(
        Path(str(module)).read_bytes()
        for module in (__file__, answers.__file__, answers_covered.__file__, answers_file.__file__)
    )
    with atomic.file(paths.NETWORK) as temporary:
        temporary.write_text(sealed_json.seal({"answers": hashlib.sha256(code).hexdigest()}), encoding="utf-8")


def train_target() -> None:
    """No model, no learning curve."""
    _no_model(paths.TARGET_MODEL)
    parquet.write(paths.TARGET_LEARNING, NO_CURVE, LEARNING)


def train_shadows(audit: Audit, block: int) -> None:
    """No model, no learning curve; which records each shadow was trained on."""
    _no_model(paths.shadow_models(block))
    parquet.write(paths.shadow_learning(block), NO_CURVE, LEARNING)
    tables = [
        membership_table(model_id, "population", np.flatnonzero(model.is_member), np.flatnonzero(~model.is_member))
        for model_id, model in enumerate(shadows(audit, block), 1)
    ]
    none = pd.DataFrame({name: [] for name in MEMBERSHIP.names})
    parquet.write(paths.shadow_membership(block), pd.concat(tables) if tables else none, MEMBERSHIP)


def _no_model(folder: Path) -> None:
    with atomic.folder(folder) as temporary:  # DVC warns of an empty folder
        (temporary / "given.txt").write_text("There is no model here: its answers were given.\n", encoding="utf-8")


def query_target(audit: Audit) -> None:
    """The target's answers as logits."""
    given = target(audit)
    parquet.write(paths.TARGET_SIGNALS, signals(given, given.answers, 0), SIGNALS)


def query_shadows(audit: Audit, block: int) -> None:
    """Shadows' answers as logits."""
    with parquet.writer(paths.shadow_signals(block), SIGNALS) as add:
        for model_id, model in enumerate(shadows(audit, block), 1):
            add(signals(target(audit), model, model_id))


def target(audit: Audit) -> Given:
    """The target's answers."""
    return _read(*_files(audit))[0]


def shadows(audit: Audit, block: int) -> Iterable[Answers]:
    """Shadows' answers; all stand in block 0. None, where a trained model was brought without shadows."""
    if audit.data.source != "answers":
        return ()
    if block != 0:
        raise InputError(
            f"params.yaml: shadow.blocks: given shadows are one block: expected [0], got {block}; set it to [0]"
        )
    return _read(*_files(audit))[1].values()


def forget() -> None:
    """Read the files anew when they are next needed: in a notebook one audit follows another."""
    _read.cache_clear()


@lru_cache(maxsize=1)
def _read(target: Path, shadows: Path | None) -> tuple[Given, dict[str, Answers], int]:
    """The target's answers and the shadows', of the records that are audited; how many have shadows on one side."""
    given = answers.read_target(target)
    if shadows is None:
        return given, {}, 0
    return answers_covered.covered(shadows, given, answers.read_shadows(shadows, given))


def _files(audit: Audit) -> tuple[Path, Path | None]:
    """The files of answers; no shadows' where there are none."""
    folder = paths.audit(audit.name) / "answers" / "shadows"
    none = folder.is_dir() and all(path.name == ".gitkeep" for path in folder.iterdir())
    return _file(audit, "target"), None if none else _file(audit, "shadows")


def _file(audit: Audit, name: str) -> Path:
    rule = "expected a .csv or .parquet file, a folder of them, or a link to either, got nothing"
    return paths.brought(paths.audit(audit.name) / "answers" / name, rule)


def signals(given: Given, model: Answers, model_id: int) -> pa.Table:
    """One model's rows of models.logits.SIGNALS, by view and record."""
    views, samples, _ = model.logits.shape
    keys = pd.DataFrame(
        {
            "model_id": model_id,
            "source": "population",
            "sample_id": np.tile(np.arange(samples), views),
            "view": np.repeat(np.arange(views), samples),
            "label": np.tile(given.labels, views),
            "holds": given.holds,
        }
    )
    table = pa.Table.from_pandas(keys, preserve_index=False)
    return table.append_column("logits", parquet.list_column(model.logits.reshape(views * samples, -1)))
