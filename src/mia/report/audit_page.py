"""The report of one audit as data: what its page shows, made from what was measured; pure, no file is read here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mia.evaluation import metrics, roc, verdict
from mia.report import html
from mia.report.figures import comparison, curves, learning, scores
from mia.report.figures import roc as roc_figure
from mia.store import stored_records

Numbers = Mapping[str, Any]

HOLDS = {  # what the attacker trains its shadows on, by attacker.knowledge
    "generated": "only generated images, no real one",
    "disjoint": "other real images, none of those under audit",
    "population": "all images under audit, not knowing which the target was trained on",
}
WHO = {
    "generated": "an attacker without any real image, a lower bound: one with other real images of the kind recognises "
    "more, an auditor most",
    "disjoint": "an attacker with other real images; an auditor, who trains shadows on the audited images, would "
    "recognise more",
    "population": "an auditor, who holds all images under audit, the worst case; whoever holds less recognises less",
}
RECIPE = {"adam": "Adam", "sgd": "SGD"}
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
REDUCING = Path(__file__).with_name(
    "reducing.json"
)  # what other trainings of a target gave; `make reducing` measures it
ORIGINAL = ("accuracy", "precision", "recall", "f1")  # what Shokri et al. and those who follow them report


@dataclass(frozen=True)
class Found:
    """What an audit measured, as its files hold it.

    found: metrics/verdict.json. attacks: the entries of metrics/attacks.json, each with tpr, tpr_low, tpr_high at the
    verdict's FPR (NaN where the non-members do not resolve it). refused: metrics/not_applicable.json. data, target,
    shadows, selection: of metrics/. curves, bins, classes, pairs, history, board: of plots/.
    exposure: schemas.exposure, a row an audited record. loss: (records,), nats, in its order.
    reducing: of REDUCING.
    """

    found: Numbers
    attacks: Sequence[Numbers]
    refused: Mapping[str, str]
    data: Numbers
    target: Numbers
    shadows: Numbers
    selection: Numbers
    curves: pd.DataFrame
    bins: pd.DataFrame
    classes: pd.DataFrame
    pairs: pd.DataFrame
    history: pd.DataFrame
    board: pd.DataFrame
    exposure: pd.DataFrame
    loss: NDArray[np.float64]
    records: stored_records.Records
    reducing: Numbers
    fingerprint: str


def page(it: Found, active: Numbers, *, gallery: int, estimator: str) -> str:
    """The page of an audit, src/mia/report/templates/audit.html filled.

    active: parameters by section, those of the active data set only. gallery: images at either end, most and least
    exposed. estimator: the classifier of the learned attack.
    """
    measured = {one["attack"]: one for one in it.attacks}
    shown = exposing(it)
    knowledge = active["attacker"]["knowledge"]
    keys = roc_figure.keys(it.curves, measured)
    return html.render(
        "audit.html",
        found=it.found,
        fpr=verdict.rate(it.found["fpr"]) if "fpr" in it.found else None,
        sentence=verdict.sentence(it.found),
        recognises=verdict.recognises(it.found),
        scale=scale(it.found),
        short=verdict.short(it.found),
        interval=" to ".join(
            f"{verdict.percent(it.found[key])} %" for key in ("tpr_low", "tpr_high") if key in it.found
        ),
        meaning=meaning(it, knowledge),
        facts=facts(it, active),
        knowledge=knowledge,
        holds=HOLDS[knowledge],
        active=active,
        shadows=it.shadows,
        data=it.data,
        target=it.target,
        attack=shown,
        exposed=exposed(it, shown, gallery),
        gallery=gallery,
        advice=advice(it, active),
        reducing=reducing(it.reducing),
        attacks=attack_rows(it),
        refused=it.refused,
        roc=[
            html.figure(
                roc_figure.panel(it.curves, measured, n_nonmember=it.found["n_nonmember"], log=log),
                f"roc-{'log' if log else 'linear'}",
                f"ROC curves, {'both axes logarithmic' if log else 'linear axes'}: the share of members called member "
                "against the share of non-members called member. The table of attacks has the same as numbers.",
            )
            for log in (False, True)
        ],
        keys=keys,
        banded=curves.banded(list(keys)),
        scores=[
            (
                attack,
                html.figure(
                    scores.panel(it.bins[it.bins["attack"] == attack]),
                    f"scores-{attack}",
                    f"Histogram of the scores of {html.words(attack)}, members and non-members.",
                ),
            )
            for attack in keys
        ],
        pairs=html.figure(
            comparison.figure(it.pairs),
            "pairs",
            "Differences of AUC between every two attacks, and which are too small to tell; "
            "plots/comparisons.csv has them as numbers.",
        ),
        classes=class_rows(it),
        classes_attack=it.found["auc_attack"],
        classes_alike=measured[it.found["auc_attack"]].get("classes_alike_p"),
        learning=[
            html.figure(
                learning.panel(it.history, what),
                f"learning-{what}",
                f"{what.capitalize()} of the target and of the shadow models after each epoch; the numbers: "
                "plots/learning.csv.",
            )
            for what in ("accuracy", "loss")
        ],
        board=board_rows(it.board, estimator),
        left_out=it.selection.get("left_out", {}),
        original=original(it),
        parameters={name: json.dumps(value) for name, value in sorted(flat(active), key=lambda one: one[0])},
        fingerprint=it.fingerprint,
    )


def exposing(it: Found) -> str:
    """The attack that says which records are exposed: the strongest at the low FPR, or by AUC where none recognises."""
    return str(it.found["tpr_attack"] if verdict.recognises(it.found) else it.found["auc_attack"])


def scale(found: Numbers) -> dict[str, Any] | None:
    """Where the verdict lies between guessing and every member, as places in percent of a logarithmic scale."""
    if "tpr" not in found:
        return None
    guess, start = found["fpr"], found["fpr"] / 4

    def place(share: float) -> float:
        return round(100 * max(0.0, min(1.0, math.log(max(share, start) / start) / math.log(1 / start))), 2)

    ticks = [
        {
            "at": place(share),
            "label": f"{verdict.rate(share)} %",
            "right": f"{100 * verdict.right_when_naming(share, guess):.0f}",
            "anchor": "end" if share == 1 else "middle",
            "minor": share == 0.5,  # no room for it on a phone
        }
        for share in sorted({guess, *(tick for tick in TICKS if tick > 1.5 * guess)})
    ]
    text = f"{verdict.percent(found['tpr'])} %"
    return {
        "ticks": ticks,
        "guess": place(guess),
        **{name: place(found[key]) for name, key in (("value", "tpr"), ("low", "tpr_low"), ("high", "tpr_high"))},
        "text": text,
        "anchor": "end"
        if place(found["tpr"]) > 90
        else "start"
        if place(found["tpr"]) < place(guess) + 12
        else "middle",
        "sure": verdict.recognises(found),
        "said": f"A scale from guessing, {verdict.rate(guess)} % of the members recognised, to all. Here: "
        f"{text} ({verdict.percent(found['tpr_low'])} to {verdict.percent(found['tpr_high'])}).",
    }


def meaning(it: Found, knowledge: str) -> list[str]:
    """The verdict in other words, neither alarming nor comforting."""
    found, said = it.found, []
    if verdict.recognises(found):
        tpr, fpr = found["tpr"], found["fpr"]
        right, low, high = (
            f"{100 * verdict.right_when_naming(found[name], fpr):.0f}" for name in ("tpr", "tpr_low", "tpr_high")
        )
        said.append(
            f"The attacker names {round(tpr * found['n_member']):,} of the {found['n_member']:,} members. If half of "
            f"all records were members, {right} of 100 names would be right ({low} to {high}); of guesses, 50."
        )
        said.append(
            f"The other {100 - 100 * tpr:.0f} % are not safe for that: a laxer attacker names more of them, at the "
            "price of more false alarms."
        )
    elif "tpr" in found:
        likewise = verdict.percent(found["tpr_high"])
        said.append(
            "That is no proof of safety: with these records, an attack that recognises up to "
            f"{likewise} % of the members would look the same."
        )
    return [*said, verdict.ranking(found), f"That is {WHO[knowledge]}."]


def facts(it: Found, active: Numbers) -> list[tuple[str, str]]:
    """What was audited, term by term."""
    found, recipe, shadow = it.found, active["target"], active["shadow"]
    inside, outside, unseen = it.target["train_accuracy"], it.target["test_accuracy"], it.shadows["test_accuracy"]
    audited_only = active["attacker"]["knowledge"] == "population"
    sized = "half of them" if audited_only else f"{shadow['train_size']:,} of its images"
    plural = f"{it.shadows['models']} shadow model{'s' if it.shadows['models'] != 1 else ''}"
    augmented = f", augmented by {', '.join(recipe['augmentation'])}" if recipe["augmentation"] else ""
    said = {
        "Data": f"{active['data']['dataset']}: {found['n_member'] + found['n_nonmember']:,} images of "
        f"{it.data['classes']} classes; {found['n_member']:,} members (trained on), "
        f"{found['n_nonmember']:,} non-members",
        "Target model": f"{recipe['architecture']}, {recipe['epochs']} epochs, {RECIPE[recipe['optimizer']]}, "
        f"batches of {recipe['batch_size']}{augmented}",
        "Its accuracy": f"{100 * inside:.1f} % on members, {100 * outside:.1f} % on non-members: a gap of "
        f"{100 * it.target['gap']:.1f} points",
        "Attacker": f"holds {HOLDS[active['attacker']['knowledge']]}; {plural}, each trained on {sized} "
        f"({100 * unseen:.1f} % right on unseen ones)",
        "Attacks": f"{found['attacks']} measured"
        + (f"; {len(it.refused)} cannot be run by this attacker" if it.refused else ""),
    }
    return list(said.items())


def exposed(it: Found, attack: str, count: int) -> dict[str, Any]:
    """The members that an attack is surest of and least sure of, and how many it names at the verdict's FPR."""
    frame = it.exposure.assign(loss=it.loss)
    score = frame[f"{attack}_score"].to_numpy()
    member = frame["is_member"].to_numpy(bool)
    others = np.sort(score[~member])
    members = frame[member].sort_values([f"{attack}_rank", "sample_id"])
    beside = [name for name in ("loss", "learned", "stacked") if f"{name}_score" in frame and name != attack]

    def card(row: Mapping[Any, Any]) -> dict[str, Any]:
        value = row[f"{attack}_score"]
        return {
            "sample_id": row["sample_id"],
            "image": html.image(it.records.images[row["sample_id"]]),
            "class": row["class"],
            "name": row["name"],
            "loss": f"{row['loss']:.2g}",
            "score": f"{value:.3g}",
            "rank": row[f"{attack}_rank"],
            "as_high": int(len(others) - np.searchsorted(others, value, side="left")),
            "beside": [(f"{row[f'{name}_score']:.3g}", row[f"{name}_rank"]) for name in beside],
        }

    rows = members.to_dict("records")
    ends = rows[:count], rows[::-1][: min(count, max(len(rows) - count, 0))]
    named = None
    if "fpr" in it.found:
        allowed = roc.false_positives_allowed(it.found["fpr"], it.found["n_nonmember"])
        threshold = others[::-1][allowed] if allowed < len(others) else -np.inf
        named = {
            "members": int((score[member] > threshold).sum()),
            "nonmembers": int((others > threshold).sum()),
        }
    return {
        "most": [card(row) for row in ends[0]],
        "least": [card(row) for row in ends[1]],
        "beside": beside,
        "records": len(frame),
        "named": named,
    }


def advice(it: Found, active: Numbers) -> list[tuple[str, str | None]]:
    """What these very numbers say on how to leak less: (what, the command that tries it)."""
    said: list[tuple[str, str | None]] = []
    dataset = active["data"]["dataset"]
    curve = it.history[it.history["model"] == "target"].sort_values("epoch")
    last = curve.iloc[-1]
    enough = curve[curve["test_accuracy"] >= last["test_accuracy"]].iloc[0]
    if enough["epoch"] < last["epoch"] and enough["train_accuracy"] < last["train_accuracy"]:
        unseen, unseen_last, inside, inside_last = (
            f"{100 * one[name]:.1f}" for name in ("test_accuracy", "train_accuracy") for one in (enough, last)
        )
        what = (
            f"Train for fewer epochs. After epoch {enough['epoch']:.0f} of {last['epoch']:.0f} the target was already "
            f"right on {unseen} % of unseen images, against {unseen_last} % at the end; what came after raised its "
            f"accuracy on members from {inside} to {inside_last} %, and that difference is what attacks feed on."
        )
        said.append((what, f"dvc exp run -S target.{dataset}.epochs={enough['epoch']:.0f}"))
    if not active["target"]["augmentation"]:
        moves = "flip,shift" if it.records.images.shape[1] > 8 else "shift"  # a mirrored digit is none
        what = "Augment, so that no image is seen twice in the same way; where it was measured (below) it helped most."
        said.append((what, f"dvc exp run -S 'target.{dataset}.augmentation=[{moves}]'"))
    label_only = next((one for one in it.attacks if one["attack"] == "correctness"), None)
    if label_only is not None:
        what = (
            "Answering with the class alone, without probabilities, does not end it: whether the target is right tells "
            f"members from others with an AUC of {documented(label_only, 'auc', 3)}, where the strongest attack has "
            f"{it.found['auc']:.3f}."
        )
        said.append((what, None))
    return said


def reducing(measured: Numbers) -> dict[str, Any]:
    """What other trainings gave, as rows of a table."""
    return {
        "setting": measured.get("setting", ""),
        "rows": [
            {
                "change": one["change"],
                "test": f"{100 * one['test_accuracy']:.1f} %",
                "train": f"{100 * one['train_accuracy']:.1f} %",
                "tpr": documented(one, "tpr", None),
                "auc": documented(one, "auc", 3),
            }
            for one in measured.get("rows", [])
        ],
    }


def attack_rows(it: Found) -> list[dict[str, Any]]:
    """Every attack with its numbers and where they lie on small axes; the strongest at the low FPR first."""
    fpr = it.found.get("fpr", math.nan)
    largest = min(1.0, 1.3 * max([5 * fpr, *(one["tpr_high"] for one in it.attacks if math.isfinite(one["tpr_high"]))]))
    lowest = min([0.5, *(one["auc_low"] for one in it.attacks)]) - 0.01
    highest = max([0.6, *(one["auc_high"] for one in it.attacks)]) + 0.01
    rows = []
    for one in sorted(it.attacks, key=lambda one: (-np.nan_to_num(one["tpr"], nan=-1), -one["auc"])):
        known = math.isfinite(one["tpr"])
        rows.append(
            {
                "attack": one["attack"],
                "strong": one["attack"] in (it.found.get("tpr_attack"), it.found["auc_attack"]),
                "verdict": one["verdict"],
                "tpr": one["tpr"] if known else "",
                "tpr_text": documented(one, "tpr", None) if known else "too few non-members",
                "tpr_bar": bar(one, "tpr", fpr, low=fpr / 10, high=largest, log=True) if known else None,
                "tpr_sure": known and one["tpr_low"] > fpr,
                "tpr_axis": f"{verdict.rate(fpr / 10)} to {verdict.percent(largest)} %, log" if known else "",
                "auc_axis": f"{lowest:.2f} to {highest:.2f}",
                "auc": one["auc"],
                "auc_text": documented(one, "auc", 3),
                "auc_bar": bar(one, "auc", 0.5, low=lowest, high=highest, log=False),
                "auc_sure": one["auc_low"] > 0.5,
                "balanced": one["balanced_accuracy"],
                "balanced_text": documented(one, "balanced_accuracy", 3),
                "epsilon": one["epsilon_lower"],
                "epsilon_text": f"{one['epsilon_lower']:.2f}",
            }
        )
    return rows


def class_rows(it: Found) -> list[dict[str, Any]]:
    """Every class by the AUC of the attack with the highest, the most exposed first."""
    frame = it.classes[it.classes["attack"] == it.found["auc_attack"]].sort_values(
        "auc", ascending=False, kind="stable", na_position="last"
    )
    ends = frame[["auc_low", "auc_high"]].to_numpy(np.float64)
    low = min(0.5, float(np.nanmin(ends[:, 0], initial=0.5))) - 0.01
    high = max(0.6, float(np.nanmax(ends[:, 1], initial=0.6))) + 0.01
    return [
        {
            "class": str(one["class"]),
            "n_member": f"{one['n_member']:,}",
            "n_nonmember": f"{one['n_nonmember']:,}",
            "auc": one["auc"] if math.isfinite(one["auc"]) else "",
            "text": documented(one, "auc", 3) if math.isfinite(one["auc"]) else "one kind only",
            "bar": bar(one, "auc", 0.5, low=low, high=high, log=False) if math.isfinite(one["auc"]) else None,
            "sure": bool(one["auc_low"] > 0.5),
        }
        for one in frame.to_dict("records")
    ]


def board_rows(board: pd.DataFrame, chosen: str) -> list[dict[str, Any]]:
    """The classifiers tried as attack models, best first."""
    frame = board.sort_values(["auc_mean", "estimator"], ascending=[False, True])
    low = min(0.5, float((frame["auc_mean"] - frame["auc_std"]).min())) - 0.005
    high = max(0.55, float((frame["auc_mean"] + frame["auc_std"]).max())) + 0.005
    rows = []
    for one in frame.to_dict("records"):
        mean, spread = one["auc_mean"], one["auc_std"]
        ends = {"auc": mean, "auc_low": mean - spread, "auc_high": mean + spread}
        rows.append(
            {
                "estimator": one["estimator"],
                "chosen": one["estimator"] == chosen,
                "text": f"{mean:.3f} ± {spread:.3f}",
                "bar": bar(ends, "auc", 0.5, low=low, high=high, log=False),
                "sure": mean - spread > 0.5,
            }
        )
    return rows


def original(it: Found) -> dict[str, Any]:
    """What the counting of the original experiment says of the learned attack, beside always answering "member"."""
    one = next((one for one in it.attacks if one["attack"] == "learned"), it.attacks[0])
    guess = metrics.always_member(one["n_member"], one["n_nonmember"])
    rows = [
        (
            name.replace("f1", "F1"),
            f"{one[name]:.3f}" if name in one else "–",
            f"{guess[name]:.3f}",
            better(one, name, guess),
        )
        for name in (*ORIGINAL, "balanced_accuracy")
    ]
    return {
        "attack": one["attack"],
        "rows": [(name.replace("_", " "), *rest) for name, *rest in rows],
        "tpr": documented(one, "tpr", None) if math.isfinite(one["tpr"]) else None,
        "share": one["n_member"] / (one["n_member"] + one["n_nonmember"]),
        "tp": f"{one['tp']:,}",
        "fp": f"{one['fp']:,}",
        "fpr": f"{100 * one['fp'] / one['n_nonmember']:.1f} %",
    }


def better(one: Numbers, name: str, guess: Numbers) -> str:
    """Whether a number is better than that of always answering "member", by its interval."""
    if name not in one:
        return "–"
    return (
        "better"
        if one[f"{name}_low"] > guess[name]
        else "worse"
        if one[f"{name}_high"] < guess[name]
        else "no difference shown"
    )


def bar(one: Numbers, name: str, guess: float, *, low: float, high: float, log: bool) -> dict[str, Any]:
    """Where a value, its limits and guessing lie on an axis from low to high, in percent."""

    def place(value: float) -> float:
        value = min(max(value, low), high)
        share = math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
        return round(100 * share, 2)

    ends = {end: place(one[key]) for end, key in (("value", name), ("low", f"{name}_low"), ("high", f"{name}_high"))}
    return ends | {"guess": place(guess), "said": documented(one, name, 3 if name == "auc" else None)}


def documented(one: Numbers, name: str, digits: int | None) -> str:
    """A number with its interval; digits: None for a share in percent."""
    values = (one[name + end] for end in ("", "_low", "_high"))
    if digits is None:
        value, low, high = (verdict.percent(value) for value in values)
        return f"{value} % ({low} to {high})"
    value, low, high = (f"{value:.{digits}f}" for value in values)
    return f"{value} ({low} to {high})"


def flat(values: Numbers, above: str = "") -> list[tuple[str, Any]]:
    """Nested sections as (dotted name, value)."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += flat(value, f"{above}{name}.") if isinstance(value, Mapping) else [(f"{above}{name}", value)]
    return found
