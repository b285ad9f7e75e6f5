"""Membership-inference auditing: the library under the stages. One noun a file; no stage is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    import pandas as pd


def audit_answers(
    frame: pd.DataFrame,
    shadows: pd.DataFrame | None = None,
    out: str | os.PathLike[str] | None = None,
    attacks: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Audit a model by its answers: `mia answers` for a notebook; docs/answers.md has the columns.

    frame: a row a record; shadows: a row a shadow and record, with `model`. Of pandas or polars.
    attacks: a folder of your own attacks (docs/attacks.md), which stand beside ours.
    Returns "verdict", "attacks" by name, and "page": the path of the report, None where `out` is None: then nothing is
    kept. Otherwise metrics, tables, figures and the page lie in out/audit, and what was given in out/given.
    The working directory is another while it runs. Raises mia.errors.InputError where answers are not as they must be.
    """
    import importlib  # by name: whatever imports a part of this package would otherwise depend on the audit
    import tempfile
    from pathlib import Path

    audit = importlib.import_module("mia.audits.quick").audit
    own = None if attacks is None else Path(attacks).absolute()
    if out is not None:
        return dict(audit(frame, shadows, Path(out), own))
    with tempfile.TemporaryDirectory(prefix="mia-") as folder:
        return {**audit(frame, shadows, Path(folder), own), "page": None}
