"""Other trainings of a target and their audits, of a user's file: the report shows them beside its advice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mia.errors import InputError
from mia.evaluation import verdict, wording
from mia.report.audit.measured import Numbers
from mia.store import sealed_json

RATES = ("train_accuracy", "test_accuracy", "fpr", "tpr", "tpr_low", "tpr_high", "auc", "auc_low", "auc_high")
EXAMPLE = "docs/results/reducing/reducing.json is an example"


def read(path: Path) -> dict[str, Any]:
    """Read {"setting": text, "rows": [{"change": text, and `RATES`, numbers from 0 to 1}, ...]}.

    A row is a training: what was changed, its accuracy on members and on non-members, and what its audit found. All
    rows have one `fpr`, that of the TPR. Without rows the report gives its advice alone. Raises InputError with all
    faults of the file.
    """
    try:
        values = sealed_json.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; report.mitigations in params.yaml names it") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); {EXAMPLE}") from None
    if faults := list(_faults(values)):
        raise InputError("\n".join(f"{path}: {fault}; {EXAMPLE}" for fault in faults))
    return dict(values)


def _faults(values: Any) -> Iterator[str]:
    if not isinstance(values, dict):
        yield f"expected setting and rows, got {values!r:.80}"
        return
    if not isinstance(values.get("setting"), str):
        yield f"setting: expected a text, got {values.get('setting')!r:.80}"
    rows = values.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        yield f"rows: expected a list of trainings, got {rows!r:.80}"
        return
    for at, row in enumerate(rows):
        if not isinstance(row.get("change"), str):
            yield f"rows[{at}].change: expected a text, got {row.get('change')!r:.80}"
        for name in RATES:
            rate = row.get(name)
            if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate <= 1:
                yield f"rows[{at}].{name}: expected a number from 0 to 1, got {rate!r:.80}"
    if len(fprs := {str(row.get("fpr")) for row in rows}) > 1:
        yield f"rows: expected one fpr, got {', '.join(sorted(fprs))}"


def table(mitigations: Numbers) -> dict[str, Any]:
    """Return the rows as text, and the FPR of their TPR in percent. mitigations: what `read` returns."""
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
                "auc": wording.fraction(row, "auc"),
            }
            for row in rows
        ],
    }
