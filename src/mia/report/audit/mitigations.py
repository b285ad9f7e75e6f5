"""What other trainings of a target gave, as the report shows it beside its advice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mia.evaluation import verdict, wording
from mia.report.audit.measured import Numbers

REDUCING = Path(__file__).parent.parent / "reducing.json"  # `make reducing` measures it


def table(mitigations: Numbers) -> dict[str, Any]:
    """Return the rows as text, and the FPR of their TPR in percent. mitigations: the content of `REDUCING`."""
    rows = mitigations["rows"]
    return {
        "setting": mitigations["setting"],
        "fpr": verdict.rate(rows[0]["fpr"]) if rows else None,
        "rows": [
            {
                "change": row["change"],
                "test": f"{100 * row['test_accuracy']:.1f} %",
                "train": f"{100 * row['train_accuracy']:.1f} %",
                "tpr": verdict.share(row, "tpr"),
                "auc": wording.number(row, "auc", 3),
            }
            for row in rows
        ],
    }
