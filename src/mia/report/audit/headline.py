"""The verdict on a scale and in other words, and the facts of the audit: the page's head."""

from __future__ import annotations

import json
import math
from typing import Any

from mia.evaluation import verdict, wording
from mia.report.audit import attacker
from mia.report.audit.measured import Audit, Numbers

OPTIMIZERS = {"adam": "Adam", "sgd": "SGD"}
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def scale(numbers: Numbers) -> dict[str, Any] | None:
    """Return where a verdict lies between guessing and every member, as places in percent of a logarithmic scale.

    numbers: metrics/verdict.json. None where the non-members are too few for any low FPR.
    """
    if "tpr" not in numbers:
        return None
    guess, start = numbers["fpr"], numbers["fpr"] / 4

    def place(share: float) -> float:
        return round(100 * max(0.0, min(1.0, math.log(max(share, start) / start) / math.log(1 / start))), 2)

    ticks = [
        {
            "at": place(share),
            "label": f"{verdict.rate(share)} %",
            "right": f"{100 * verdict.right_when_accusing(share, guess):.0f}",
            "anchor": "end" if share == 1 else "middle",
            "minor": share == 0.5,  # no room for it on a phone
        }
        for share in sorted({guess, *(tick for tick in TICKS if tick > 1.5 * guess)})
    ]
    ends = {name: place(numbers[key]) for name, key in (("value", "tpr"), ("low", "tpr_low"), ("high", "tpr_high"))}
    beside_guessing = ends["value"] < place(guess) + 12
    return {
        "ticks": ticks,
        "guess": place(guess),
        **ends,
        "text": f"{verdict.percent(numbers['tpr'])} %",
        "anchor": "end" if ends["value"] > 90 else "start" if beside_guessing else "middle",
        "sure": verdict.recognises(numbers),
        "said": f"A scale from guessing, {verdict.rate(guess)} % of the members recognised, to all members. This "
        f"audit: {verdict.share(numbers, 'tpr')}.",
    }


def meaning(numbers: Numbers, who: str) -> list[str]:
    """Return the verdict in other words, and how to decide by it. who: of `attacker.who`."""
    sentences = []
    if verdict.recognises(numbers):
        tpr, fpr, members = numbers["tpr"], numbers["fpr"], numbers["n_member"]
        right, low, high = (
            f"{100 * verdict.right_when_accusing(numbers[name], fpr):.0f}" for name in ("tpr", "tpr_low", "tpr_high")
        )
        sentences.append(
            f"The attacker recognises {round(tpr * members):,} of the {members:,} members. If half of all records are "
            f"members, {right} of 100 accused records are members ({low} to {high}); with random guesses, 50 are."
        )
        sentences.append(
            f"The other {100 - 100 * tpr:.0f} % are not safe: an attacker who accepts more false accusations "
            "recognises more of them."
        )
    elif "tpr" in numbers:
        sentences.append(
            "This is no proof of safety: an attack that recognises up to "
            f"{verdict.percent(numbers['tpr_high'])} % of the members could look the same."
        )
    return [*sentences, verdict.ranking(numbers), who, safe(numbers)]


def safe(numbers: Numbers) -> str:
    """Return how to decide whether the model may ship, which the page leaves to its reader."""
    if "tpr" not in numbers:
        return "Is the model safe to ship? This audit cannot tell: audit more non-members."
    low, high = (verdict.percent(numbers[f"tpr_{end}"]) for end in ("low", "high"))
    fails = f" If you accept less than {low} %, it fails. In between," if verdict.recognises(numbers) else " Otherwise"
    return (
        "Is the model safe to ship? You decide: which share of recognised members do you accept at "
        f"{verdict.rate(numbers['fpr'])} % FPR? If you accept more than {high} %, the model passes these "
        f"attacks.{fails} the audit cannot tell: audit more records."
    )


def how_sure(audit: Audit) -> list[tuple[str, str]]:
    """Return what records, trainings and shadows leave open of the verdict, each by its name.

    Nothing for an audit that was made before there was a spread over trainings.
    """
    numbers = audit.verdict
    name, text, unit = ("tpr", verdict.percent, " %") if "tpr" in numbers else ("auc", wording.decimals(3), "")
    if f"{name}_spread" not in numbers:
        return []
    low, high = (text(numbers[f"{name}_{end}"]) for end in ("low", "high"))
    records = (
        f"The 95 % interval is {low} to {high}{unit}, from {numbers['n_member']:,} members and "
        f"{numbers['n_nonmember']:,} non-members. It holds for this trained model."
    )
    return [("Records", records), ("Trainings", of_trainings(audit, name)), ("Shadow models", of_shadows(audit))]


def of_trainings(audit: Audit, name: str) -> str:
    """Return how far another training of the target would move the number of the verdict of that name."""
    numbers = audit.verdict
    if numbers[f"{name}_spread"] is None:
        attack, missing = wording.words(numbers[f"{name}_attack"]), numbers["spread_missing"]
        return f"How far another training would move the number is not known: {attack} has {missing}."
    text, unit = (verdict.percent, " points") if name == "tpr" else (wording.decimals(3), "")
    spread = f"± {text(numbers[f'{name}_spread'])}{unit}"
    queries = f" Their queries are {audit.noun}s of the attacker, not of the audit." if of_others(numbers) else ""
    return (
        f"Another training on the same members moves the number by {spread} or less (one standard deviation). "
        f"{numbers['plays']} shadow models in the target’s place give this estimate; they have other members.{queries}"
    )


def of_others(numbers: Numbers) -> bool:
    """Return whether the spread over trainings was measured on other records than those under audit."""
    return bool(numbers.get("plays_of") == "attacker")


def of_shadows(audit: Audit) -> str:
    """Return what more shadow models would do, which neither number covers."""
    if not (models := audit.shadows["models"]):
        return "The audit has none. An attacker with shadow models may recognise more."
    return f"The audit has {models}. An attacker with more of them may recognise more."


def facts(audit: Audit, active: Numbers) -> list[tuple[str, str]]:
    """Return the facts of the audit, term by term. active: parameters by section, of the active audit."""
    numbers = audit.verdict
    inside, outside = audit.target["train_accuracy"], audit.target["test_accuracy"]
    records, classes = f"{numbers['n_member'] + numbers['n_nonmember']:,} {audit.noun}s", audit.data["classes"]
    data = (
        f"{active['audit']}: {records} of {classes} classes; {numbers['n_member']:,} members (in the training set), "
        f"{numbers['n_nonmember']:,} non-members"
    )
    if "model" in active:
        target = f"a trained model was brought ({active['model']['kind']}): {records}, {classes} classes"
    elif attacker.answers_given(active):
        target = f"trained elsewhere; its answers were given: {records}, {classes} classes"
    else:
        target = recipe(active["target"])
    accuracy = (
        f"{100 * inside:.1f} % on members, {100 * outside:.1f} % on non-members: a gap of "
        f"{100 * audit.target['gap']:.1f} points"
    )
    refused = f"; this attacker cannot run {len(audit.refused)} others" if audit.refused else ""
    return [
        ("Data", data),
        ("Target model", target),
        ("Its accuracy", accuracy),
        ("Attacker", attacker.fact(audit, active)),
        ("Attacks", f"{numbers['attacks']} measured{refused}"),
    ]


def recipe(values: Numbers) -> str:
    """Return how the target was trained, of a network; of an estimator its settings. values: audit.target."""
    if "architecture" not in values:
        settings = ", ".join(f"{name} {json.dumps(value)}" for name, value in values["settings"].items())
        return f"{values['estimator']}, {settings or 'its default settings'}"
    augmented = f", augmented by {', '.join(values['augmentation'])}" if values["augmentation"] else ""
    return (
        f"{values['architecture']}, {values['epochs']} epochs, {OPTIMIZERS[values['optimizer']]}, "
        f"batches of {values['batch_size']}{augmented}"
    )
