"""The numbers that the original experiment reports, beside those of always answering "member"."""

from __future__ import annotations

import math
from typing import Any

from mia.evaluation import decisions, verdict, wording
from mia.report.audit.measured import Audit, Numbers

COUNTED = ("accuracy", "precision", "recall", "f1")  # the numbers of Shokri et al. and their followers


def table(audit: Audit) -> dict[str, Any]:
    """Return the numbers of the learned attack, or of the first attack if the learned attack did not run."""
    entry = audit.by_attack.get("learned", audit.attacks[0])
    cross_fitted = entry.get("thresholds") == "cross-fitted"
    guess = decisions.always_member(entry["n_member"], entry["n_nonmember"])
    fraction = wording.decimals(3)
    rows = [
        (
            name.replace("f1", "F1").replace("_", " "),
            fraction(entry[name]) if name in entry else "–",
            fraction(guess[name]),
            better(entry, name, guess),
        )
        for name in (*COUNTED, "balanced_accuracy")
    ]
    share = entry["n_member"] / (entry["n_member"] + entry["n_nonmember"])
    return {
        "attack": entry["attack"],
        "threshold": "cross-fitted thresholds" if cross_fitted else "the threshold chosen on the shadows",
        "there": "those thresholds" if cross_fitted else "that threshold",
        "rows": rows,
        "tpr": verdict.share(entry, "tpr") if math.isfinite(entry["tpr"]) else None,
        "mixed": not 0.45 <= share <= 0.55,
        "percent": f"{100 * share:.0f} %",
        "always": fraction(share),
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
