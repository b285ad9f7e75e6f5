"""What the counting of the original experiment would have said, beside always answering "member"."""

from __future__ import annotations

import math
from typing import Any

from mia.evaluation import decisions, verdict
from mia.report.audit.measured import Audit, Numbers

COUNTED = ("accuracy", "precision", "recall", "f1")  # what Shokri et al. and those who follow them report


def table(audit: Audit) -> dict[str, Any]:
    """Return the counting of the learned attack, or of the first where it did not run."""
    entry = audit.by_attack.get("learned", audit.attacks[0])
    cross_fitted = entry.get("thresholds") == "cross-fitted"
    guess = decisions.always_member(entry["n_member"], entry["n_nonmember"])
    rows = [
        (
            name.replace("f1", "F1").replace("_", " "),
            f"{entry[name]:.3f}" if name in entry else "–",
            f"{guess[name]:.3f}",
            better(entry, name, guess),
        )
        for name in (*COUNTED, "balanced_accuracy")
    ]
    return {
        "attack": entry["attack"],
        "threshold": "cross-fitted thresholds" if cross_fitted else "the threshold chosen on the shadows",
        "there": "those thresholds" if cross_fitted else "that threshold",
        "rows": rows,
        "tpr": verdict.share(entry, "tpr") if math.isfinite(entry["tpr"]) else None,
        "share": entry["n_member"] / (entry["n_member"] + entry["n_nonmember"]),
        "tp": f"{entry['tp']:,}",
        "fp": f"{entry['fp']:,}",
        "fpr": f"{100 * entry['fp'] / entry['n_nonmember']:.1f} %",
    }


def better(entry: Numbers, name: str, guess: Numbers) -> str:
    """Return whether a number is better than that of always answering "member", by its interval."""
    if name not in entry:
        return "–"
    if entry[f"{name}_low"] > guess[name]:
        return "better"
    return "worse" if entry[f"{name}_high"] < guess[name] else "no difference shown"
