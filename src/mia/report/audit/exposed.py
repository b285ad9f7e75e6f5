"""Which records are exposed: the members that an attack recognises best and worst."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mia.evaluation import named, verdict
from mia.report import html
from mia.report.audit.measured import Audit, Numbers

COLUMNS = 6  # of a record, on its card
LONGEST = 60  # characters of a column's name or value
BESIDE = ("loss", "learned", "stacked")  # attacks whose scores stand beside


def attack_of(numbers: Numbers) -> str:
    """Return the attack that orders the exposed records: the strongest at the low FPR, or else by AUC.

    numbers: metrics/verdict.json. By AUC where no attack recognises more than guessing does.
    """
    return str(numbers["tpr_attack"] if verdict.recognises(numbers) else numbers["auc_attack"])


def gallery(audit: Audit, attack: str, count: int) -> dict[str, Any]:
    """Return `count` members at either end, and how many records the attack accuses at the verdict's FPR."""
    frame = audit.exposure.assign(loss=np.nan if audit.loss is None else audit.loss)
    score = frame[f"{attack}_score"].to_numpy()
    member = frame["is_member"].to_numpy(bool)
    others = np.sort(score[~member])
    beside = [name for name in BESIDE if f"{name}_score" in frame and name != attack]

    def card(row: Mapping[Any, Any]) -> dict[str, Any]:
        value = row[f"{attack}_score"]
        return {
            "sample_id": row["sample_id"],
            "image": None if audit.images is None else html.image(audit.images[row["sample_id"]]),
            "columns": None if audit.table is None else columns(audit.table.iloc[row["sample_id"]]),
            "class": row["class"],
            "name": row["name"],
            "loss": f"{row['loss']:.2g}" if math.isfinite(row["loss"]) else "–",
            "score": f"{value:.3g}",
            "rank": row[f"{attack}_rank"],
            "as_high": int(len(others) - np.searchsorted(others, value, side="left")),
            "beside": [(f"{row[f'{name}_score']:.3g}", row[f"{name}_rank"]) for name in beside],
        }

    rows = frame[member].sort_values([f"{attack}_rank", "sample_id"]).to_dict("records")
    return {
        "most": [card(row) for row in rows[:count]],
        "least": [card(row) for row in rows[::-1][: min(count, max(len(rows) - count, 0))]],
        "beside": beside,
        "records": len(frame),
        "has_loss": audit.loss is not None,
        "accused": _counts(score, member, audit.verdict["fpr"]) if "fpr" in audit.verdict else None,
    }


def columns(record: pd.Series) -> dict[str, Any]:
    """Return what a record's card shows of its columns: the first of them as (name, value), and how many are left.

    record: numbers, NaN where missing, and texts, None where missing, by the columns' names.
    """
    shown = [(_short(str(name)), _value(value)) for name, value in record.head(COLUMNS).items()]
    return {"shown": shown, "more": max(0, len(record) - COLUMNS)}


def _value(value: Any) -> str:
    if pd.isna(value):
        return "–"
    if isinstance(value, str):
        return _short(value)
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _counts(score: Any, member: Any, fpr: float) -> dict[str, int]:
    chosen = named.named_at(score, member, fpr)
    return {"members": int((chosen & member).sum()), "nonmembers": int((chosen & ~member).sum())}
