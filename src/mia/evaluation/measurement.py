"""What is measured of each attack, gathered from the modules beside this one, and made ready to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mia.arrays import Bools, Floats
from mia.evaluation import by_class, detectable, metrics, permutation, roc

SUMMARY = ("auc", "balanced_accuracy", "epsilon_lower")


@dataclass(frozen=True)
class Target:
    """The audited records, (samples,) each: every attack's scores, membership, class by name and by label; p-values."""

    scores: Mapping[str, Floats]
    is_member: Bools
    class_names: NDArray[np.str_]
    labels: NDArray[Any]
    fprs: Sequence[float]
    chance: permutation.PValues


@dataclass(frozen=True)
class Result:
    """What is written of one attack: its entry of attacks.json, and its rows of the four CSV files."""

    numbers: dict[str, Any]
    curve: pd.DataFrame
    histogram: pd.DataFrame
    decisions: pd.DataFrame
    classes: pd.DataFrame


def measure(
    target: Target,
    attack: str,
    on_shadows: tuple[Floats, Bools],
    *,
    replicates: int,
    histogram_bins: int,
    rng: np.random.Generator,
) -> Result:
    """Measure an attack of the target.

    on_shadows: its scores of shadows' records, and whether they are members, for the thresholds. rng: of the bootstrap.
    InputError: as `metrics.attack_metrics`.
    """
    score, is_member = target.scores[attack], target.is_member
    at = list(target.scores).index(attack)
    sizes = int(is_member.sum()), int((~is_member).sum())
    curve = roc.thin(roc.curve(score, is_member))
    numbers, band = metrics.attack_metrics(
        score,
        is_member,
        threshold=roc.best_threshold(*on_shadows),
        epsilon_threshold=metrics.epsilon_threshold(*on_shadows, n_member=sizes[0], n_nonmember=sizes[1]),
        fprs=target.fprs,
        replicates=replicates,
        rng=rng,
        band_fps=curve.fp,
    )
    numbers |= beside_chance(numbers, target.fprs, target.chance, at)
    said = detectable.verdict(
        numbers["auc"], numbers["auc_low"], numbers["auc_high"], *sizes, attacks=len(target.scores)
    )
    if numbers["balanced_accuracy_low"] <= 0.5 < numbers["auc_low"]:
        said += ", but at the threshold chosen on shadows decides no better than chance"
    alike = metrics.json_ready({"classes_alike_p": by_class.alike(score, is_member, target.labels)})
    columns = {"fpr": curve.fpr, "tpr": curve.tpr, "threshold": curve.thresholds}
    classes = pd.DataFrame(
        by_class.by_class(score, is_member, target.class_names, p_value=float(target.chance.auc[at]))
    )
    classes.insert(0, "attack", attack)
    return Result(
        {"attack": attack, "verdict": said, **numbers, **always_member(*sizes), **alike},
        pd.DataFrame({"attack": attack, **columns, "tpr_low": band.low, "tpr_high": band.high}),
        histogram(attack, score, is_member, histogram_bins),
        tally(attack, numbers),
        classes.rename(columns={"label": "class"}),
    )


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


def beside_chance(
    one: Mapping[str, float | int], fprs: Sequence[float], chance: permutation.PValues, at: int
) -> dict[str, float | int]:
    """An attack's p-values by the exact test, and its limits where they must hold guessing."""
    low, high = permutation.limited(one["auc_low"], one["auc_high"], 0.5, chance.auc[at])
    adjusted = {"auc_low": low, "auc_high": high, "auc_p": round(float(chance.auc[at]), 4)}
    for fpr, p_value in zip(fprs, chance.tpr[at], strict=True):
        key = metrics.fpr_key(fpr)
        low, _ = permutation.limited(one[f"{key}_low"], one[f"{key}_high"], fpr, p_value)
        adjusted |= {f"{key}_low": low, f"{key}_p": round(float(p_value), 4)}
    return adjusted


def always_member(n_member: int, n_nonmember: int) -> dict[str, float]:
    """What answering "member" for every record gets, to stand beside accuracy and F1."""
    guess = metrics.always_member(n_member, n_nonmember)
    return {f"always_member_{name}": round(guess[name], 4) for name in ("accuracy", "precision", "f1")}


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
