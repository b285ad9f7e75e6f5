"""The page's tables: attacks, classes and attack models as rows, their numbers as text and on small axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from mia.evaluation import verdict, wording
from mia.report import ranking, text_table
from mia.report.audit.measured import Audit, Numbers
from mia.report.figures import classes as figure


def attacks(audit: Audit) -> list[dict[str, Any]]:
    """Return every attack with its numbers and where they lie; the strongest at the low FPR first."""
    fpr = audit.verdict.get("fpr", math.nan)
    highs = [entry["tpr_high"] for entry in audit.attacks if math.isfinite(entry["tpr_high"])]
    largest = min(1.0, 1.3 * max([5 * fpr, *highs]))
    lowest = min([0.5, *(entry["auc_low"] for entry in audit.attacks)]) - 0.01
    highest = max([0.6, *(entry["auc_high"] for entry in audit.attacks)]) + 0.01
    rows = []
    for entry in sorted(audit.attacks, key=lambda entry: (-np.nan_to_num(entry["tpr"], nan=-1), -entry["auc"])):
        known = math.isfinite(entry["tpr"])
        rows.append(
            {
                "attack": entry["attack"],
                "strong": entry["attack"] in (audit.verdict.get("tpr_attack"), audit.verdict["auc_attack"]),
                "verdict": entry["verdict"],
                "tpr": entry["tpr"] if known else "",
                "tpr_text": tpr_text(entry) if known else "too few non-members",
                "tpr_bar": bar(entry, "tpr", fpr, low=fpr / 10, high=largest, log=True) if known else None,
                "tpr_sure": known and entry["tpr_low"] > fpr,
                "tpr_axis": f"{verdict.rate(fpr / 10)} to {verdict.percent(largest)} %, log" if known else "",
                "auc_axis": "{} to {}".format(*map(wording.decimals(2), (lowest, highest))),
                "auc": entry["auc"],
                "auc_text": text_table.interval(entry, "auc", 3),
                "auc_bar": bar(entry, "auc", 0.5, low=lowest, high=highest, log=False),
                "auc_sure": entry["auc_low"] > 0.5,
                "balanced": entry["balanced_accuracy"],
                "balanced_text": wording.with_limits(
                    wording.estimate(entry, "balanced_accuracy"), lambda share: f"{100 * share:.1f}", unit=" %"
                ),
                "epsilon": entry["epsilon_lower"],
                "epsilon_text": f"{entry['epsilon_lower']:.2f}",
            }
        )
    return rows


def tpr_text(entry: Numbers) -> str:
    """Return a TPR in percent with its limits and its spread over trainings: 29 % (25 to 33) ± 2.1."""
    return verdict.share(entry, "tpr") + wording.another_training(entry, "tpr", verdict.percent)


def classes(audit: Audit) -> list[dict[str, Any]]:
    """Return every class by the AUC of the attack with the highest, the most exposed first."""
    frame = audit.classes[audit.classes["attack"] == audit.verdict["auc_attack"]].sort_values(
        "auc", ascending=False, kind="stable", na_position="last"
    )
    ends = frame[["auc_low", "auc_high"]].to_numpy(np.float64)
    low = min(0.5, float(np.nanmin(ends[:, 0], initial=0.5))) - 0.01
    high = max(0.6, float(np.nanmax(ends[:, 1], initial=0.6))) + 0.01
    rows = []
    for row in frame.to_dict("records"):
        known = math.isfinite(row["auc"])
        rows.append(
            {
                "class": str(row["class"]),
                "n_member": f"{row['n_member']:,}",
                "n_nonmember": f"{row['n_nonmember']:,}",
                "auc": row["auc"] if known else "",
                "text": wording.fraction(row, "auc") if known else figure.only(row),
                "bar": bar(row, "auc", 0.5, low=low, high=high, log=False) if known else None,
                "sure": bool(row["auc_low"] > 0.5),
            }
        )
    return rows


def attack_models(board: pd.DataFrame, chosen: str | None) -> list[dict[str, Any]]:
    """Return the classifiers tried as attack models, best first. board: plots/leaderboard.csv."""
    frame = ranking.best_first(board)
    low = min(0.5, float((frame["auc_mean"] - frame["auc_std"]).min())) - 0.005
    high = max(0.55, float((frame["auc_mean"] + frame["auc_std"]).max())) + 0.005
    rows = []
    for row in frame.to_dict("records"):
        mean, spread = row["auc_mean"], row["auc_std"]
        ends = {"auc": mean, "auc_low": mean - spread, "auc_high": mean + spread}
        rows.append(
            {
                "estimator": row["estimator"],
                "chosen": row["estimator"] == chosen,
                "stopped": bool(row["stopped_in_round"]),
                "text": ranking.result(mean, spread, row["stopped_in_round"]),
                "bar": bar(ends, "auc", 0.5, low=low, high=high, log=False),
                "sure": mean - spread > 0.5 and not row["stopped_in_round"],
            }
        )
    return rows


def bar(entry: Numbers, name: str, guess: float, *, low: float, high: float, log: bool) -> dict[str, Any]:
    """Return where a value, its limits and guessing lie on an axis from low to high, in percent."""

    def place(value: float) -> float:
        value = min(max(value, low), high)
        share = math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
        return round(100 * share, 2)

    ends = {end: place(entry[key]) for end, key in (("value", name), ("low", f"{name}_low"), ("high", f"{name}_high"))}
    text = wording.fraction(entry, name) if name == "auc" else verdict.share(entry, name)
    return ends | {"guess": place(guess), "said": text}
