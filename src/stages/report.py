"""Draw what was measured, and write it as a page that people can read.

Reads: metrics/*.json, plots/*.csv, data/model.json; data/exposure.parquet, data/features/target.parquet (for the
loss), data/population/ (for the images or rows shown); the file that report.mitigations names.
Writes: plots/*.png, reports/audit.html; says on stdout what was found and where it stands.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mia import paths
from mia.attacks import schemas
from mia.compute import forks
from mia.data import stored_records
from mia.evaluation import verdict
from mia.params import Params
from mia.params_audit import Audit as AuditParams
from mia.report.audit import attacker, drawings, files, mitigations, page
from mia.report.audit.measured import Audit
from mia.report.figures import style
from mia.store import atomic, parquet, sealed_json
from stages import run

FIGURES = (paths.OVERVIEW_FIGURE, paths.LEAK_FIGURE, paths.ROC_FIGURE, paths.SCORE_FIGURE, paths.CONFUSION_FIGURE,
           paths.COMPARISON_FIGURE, paths.CLASSES_FIGURE, paths.LEARNING_FIGURE, paths.LEADERBOARD_FIGURE)  # fmt: skip


def main(params: Params) -> None:
    """Run the stage."""
    audit = read(Path(params.report.mitigations), values=params.report.values and params.report.gallery > 0)
    estimator = params.attacks.learned.estimator
    chosen = audit.selection["best"] if estimator == "best" else estimator
    sections = active(params)
    figures = drawings.for_files(audit, chosen=chosen, given=attacker.answers_given(sections))

    def draw(path: Path) -> None:
        if path == paths.AUDIT_PAGE:
            text = page.render(audit, sections, gallery=params.report.gallery, estimator=chosen)
            with atomic.file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        else:
            style.save(figures[path.stem](), path)

    list(forks.results(draw, [paths.AUDIT_PAGE, *FIGURES]))  # the page takes longest
    print(f"\n{verdict.sentence(audit.verdict)}\nThe report: {paths.AUDIT_PAGE}")


def read(others: Path, *, values: bool) -> Audit:
    """Read and check what was measured.

    others: what other trainings of a target gave. values: whether the page shows those of a table's rows.
    """
    numbers = files.read_verdict(paths.VERDICT)
    attacks = files.read_attacks(paths.ATTACK_METRICS, numbers.get("fpr"))
    exposure = parquet.read(paths.EXPOSURE, schemas.exposure(list(attacks)))
    return Audit(
        verdict=numbers,
        attacks=list(attacks.values()),
        refused=files.read_metrics(paths.NOT_APPLICABLE),
        data=files.read_metrics(paths.DATA_METRICS),
        target=files.read_metrics(paths.TARGET_METRICS),
        shadows=files.read_shadows(paths.SHADOW_METRICS),
        selection=files.read_selection(paths.SELECTION),
        without_shadows=files.read_without_shadows(paths.WITHOUT_SHADOWS),
        curves=files.read_table(paths.ROC_CURVES, attacks),
        bins=files.read_table(paths.SCORE_HISTOGRAM, attacks),
        counts=files.read_table(paths.CONFUSION, attacks),
        classes=files.read_table(paths.CLASSES, attacks),
        pairs=files.read_table(paths.COMPARISONS, attacks),
        history=files.read_table(paths.LEARNING_CURVES, attacks),
        board=files.read_leaderboard(paths.LEADERBOARD),
        exposure=exposure,
        loss=files.read_loss(paths.TARGET_FEATURES, exposure),
        images=stored_records.load(paths.POPULATION).images if stored_records.has_images(paths.POPULATION) else None,
        table=stored_records.load(paths.POPULATION).table
        if values and stored_records.has_table(paths.POPULATION)
        else None,
        mitigations=mitigations.read(others),
        fingerprint=hashlib.sha256(paths.EXPOSURE.read_bytes()).hexdigest(),
    )


def active(params: Params) -> dict[str, Any]:
    """The parameters of this audit by section; if answers were given, without those of training and queries."""
    audit = params.audit
    target, sizes = dumped(audit.target), dumped(audit.shadow)
    sections = {
        "seed": params.seed,
        "audit": audit.name,
        "data": audit.data.model_dump(),
        "attacker": params.attacker.model_dump() if target else None,
        "model": brought_model(audit),
        "target": target,
        "shadow": None if sizes is None else {"blocks": params.shadow.blocks, **sizes},
        "query": params.query.model_dump() if target or audit.door == "model" else None,
        "features": params.features.model_dump(),
        "attacks": params.attacks.model_dump(),
        "select": params.select.model_dump(),
        "estimators": params.estimators.model_dump(),
        "evaluate": params.evaluate.model_dump(),
        "report": params.report.model_dump(),
    }
    return {name: values for name, values in sections.items() if values is not None}


def brought_model(audit: AuditParams) -> dict[str, Any] | None:
    """The kind and the settings of a trained model that was brought."""
    if audit.door != "model":
        return None
    kind = sealed_json.unseal(paths.MODEL.read_text(encoding="utf-8"))["kind"]
    return {"kind": kind, **audit.brought.model_dump()}


def dumped(section: BaseModel | None) -> dict[str, Any] | None:
    """The values of a section that an audit may lack."""
    return None if section is None else section.model_dump()


if __name__ == "__main__":
    run(main)
