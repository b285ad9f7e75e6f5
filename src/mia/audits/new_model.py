"""What `mia new --model` writes of a trained model: its settings, as far as its file and its answers say them."""

from __future__ import annotations

import itertools
import sys
from importlib import resources
from pathlib import Path

import numpy as np

from mia.data.records import Records
from mia.errors import InputError
from mia.models import fitting, given_model, model_files, model_kinds
from mia.params_audit import Model

ROWS = 256  # of the sample
CODE = Path()  # the user's code has no place yet
START = "\nmodel: null"  # where a template's part on models begins


def with_model(text: str, model: Path, records: Records) -> str:
    """An audit's params.yaml with the settings of a model in place of how models are trained.

    Raises InputError where nothing says who was trained on, or the model cannot be read.
    """
    if records.published_train is None:
        raise InputError(
            "--model: expected records with their membership: images below train/ and test/, or a table with a column "
            "that says train or test; add that"
        )
    settings = guessed(model, records)
    part = (resources.files("mia.audits") / "templates/model.yaml").read_text(encoding="utf-8")
    values = {name: "null" if value is None else value for name, value in settings.model_dump().items()}
    return text[: text.index(START) + 1] + part.format(**values)


def guessed(place: Path, records: Records) -> Model:
    """The settings that the model's file allows, and with which it is most often right about a sample of records."""
    image = not records.is_table
    settings = Model(
        layout="channels_first" if image else None,
        pixels="unit" if image else None,
        mean=None,
        deviation=None,
        outputs="logits",
        classes=None,
        columns=None,
    )
    if _of_own_code(place) or model_kinds.file(place, CODE).suffix not in model_files.READERS:
        return settings  # of networks in torch; its code is not there yet
    sample = records.take(np.linspace(0, len(records) - 1, min(ROWS, len(records))).astype(np.int64))
    best, most, errors = settings, -1.0, []
    for layout, pixels, outputs in itertools.product(
        ("channels_last", "channels_first") if image else (None,),
        ("unit", "bytes", "symmetric") if image else (None,),
        ("probabilities", "logits"),
    ):
        tried = settings.model_copy(update={"layout": layout, "pixels": pixels, "outputs": outputs})
        try:
            right = _right(place, tried, sample)
        except given_model.TextColumnsError as error:  # its code is not there yet either
            print(f"warning: {error}", file=sys.stderr)
            return settings.model_copy(update={"outputs": "probabilities"})
        except InputError as error:
            errors.append(error)
            continue
        if right > most:
            best, most = tried, right
    if most < 0:
        raise errors[0]
    return best


def _right(place: Path, settings: Model, sample: Records) -> float:
    """The share of a sample about which a model is right; -1 where its probabilities are none."""
    model = given_model.read(place, CODE, settings, "params.yaml", sample)
    raw = model.raw(sample.x)
    sums = bool((raw >= 0).all() and (abs(raw.sum(axis=1) - 1) < fitting.SUMS).all())
    if settings.outputs == "probabilities" and not sums:
        return -1.0
    return float((model.order[raw.argmax(axis=1)] == sample.labels).mean())


def _of_own_code(place: Path) -> bool:
    """Whether nothing but the user's code can read it: a folder, or a file, of no known kind and no pickle."""
    return not {path.suffix for path in model_kinds.files_of(place)} & {*model_kinds.KINDS, *model_kinds.CONVERT}
