"""Audits made by hand of drawn scores, for the page that shows them: odd, hostile or large; no model is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

import pipeline
from mia import params
from mia.catalogue import wanted
from mia.evaluation import decisions, detectable, differences, intervals, measurement, roc, verdict
from mia.report.audit import page as audit_page
from mia.report.audit.measured import Audit
from mia.report.figures import roc as roc_figure
from stages import report

ATTACKS = wanted("all")
HOSTILE = (
    "<script>document.title='taken'</script>",
    '"><img src=x onerror="document.title=\'taken\'">',
    "<svg onload=\"document.title='taken'\"><use href='https://example.org/x.svg#a'/></svg>",
    "</style></script><!-- <plaintext>",
    "{{ 7 * 7 }} {% raw %} &amp;&lt; $\\frac{1}{2}$ %s `javascript:void(0)`",
    "W" * 200,
    "قطة ‮צילום",
    "飞机与汽车的照片",
    "a word and another " * 12,
    "",
)
FEW = ("horse", "ship", "truck")


def made(
    *,
    attacks: Sequence[str] = ("loss", "learned", "stacked"),
    n_member: int = 240,
    n_nonmember: int = 240,
    classes: Sequence[str] = FEW,
    names: Sequence[str] = (),
    shape: tuple[int, int, int] = (8, 8, 1),
    leak: float = 1.0,
    mitigations: int = 2,
    seed: int = 0,
) -> Audit:
    """An audit of drawn scores.

    classes: by label, dealt in turn; one of a single kind has a name that ends in " only". names: of the images, dealt
    likewise. leak: by how many standard deviations the best attack tells members from others, the first the least.
    """
    rng = np.random.default_rng(seed)
    count = n_member + n_nonmember
    member = np.arange(count) % count < n_member
    label = np.arange(count) % len(classes)
    for at, name in enumerate(classes):
        if name.endswith(" only"):
            label[(label == at) & ~member] = (at + 1) % len(classes)
    of_class = np.array(classes, dtype=object)[label]
    named = np.array([names[at % len(names)] if names else f"train/{at:05}.png" for at in range(count)], dtype=object)
    exposure: dict[str, Any] = {
        "sample_id": np.arange(count),
        "name": named,
        "label": label,
        "class": of_class,
        "is_member": member,
    }
    scores = {}
    for at, attack in enumerate(attacks):
        score = rng.standard_normal(count) + leak * member * (at + 1) / len(attacks)
        scores[attack] = score.round(1) if at == 0 else score  # the first has ties
        exposure[f"{attack}_score"] = scores[attack]
        exposure[f"{attack}_rank"] = np.empty(count, np.int64)
        exposure[f"{attack}_rank"][np.argsort(-scores[attack], kind="stable")] = np.arange(1, count + 1)
    fpr = verdict.headline_fpr((0.1, 0.01, 0.001), n_nonmember)
    entries, curves, bins, per_class = [], [], [], []
    for attack, score in scores.items():
        curve = roc.thin(roc.curve(score, member))
        one = entry(attack, score, member, fpr)
        entries.append(one)
        low, high = intervals.clopper_pearson(curve.tp, n_member)
        rates = {"fpr": curve.fpr, "tpr": curve.tpr, "threshold": curve.thresholds, "tpr_low": low, "tpr_high": high}
        curves.append(pd.DataFrame({"attack": attack, **rates}))
        bins.append(measurement.histogram(attack, score, member, 60))
        per_class += [{"attack": attack, **row} for row in of_classes(score, member, of_class)]
    best = max(entries, key=lambda one: float(one["auc"]))
    strict = max(entries, key=lambda one: float(np.nan_to_num(one["tpr"])))
    found = {"attacks": len(entries), "n_member": n_member, "n_nonmember": n_nonmember, "auc_attack": best["attack"]}
    found |= {name: best[name] for name in ("auc", "auc_low", "auc_high")} | {"auc_p": 0.001 if leak else 0.5}
    if fpr is not None:
        found |= {"fpr": fpr, "tpr_attack": strict["attack"]}
        found |= {name: round(float(strict[name]), 5) for name in ("tpr", "tpr_low", "tpr_high")}
        found["tpr_p"] = 0.001 if strict["tpr_low"] > fpr else 0.5
    images = rng.integers(0, 256, (min(count, 2000), *shape), dtype=np.uint8)
    return Audit(
        verdict=found,
        attacks=entries,
        refused={"lira_online": "its shadows hold none of the audited records <b>", "rmia_online": "as lira_online"},
        data={"classes": len(classes)},
        target={"train_accuracy": 0.98, "test_accuracy": 0.71, "gap": 0.27},
        shadows={"train_accuracy": 0.97, "test_accuracy": 0.7, "models": 4},
        selection={"best": "ada_boost"},
        curves=pd.concat(curves, ignore_index=True),
        bins=pd.concat(bins, ignore_index=True),
        counts=counts(entries),
        classes=pd.DataFrame(per_class),
        pairs=pairs(entries),
        history=history(shadows=4),
        board=board(),
        exposure=pd.DataFrame(exposure),
        loss=rng.exponential(size=count),
        images=np.resize(images, (count, *shape)),
        table=None,
        without_shadows={},
        mitigations={
            "setting": "Where it was measured: <i>CIFAKE</i>, 24 attacks, one target each",
            "rows": [
                {
                    "change": f"change {at} & another",
                    "test_accuracy": 0.7,
                    "train_accuracy": 0.9,
                    "fpr": 0.01,
                    **{f"tpr{end}": 0.05 + shift for end, shift in (("", 0), ("_low", -0.01), ("_high", 0.01))},
                    **{f"auc{end}": 0.6 + shift for end, shift in (("", 0), ("_low", -0.01), ("_high", 0.01))},
                }
                for at in range(mitigations)
            ],
        },
        fingerprint="0123456789abcdef" * 4,
    )


def answered(*, shadows: int = 0, loss: bool = True, **drawn: Any) -> Audit:
    """An audit of answers that were given, of models that nobody trained here; no record is an image.

    shadows: whose answers were given too; without, thresholds are cross-fitted. loss: whether the answers hold one.
    drawn: as in `made`.
    """
    audit = made(**{"classes": ("no", "yes"), "names": [f"row {at}" for at in range(480)], "mitigations": 0, **drawn})
    lone: dict[str, Any] = (
        {}
        if shadows
        else {
            "attacks": [{**entry, "thresholds": "cross-fitted"} for entry in audit.attacks],
            "selection": {"best": None, "reason": "there are no shadow models"},
            "board": audit.board.iloc[:0],
        }
    )
    accuracies = {name: audit.shadows[name] for name in ("train_accuracy", "test_accuracy")} if shadows else {}
    return replace(
        audit,
        verdict={**audit.verdict, "kind": "record"},
        shadows={"models": shadows, **accuracies},
        history=audit.history.iloc[:0],
        loss=audit.loss if loss else None,
        images=None,
        **lone,
    )


def tabled(table: pd.DataFrame, **drawn: Any) -> Audit:
    """An audit of a table by an estimator. table: the columns, dealt in turn. drawn: as in `made`."""
    audit = made(**{"names": [f"row {at}" for at in range(480)], "mitigations": 0, **drawn})
    rows = table.iloc[np.arange(len(audit.exposure)) % len(table)].reset_index(drop=True)
    return replace(
        audit,
        verdict={**audit.verdict, "kind": "record"},
        history=audit.history[audit.history["epoch"] == 1],
        images=None,
        table=rows,
    )


def hostile_table() -> pd.DataFrame:
    """A table of hostile texts under hostile names, and of markers of the page's own."""
    texts = [*HOSTILE, "<!-- end -->", "<!-- provenance -->", "<!-- values -->"]
    return pd.DataFrame({name: pd.Series(texts[::-1], dtype=object) for name in [*texts[-6:], *texts[:-6]]})


def entry(attack: str, score: Any, member: Any, fpr: float | None) -> dict[str, Any]:
    """What metrics/attacks.json has of an attack, by formulas that take no time."""
    sizes = int(member.sum()), int((~member).sum())
    curve = roc.curve(score, member)
    area = differences.auc_interval(differences.placements(score, member))
    tpr, low, high = math.nan, math.nan, math.nan
    if fpr is not None:
        tpr = roc.tpr_at(curve, fpr)
        low, high = (float(end) for end in intervals.clopper_pearson(round(tpr * sizes[0]), sizes[0]))
    called = score >= 0.5
    decided = decisions.decision(called, member)
    one: dict[str, Any] = {
        "attack": attack,
        "verdict": detectable.sentence(area.value, area.low, area.high, *sizes),
        **{f"auc{end}": value for end, value in (("", area.value), ("_low", area.low), ("_high", area.high))},
        **{f"tpr{end}": value for end, value in (("", tpr), ("_low", low), ("_high", high))},
        "epsilon_lower": 0.4 * max(area.low - 0.5, 0),
        "tp": int((called & member).sum()),
        "fp": int((called & ~member).sum()),
        "n_member": sizes[0],
        "n_nonmember": sizes[1],
        "classes_alike_p": 0.04,
    }
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1"):
        value = getattr(decided, name)
        one |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    return one


def of_classes(score: Any, member: Any, of_class: Any) -> list[dict[str, Any]]:
    rows = []
    for name in dict.fromkeys(of_class):
        inside = of_class == name
        sizes = int(member[inside].sum()), int((~member[inside]).sum())
        row = {"class": name, "n_member": sizes[0], "n_nonmember": sizes[1]}
        ends = dict.fromkeys(("auc", "auc_low", "auc_high"), math.nan)
        if min(sizes) > 0:
            area = differences.auc_interval(differences.placements(score[inside], member[inside]))
            ends = {"auc": area.value, "auc_low": area.low, "auc_high": area.high}
        rows.append(row | ends)
    return rows


def pairs(entries: Sequence[dict[str, Any]]) -> pd.DataFrame:
    ranked = sorted(entries, key=lambda one: -float(one["auc"]))
    rows = [
        (a["attack"], b["attack"], a["auc"] - b["auc"], 1.0 if a["auc"] - b["auc"] < 0.02 else 0.001)
        for a, b in combinations(ranked, 2)
    ]
    return pd.DataFrame(rows, columns=["attack_a", "attack_b", "auc_difference", "auc_p_holm"])


def counts(entries: Sequence[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        for actual, size, called in (("member", "n_member", "tp"), ("non-member", "n_nonmember", "fp")):
            rows.append((entry["attack"], actual, "member", entry[called]))
            rows.append((entry["attack"], actual, "non-member", entry[size] - entry[called]))
    return pd.DataFrame(rows, columns=["attack", "actual", "predicted", "count"])


def history(*, shadows: int, epochs: int = 12) -> pd.DataFrame:
    parts = []
    epoch = np.arange(1, epochs + 1)
    for at, model in enumerate(["target", *(f"shadow {one + 1}" for one in range(shadows))]):
        rise = 1 - np.exp(-epoch / (3 + at % 3))
        rates = {"train_accuracy": 0.1 + 0.9 * rise, "test_accuracy": 0.1 + 0.6 * np.minimum(rise, 0.8)}
        parts.append(pd.DataFrame({"model": model, "epoch": epoch, "train_loss": 2.3 * (1.01 - rise), **rates}))
    return pd.concat(parts, ignore_index=True)


def board() -> pd.DataFrame:
    rows = [
        ("ada_boost", 0.6, 0.01, [0.59, 0.6, 0.61], 0),
        ("extra_trees", 0.58, 0.02, [0.56, 0.6], 2),
        ("dummy", 0.5, 0.0, [0.5], 1),
    ]
    return pd.DataFrame(rows, columns=["estimator", "auc_mean", "auc_std", "fold_aucs", "stopped_in_round"])


def page(audit: Audit, *, gallery: int = 6, **changes: Any) -> str:
    """The page of an audit by the parameters of params.yaml. changes: sections, as in attacker={"knowledge": ...}."""
    sections = report.active(params.load(pipeline.ROOT / "params.yaml"))
    if audit.noun == "record":
        for section in ("attacker", "target", "shadow", "query"):
            del sections[section]
        sections |= {"audit": "mine", "data": {"source": "answers"}}
    for section, values in changes.items():
        sections[section] = {**sections[section], **values}
    return audit_page.render(audit, sections, gallery=gallery, estimator=audit.selection["best"])


def table_page(audit: Audit, target: dict[str, Any], source: str = "table") -> str:
    """The page of an audit of estimators, which were fitted here. target: their recipe. source: of the data."""
    sections = report.active(params.load(pipeline.ROOT / "params.yaml"))
    sections |= {"audit": "mine", "data": {"source": source}, "target": target}
    return audit_page.render(audit, sections, gallery=6, estimator=audit.selection["best"])


def drawn(audit: Audit) -> list[str]:
    """The attacks that the page draws in colour."""
    return list(roc_figure.keys(audit.curves, audit.by_attack))
