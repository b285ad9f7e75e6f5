"""Measure every attack on the target, at thresholds chosen on the shadows.

Reads: data/scores.parquet.
Writes: metrics/attacks.json (one entry an attack, every number with its interval and counts), metrics/summary.json (the
few that `dvc metrics diff` compares), plots/roc.csv, plots/scores.csv, plots/confusion.csv.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mia import documents, metrics, paths, progress, roc, seeds, tables
from mia.params import Params
from stages import run

SUMMARY = ("auc", "balanced_accuracy", "accuracy", "f1", "epsilon_lower")


def main(params: Params) -> None:
    """Run the stage."""
    scores = tables.read(paths.SCORES, tables.SCORES)
    scores["attack"] = scores["attack"].astype("category")
    measured, curves, histograms, tallies = [], [], [], []
    for number, attack in enumerate(progress.bar(list(scores["attack"].cat.categories), "evaluate", unit="attack")):
        of_attack = scores[scores["attack"] == attack]
        target, shadows = of_attack[of_attack["model_id"] == 0], of_attack[of_attack["model_id"] != 0]
        score, is_member = target["score"].to_numpy(), target["is_member"].to_numpy(bool)
        on_shadows = shadows["score"].to_numpy(), shadows["is_member"].to_numpy(bool)
        sizes = int(is_member.sum()), int((~is_member).sum())
        one = metrics.attack_metrics(
            score,
            is_member,
            threshold=roc.best_threshold(*on_shadows),
            epsilon_threshold=metrics.epsilon_threshold(*on_shadows, n_member=sizes[0], n_nonmember=sizes[1]),
            fprs=params.evaluate.fprs,
            replicates=params.evaluate.bootstrap_replicates,
            rng=seeds.generator(params.seed, "bootstrap", number),
        )
        measured.append({"attack": attack, **one, **always_member(*sizes)})
        curve = roc.thin(roc.curve(score, is_member))
        curves.append(
            pd.DataFrame({"attack": attack, "fpr": curve.fpr, "tpr": curve.tpr, "threshold": curve.thresholds})
        )
        histograms.append(histogram(attack, score, is_member, params.evaluate.histogram_bins))
        tallies.append(tally(attack, one))

    report_unresolved(params.evaluate.fprs, int(measured[0]["n_nonmember"]))
    documents.write_json(paths.ATTACK_METRICS, measured)
    documents.write_json(paths.SUMMARY, summary(measured))
    documents.write_csv(paths.ROC_CURVES, pd.concat(curves))
    documents.write_csv(paths.SCORE_HISTOGRAM, pd.concat(histograms))
    documents.write_csv(paths.CONFUSION, pd.concat(tallies))


def always_member(n_member: int, n_nonmember: int) -> dict[str, float]:
    """What answering "member" for every record gets, to stand beside accuracy and F1."""
    guess = metrics.always_member(n_member, n_nonmember)
    return {f"always_member_{name}": round(guess[name], 4) for name in ("accuracy", "precision", "f1")}


def summary(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers to compare experiments by: few an attack, and what always answering "member" gets."""
    of_attack = {
        one["attack"]: {
            name: one[name] for name in one if name in SUMMARY or (name[:3] == "tpr" and name[-1].isdigit())
        }
        for one in measured
    }
    first = measured[0]
    guess = {name: first[f"always_member_{name}"] for name in ("accuracy", "f1")}
    return {"members": first["n_member"], "nonmembers": first["n_nonmember"], **of_attack, "always_member": guess}


def histogram(attack: str, score: NDArray[np.float64], is_member: NDArray[np.bool_], bins: int) -> pd.DataFrame:
    """Shares of members and of non-members by score; the outermost 0.1 % on each side falls into the end bins."""
    low, high = np.quantile(score, [0.001, 0.999])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    inside = np.clip(score, low, high)
    shares = {
        name: np.histogram(inside[rows], edges)[0] / rows.sum()
        for name, rows in (("members", is_member), ("nonmembers", ~is_member))
    }
    return pd.DataFrame({"attack": attack, "left": edges[:-1], "right": edges[1:], **shares})


def tally(attack: str, one: dict[str, float | int]) -> pd.DataFrame:
    """The confusion matrix of one attack, a row a cell."""
    cells = [
        ("member", "member", one["tp"], one["n_member"]),
        ("member", "non-member", one["fn"], one["n_member"]),
        ("non-member", "member", one["fp"], one["n_nonmember"]),
        ("non-member", "non-member", one["tn"], one["n_nonmember"]),
    ]
    frame = pd.DataFrame(cells, columns=["actual", "predicted", "count", "of"])
    frame["share"] = frame["count"] / frame.pop("of")
    frame.insert(0, "attack", attack)
    return frame


def report_unresolved(fprs: list[float], n_nonmember: int) -> None:
    """Say which TPR are not given, and why."""
    unresolved = [fpr for fpr in fprs if not roc.resolvable(fpr, n_nonmember)]
    if unresolved:
        print(
            f"evaluate: no TPR at FPR {', '.join(map(str, unresolved))}: {n_nonmember} non-members resolve an FPR of "
            f"{1 / n_nonmember:.2g} at the least",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
