"""The verdict on a scale and in other words, and what was audited: the page's head."""

from __future__ import annotations

import math
from typing import Any

from mia.evaluation import verdict
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
            "right": f"{100 * verdict.right_when_naming(share, guess):.0f}",
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
        "said": f"A scale from guessing, {verdict.rate(guess)} % of the members recognised, to all. Here: "
        f"{verdict.share(numbers, 'tpr')}.",
    }


def meaning(numbers: Numbers, who: str) -> list[str]:
    """Return the verdict in other words, neither alarming nor comforting. who: of `attacker.who`."""
    sentences = []
    if verdict.recognises(numbers):
        tpr, fpr, members = numbers["tpr"], numbers["fpr"], numbers["n_member"]
        right, low, high = (
            f"{100 * verdict.right_when_naming(numbers[name], fpr):.0f}" for name in ("tpr", "tpr_low", "tpr_high")
        )
        sentences.append(
            f"The attacker names {round(tpr * members):,} of the {members:,} members. If half of "
            f"all records were members, {right} of 100 names would be right ({low} to {high}); of guesses, 50."
        )
        sentences.append(
            f"The other {100 - 100 * tpr:.0f} % are not safe for that: a laxer attacker names more of them, at the "
            "price of more false alarms."
        )
    elif "tpr" in numbers:
        likewise = verdict.percent(numbers["tpr_high"])
        sentences.append(
            "That is no proof of safety: with these records, an attack that recognises up to "
            f"{likewise} % of the members would look the same."
        )
    return [*sentences, verdict.ranking(numbers), f"That is {who}."]


def facts(audit: Audit, active: Numbers) -> list[tuple[str, str]]:
    """Return what was audited, term by term. active: parameters by section, of the active audit."""
    numbers = audit.verdict
    inside, outside = audit.target["train_accuracy"], audit.target["test_accuracy"]
    records, classes = f"{numbers['n_member'] + numbers['n_nonmember']:,} {audit.noun}s", audit.data["classes"]
    data = (
        f"{active['audit']}: {records} of {classes} classes; {numbers['n_member']:,} members (trained on), "
        f"{numbers['n_nonmember']:,} non-members"
    )
    if "model" in active:
        target = f"a trained model was brought ({active['model']['kind']}): {records}, {classes} classes"
    elif attacker.answers_given(active):
        target = f"its answers were given: {records}, {classes} classes"
    else:
        target = recipe(active["target"])
    accuracy = (
        f"{100 * inside:.1f} % on members, {100 * outside:.1f} % on non-members: a gap of "
        f"{100 * audit.target['gap']:.1f} points"
    )
    refused = f"; {len(audit.refused)} cannot be run by this attacker" if audit.refused else ""
    return [
        ("Data", data),
        ("Target model", target),
        ("Its accuracy", accuracy),
        ("Attacker", attacker.fact(audit, active)),
        ("Attacks", f"{numbers['attacks']} measured{refused}"),
    ]


def recipe(values: Numbers) -> str:
    """Return how the target was trained, of a network; of any other model its settings. values: audit.target."""
    if "architecture" not in values:
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
    augmented = f", augmented by {', '.join(values['augmentation'])}" if values["augmentation"] else ""
    return (
        f"{values['architecture']}, {values['epochs']} epochs, {OPTIMIZERS[values['optimizer']]}, "
        f"batches of {values['batch_size']}{augmented}"
    )
