"""An audit of given answers in one process and one folder: without DVC, without git, without torch.

It runs the stages of dvc.yaml, the same functions on the same files, in a folder of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mia import params, paths
from mia.attacks import own, schemas
from mia.audits import given, new
from mia.errors import InputError
from mia.models import imitations
from mia.store import metrics_files, parquet

NAME = "answers"
NO_QUANTILES = pd.DataFrame({name: [] for name in schemas.QUANTILES.names})  # they are learned from images
BEFORE = ("prepare", "split")
AFTER = ("build_features", "fit_attack", "fit_stacked", "score", "evaluate", "report")


def run(target: Path, shadows: Path | None, out: Path, attacks: Path | None = None) -> None:
    """Audit answers; metrics, tables, figures and the page lie in `out` afterwards.

    target, shadows: a .csv or .parquet file, or a folder of them (`mia.data.answers`). attacks: a folder of the user's
    own (`mia.attacks.own`), which stand beside ours.
    Raises InputError where `out` holds something else, or the answers or attacks are not as they must be.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder, got a file; choose another with --out")
    if out.exists() and any(out.iterdir()) and not (out / paths.audit(NAME)).exists():
        raise InputError(f"{out}: expected an empty folder, or one of an earlier audit; choose another with --out")
    for path in (target, *([shadows] if shadows else [])):
        if not path.exists():
            raise InputError(f"{path}: no such file; correct the path")
    target, shadows = target.resolve(), shadows.resolve() if shadows else None
    attacks = own.brought(attacks) if attacks else None
    out.mkdir(parents=True, exist_ok=True)
    given.forget()
    with contextlib.chdir(out), contextlib.redirect_stdout(io.StringIO()):  # `mia show` says it, from where the user is
        _lay_out(target, shadows, attacks)
        values = params.load(paths.PARAMS)
        for stage in BEFORE:
            importlib.import_module(f"stages.{stage}").main(values)
        given.train_target()  # as the stages of these names, which import torch, do for answers
        given.train_shadows(values.audit, 0)
        given.query_target(values.audit)
        given.query_shadows(values.audit, 0)
        _compare_nothing()
        parquet.write(paths.QUANTILES, NO_QUANTILES, schemas.QUANTILES)
        imitations.leave_out(paths.IMITATIONS, imitations.refusal(values.audit, values.attacker.knowledge) or "")
        for stage in AFTER:
            importlib.import_module(f"stages.{stage}").main(values)


def _compare_nothing() -> None:
    """Estimators are compared for minutes, and an attack model is named in params.yaml."""
    importlib.import_module("stages.select_attack").compare_none("`mia answers` compares no attack models")


def _lay_out(target: Path, shadows: Path | None, attacks: Path | None) -> None:
    """params.yaml and the audit's folder, as `mia new` and the repository have them."""
    paths.AUDITS.mkdir(exist_ok=True)
    write_shared(NAME)
    new.rewrite(NAME, new.ANSWERS, {"answers/target": target, "answers/shadows": shadows, "attacks": attacks})


def write_shared(audit: str) -> None:
    """params.yaml of the repository with another audit, whose attacker knows the population, and what it names."""
    shared = (resources.files("mia.audits") / "templates/params.yaml").read_text(encoding="utf-8")
    shared = shared.replace("audit: digits", f"audit: {audit}").replace("knowledge: generated", "knowledge: population")
    paths.PARAMS.write_text(shared, encoding="utf-8")
    mitigations = resources.files("mia.audits") / "templates/mitigations.json"
    (paths.AUDITS / "mitigations.json").write_text(mitigations.read_text(encoding="utf-8"), encoding="utf-8")


def audit(
    answers: pd.DataFrame, shadows: pd.DataFrame | None, out: Path, attacks: Path | None = None
) -> dict[str, Any]:
    """Audit answers in memory; returns the verdict and every attack's numbers, and leaves the page in `out`.

    answers, shadows: the columns of `mia.data.answers_file`, a row a record, shadows in long form with `model`.
    attacks: as in `run`. Raises InputError as `run`, and where a frame cannot be written as Parquet.
    """
    tables = out / "given"
    tables.mkdir(parents=True, exist_ok=True)
    target = _write(answers, tables / "target.parquet")
    run(target, None if shadows is None else _write(shadows, tables / "shadows.parquet"), out / "audit", attacks)
    measured = {entry["attack"]: entry for entry in metrics_files.read_json(out / "audit" / paths.ATTACK_METRICS)}
    verdict = metrics_files.read_json(out / "audit" / paths.VERDICT)
    return {"verdict": verdict, "attacks": measured, "page": str(out / "audit" / paths.AUDIT_PAGE)}


def _write(frame: pd.DataFrame, path: Path) -> Path:
    """A frame of pandas, or of what has `to_pandas`, as Parquet; its index is left out."""
    table = frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()
    try:
        table.to_parquet(path, index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        rule = f"expected columns with text for names and values of one type each, got others ({reason}); convert them"
        raise InputError(f"{path.stem}: {rule}") from None
    return path
