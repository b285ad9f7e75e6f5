"""The verdict on a scale and in other words, and what was audited: the page's head."""

from __future__ import annotations

import math
from typing import Any

from mia.evaluation import verdict
from mia.report.audit.measured import Audit, Numbers

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


def meaning(numbers: Numbers, knowledge: str) -> list[str]:
    """Return the verdict in other words, neither alarming nor comforting. knowledge: of the attacker."""
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
    return [*sentences, verdict.ranking(numbers), f"That is {WHO[knowledge]}."]


def facts(audit: Audit, active: Numbers) -> list[tuple[str, str]]:
    """Return what was audited, term by term. active: parameters by section, of the active data set."""
    numbers, recipe, shadow = audit.verdict, active["target"], active["shadow"]
    inside, outside = audit.target["train_accuracy"], audit.target["test_accuracy"]
    knowledge, unseen = active["attacker"]["knowledge"], audit.shadows["test_accuracy"]
    sized = "half of them" if knowledge == "population" else f"{shadow['train_size']:,} of its images"
    plural = f"{audit.shadows['models']} shadow model{'s' if audit.shadows['models'] != 1 else ''}"
    augmented = f", augmented by {', '.join(recipe['augmentation'])}" if recipe["augmentation"] else ""
    data = (
        f"{active['audit']}: {numbers['n_member'] + numbers['n_nonmember']:,} images of "
        f"{audit.data['classes']} classes; {numbers['n_member']:,} members (trained on), "
        f"{numbers['n_nonmember']:,} non-members"
    )
    target = (
        f"{recipe['architecture']}, {recipe['epochs']} epochs, {OPTIMIZERS[recipe['optimizer']]}, "
        f"batches of {recipe['batch_size']}{augmented}"
    )
    accuracy = (
        f"{100 * inside:.1f} % on members, {100 * outside:.1f} % on non-members: a gap of "
        f"{100 * audit.target['gap']:.1f} points"
    )
    attacker = (
        f"holds {HOLDS[knowledge]}; {plural}, each trained on {sized} ({100 * unseen:.1f} % right on unseen ones)"
    )
    refused = f"; {len(audit.refused)} cannot be run by this attacker" if audit.refused else ""
    return [
        ("Data", data),
        ("Target model", target),
        ("Its accuracy", accuracy),
        ("Attacker", attacker),
        ("Attacks", f"{numbers['attacks']} measured{refused}"),
    ]
