"""The numbers of each attack, gathered from the modules beside this file and made ready to be written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mia.arrays import Bools, Floats
from mia.errors import InputError
from mia.evaluation import bootstrap, by_class, decisions, detectable, epsilon, members_known, metrics, permutation, roc

SUMMARY = ("auc", "balanced_accuracy", "epsilon_lower")


class Measured(NamedTuple):
    """What one attack did: its numbers, flat and ready for JSON, and the band around points of its ROC curve."""

    numbers: dict[str, float | int]
    band: bootstrap.Band


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


@dataclass(frozen=True)
class Thresholds:
    """An attack's thresholds, chosen elsewhere than on the records they are used on.

    decision: one number, or one a record, (samples,). epsilon: one number, used on the records `epsilon_rows`.
    """

    decision: float | Floats
    epsilon: float
    epsilon_rows: Bools | None = None  # all


def on_shadows(scores: Floats, is_member: Bools, *, n_member: int, n_nonmember: int) -> Thresholds:
    """Thresholds from an attack's scores of shadows' records. n_member, n_nonmember: of the target."""
    return Thresholds(
        roc.best_threshold(scores, is_member),
        epsilon.best_threshold(scores, is_member, n_member=n_member, n_nonmember=n_nonmember),
    )


def cross_fitted(scores: Floats, is_member: Bools, rng: np.random.Generator) -> Thresholds:
    """Thresholds where there are no shadows: each half of the records has the other half's; epsilon is of one half.

    An auditor can choose so, who knows the members; an attacker cannot.
    """
    half = members_known.halves(is_member, rng)
    of_half, of_other = (roc.best_threshold(scores[rows], is_member[rows]) for rows in (half, ~half))
    counts = {"n_member": int(is_member[~half].sum()), "n_nonmember": int((~is_member[~half]).sum())}
    return Thresholds(
        np.where(half, of_other, of_half), epsilon.best_threshold(scores[half], is_member[half], **counts), ~half
    )


def measure(
    target: Target,
    attack: str,
    thresholds: Thresholds,
    spreads: Mapping[str, Any],
    *,
    replicates: int,
    histogram_bins: int,
    rng: np.random.Generator,
) -> Result:
    """Measure an attack of the target.

    spreads: how far the attack's numbers move over trainings (`trainings.spreads`). rng: of the bootstrap.
    InputError: as `attack_metrics`.
    """
    score, is_member = target.scores[attack], target.is_member
    at = list(target.scores).index(attack)
    sizes = int(is_member.sum()), int((~is_member).sum())
    curve = roc.thin(roc.curve(score, is_member))
    numbers, band = attack_metrics(
        score,
        is_member,
        thresholds=thresholds,
        fprs=target.fprs,
        replicates=replicates,
        rng=rng,
        band_fps=curve.fp,
    )
    numbers |= beside_chance(numbers, target.fprs, target.chance, at)
    sentence = detectable.sentence(
        numbers["auc"], numbers["auc_low"], numbers["auc_high"], *sizes, attacks=len(target.scores)
    )
    if numbers["balanced_accuracy_low"] <= 0.5 < numbers["auc_low"]:
        where = "the threshold chosen on shadows" if np.isscalar(thresholds.decision) else "the other half's threshold"
        sentence += f"; its decisions at {where} are no better than guessing"
    homogeneity: dict[str, Any] = {
        **metrics.json_ready({"classes_alike_p": by_class.homogeneity_p_value(score, is_member, target.labels)})
    }
    columns = {"fpr": curve.fpr, "tpr": curve.tpr, "threshold": curve.thresholds}
    classes = pd.DataFrame(
        by_class.auc_rows(score, is_member, target.class_names, p_value=float(target.chance.auc[at]))
    )
    classes.insert(0, "attack", attack)
    if not np.isscalar(thresholds.decision):
        homogeneity["thresholds"] = "cross-fitted"
    return Result(
        {"attack": attack, "verdict": sentence, **numbers, **always_member(*sizes), **homogeneity, **spreads},
        pd.DataFrame({"attack": attack, **columns, "tpr_low": band.low, "tpr_high": band.high}),
        histogram(attack, score, is_member, histogram_bins),
        tally(attack, numbers),
        classes.rename(columns={"label": "class"}),
    )


def attack_metrics(
    scores: ArrayLike,
    is_member: ArrayLike,
    *,
    thresholds: Thresholds,
    fprs: Sequence[float],
    replicates: int,
    rng: np.random.Generator,
    band_fps: ArrayLike = (),
    level: float = 0.95,
) -> Measured:
    """Return one attack's numbers on the target, flat, rounded as `metrics.json_ready` does, and a band.

    thresholds: used as given, and rounded only in what is returned; of several the mean is returned.
    band_fps: (points,), whole: the band holds the limits of the TPR with at most so many false positives, made as
    those of the TPR at an FPR are (`bootstrap.estimates`), from the same replicates, one point at a time.
    Keys, in this order; those marked * come with `_low` and `_high`:
    auc*, advantage*, tpr_at_fpr_...* (`bootstrap.estimates`); accuracy*, balanced_accuracy*, precision*, recall*,
    fpr*, f1* (`decisions.decision` at thresholds.decision); epsilon_lower (`epsilon.lower_bound` at
    thresholds.epsilon, from epsilon_tp and epsilon_fp); threshold, epsilon_threshold; n_member, n_nonmember, tp, fp,
    tn, fn, epsilon_tp, epsilon_fp.
    Left out, never NaN or zero: the TPR at an FPR that the non-members cannot resolve; precision, with its
    limits, when nothing is called member (tp + fp = 0 says so).
    InputError: as `bootstrap.estimates`, and a threshold that is NaN or infinite.
    """
    for name, value in (("threshold", thresholds.decision), ("epsilon_threshold", thresholds.epsilon)):
        if not np.isfinite(value).all():
            raise InputError(f"{name}: expected a finite number chosen on shadow models, got {value}")
    values, member = np.asarray(scores, dtype=np.float64), np.asarray(is_member)
    curve = roc.curve(values, member)
    estimates, band = bootstrap.estimates_and_band(
        curve, fprs=fprs, replicates=replicates, rng=rng, level=level, band_fps=band_fps
    )
    hard = decisions.decision(values >= thresholds.decision, member, level=level)
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "fpr", "f1"):
        estimates[name] = getattr(hard, name)
    held = np.ones(len(member), bool) if thresholds.epsilon_rows is None else thresholds.epsilon_rows
    called, of_held = values[held] >= thresholds.epsilon, member[held]
    epsilon_tp, epsilon_fp = int((called & of_held).sum()), int((called & ~of_held).sum())
    epsilon_sizes = int(of_held.sum()), int((~of_held).sum())
    summary: dict[str, float | int] = {}
    for name, estimate in estimates.items():
        if not math.isnan(estimate.value):
            summary |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    summary["epsilon_lower"] = epsilon.lower_bound(
        epsilon_tp, epsilon_sizes[0], epsilon_fp, epsilon_sizes[1], level=level
    )
    summary |= {"threshold": float(np.mean(thresholds.decision)), "epsilon_threshold": thresholds.epsilon}
    for name in ("n_member", "n_nonmember", "tp", "fp", "tn", "fn"):
        summary[name] = getattr(hard, name)
    return Measured(metrics.json_ready(summary | {"epsilon_tp": epsilon_tp, "epsilon_fp": epsilon_fp}), band)


def summary(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers to compare experiments by: few an attack, and what always answering "member" gets."""
    of_attack = {
        numbers["attack"]: {
            name: value
            for name, value in numbers.items()
            if name in SUMMARY or (name[:3] == "tpr" and name[-1].isdigit())
        }
        for numbers in measured
    }
    first = measured[0]
    guess = {name: first[f"always_member_{name}"] for name in ("accuracy", "f1")}
    return {"members": first["n_member"], "nonmembers": first["n_nonmember"], **of_attack, "always_member": guess}


def beside_chance(
    numbers: Mapping[str, float | int], fprs: Sequence[float], chance: permutation.PValues, at: int
) -> dict[str, float | int]:
    """An attack's p-values by the exact test, and its limits where they must hold guessing."""
    low, high = permutation.limited(numbers["auc_low"], numbers["auc_high"], 0.5, chance.auc[at])
    adjusted = {"auc_low": low, "auc_high": high, "auc_p": round(float(chance.auc[at]), 4)}
    for fpr, p_value in zip(fprs, chance.tpr[at], strict=True):
        key = metrics.fpr_key(fpr)
        low, _ = permutation.limited(numbers[f"{key}_low"], numbers[f"{key}_high"], fpr, p_value)
        adjusted |= {f"{key}_low": low, f"{key}_p": round(float(p_value), 4)}
    return adjusted


def always_member(n_member: int, n_nonmember: int) -> dict[str, float]:
    """What answering "member" for every record gets, to stand beside accuracy and F1."""
    guess = decisions.always_member(n_member, n_nonmember)
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


def tally(attack: str, numbers: Mapping[str, float | int]) -> pd.DataFrame:
    """The confusion matrix of one attack, a row a cell."""
    cells = [
        ("member", "member", numbers["tp"], numbers["n_member"]),
        ("member", "non-member", numbers["fn"], numbers["n_member"]),
        ("non-member", "member", numbers["fp"], numbers["n_nonmember"]),
        ("non-member", "non-member", numbers["tn"], numbers["n_nonmember"]),
    ]
    frame = pd.DataFrame(cells, columns=["actual", "predicted", "count", "of"])
    frame["share"] = frame["count"] / frame.pop("of")
    frame.insert(0, "attack", attack)
    return frame
