"""What imitators answered: their table, or the reason why there is none."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from mia.errors import NotApplicable
from mia.params_audit import Audit
from mia.store import atomic, metrics_files, parquet

IMITATIONS = pa.schema(
    [
        pa.field("model_id", pa.int32()),  # which model is imitated: 0 is the target
        pa.field("source", pa.string()),
        pa.field("sample_id", pa.int64()),
        pa.field("imitator", pa.int16()),  # of this model, from 0
        pa.field("margin", pa.float64()),  # of the true class, nats, by the imitator
    ]
)


def refusal(audit: Audit, knowledge: str) -> str | None:
    """Why no model of an audit can be imitated, from its values alone; None where they do not say so."""
    if audit.kind == "answers":
        return "needs networks that are trained here, by the sections target and shadow"
    if audit.kind == "estimator":
        return "needs networks: an estimator learns classes, and no other model's posteriors"
    if knowledge == "population":
        return "needs records that surely are non-members: attacker.knowledge=generated or disjoint"
    return None


def write(folder: Path, frame: pd.DataFrame) -> None:
    """Write rows of IMITATIONS, by model, imitator and sample_id."""
    with atomic.folder(folder) as temporary:
        parquet.write(temporary / "margins.parquet", frame, IMITATIONS)


def leave_out(folder: Path, reason: str) -> None:
    """Write why there are none."""
    with atomic.folder(folder) as temporary:
        metrics_files.write_json(temporary / "not_applicable.json", {"reason": reason})


def read(folder: Path) -> pd.DataFrame:
    """Rows of IMITATIONS. Raises NotApplicable with the reason where there are none."""
    reason = folder / "not_applicable.json"
    if reason.exists():
        raise NotApplicable(metrics_files.read_json(reason)["reason"])
    return parquet.read(folder / "margins.parquet", IMITATIONS)
