"""Audits side by side in sentences: which leaks least, which can be told apart, and what to know before deciding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mia import paths
from mia.evaluation import verdict
from mia.history import audit_differences
from mia.history.audit_differences import Pair
from mia.history.audit_metrics import Given
from mia.history.compare_tables import differing
from mia.history.revisions import Revision
from mia.report.figures import style

CHANCE = style.NOT_APART  # from this p on, a difference may be chance
LISTED = 4  # audits that a sentence names; of more the first and the last
# Sections of params.yaml that make the attack; data, seed and target make the target.
ATTACKING = ("attacker", "shadow", "query", "features", "attacks", "select", "estimators")


@dataclass(frozen=True)
class Leakage:
    """How much each audit found, by their places, in one number for all.

    subject, of: what the values say, before and after them. texts: the values as text. p: of each pair, adjusted.
    """

    subject: str
    values: Sequence[float]
    texts: Sequence[str]
    of: str
    p: Sequence[float]


def leakage(audits: Sequence[Revision], pairs: Sequence[Pair], fpr: float | None) -> Leakage:
    """The TPR of each audit's strongest attack at the FPR; the best AUC where an audit has no such TPR."""
    best = [None if fpr is None else audit_differences.strongest(audit, fpr) for audit in audits]
    if fpr is not None and all(best):
        values = [strongest[1].value for strongest in best if strongest is not None]
        return Leakage(
            f"an attacker who may raise one false alarm in {verdict.one_in(fpr)} recognises",
            values,
            [f"{verdict.percent(value)} %" for value in values],
            f" of the training {noun(audits)}s",
            [pair.tpr_p for pair in pairs],
        )
    values = [audit.verdict.auc for audit in audits]
    return Leakage(
        "the strongest attack ranks members above others with an AUC of",
        values,
        [f"{value:.3f}" for value in values],
        "",
        [pair.auc_p for pair in pairs],
    )


def headline(audits: Sequence[Revision], pairs: Sequence[Pair], fpr: float | None) -> str:
    """Which leaks least, and whether that can be told from chance."""
    leaks = leakage(audits, pairs, fpr)
    least, *others = sorted(range(len(audits)), key=lambda place: leaks.values[place])
    p_of = {frozenset((pair.first, pair.second)): p for pair, p in zip(pairs, leaks.p, strict=True)}
    sure: list[str] = []
    unsure: list[str] = []
    for place in others:
        apart = p_of[frozenset((least, place))] < CHANCE and leaks.values[place] > leaks.values[least]
        (sure if apart else unsure).append(audits[place].name)
    values = shortened([f"{leaks.texts[place]} ({audits[place].name})" for place in (least, *others)])
    what = f"{leaks.subject} {values}{leaks.of}"
    if one_model(audits):
        return f"One trained model, audited in different ways: {what}; the difference {certainty(sure, unsure)}."
    name = audits[least].name
    if not unsure:
        return f"{name} leaks least: {what}; the difference is more than chance."
    if not sure:
        which = "which of the two leaks less" if len(audits) == 2 else "which leaks least"
        return f"It cannot be told {which}: {what}; such a difference may be chance."
    return f"{name} leaks less than {listing(sure)}; whether less than {listing(unsure)} cannot be told: {what}."


def certainty(sure: Sequence[str], unsure: Sequence[str]) -> str:
    """Whether a difference is more than chance, by the names of those from which the least can be told, or not."""
    if not unsure:
        return "is more than chance"
    return f"is more than chance to {listing(sure)} only" if sure else "may be chance"


def ranking(audits: Sequence[Revision], pairs: Sequence[Pair]) -> str:
    """Leakage over all thresholds: the best AUC of each audit, and which can be told apart."""
    order = sorted(audits, key=lambda audit: audit.verdict.auc)
    values = shortened([f"{audit.verdict.auc:.3f} ({audit.name})" for audit in order])
    apart = told_apart(audits, pairs, [pair.auc_p for pair in pairs])
    return f"Over all thresholds, the best AUC is {values}: {apart}."


def rightness(audits: Sequence[Revision], pairs: Sequence[Pair]) -> str:
    """What the targets are worth: their accuracy on non-members, and which can be told apart."""
    order = sorted(audits, key=lambda audit: audit.target.test_accuracy)
    values = shortened([f"{100 * audit.target.test_accuracy:.1f} % ({audit.name})" for audit in order])
    apart = told_apart(audits, pairs, [pair.accuracy_p for pair in pairs])
    return f"On non-members the targets are right in {values}: {apart}."


def told_apart(audits: Sequence[Revision], pairs: Sequence[Pair], p_values: Sequence[float]) -> str:
    """Which pairs can be told apart, by their p-values."""
    sure = [
        f"{audits[pair.first].name} can be told from {audits[pair.second].name}"
        for pair, p in zip(pairs, p_values, strict=True)
        if p < CHANCE
    ]
    if len(audits) == 2:
        return "the two can be told apart" if sure else "the two cannot be told apart"
    if len(audits) > LISTED:
        return f"of {len(pairs)} pairs {len(sure)} can be told apart"
    return listing(sure) if sure else "none can be told from another"


def shortened(parts: Sequence[str]) -> str:
    """A listing, of many the first and the last."""
    return listing(parts) if len(parts) <= LISTED else f"{parts[0]} to {parts[-1]}"


def listing(parts: Sequence[str]) -> str:
    """Parts of a sentence: a; a and b; a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def noun(audits: Sequence[Revision]) -> str:
    """What one record is called: image where it is one in all audits, else record."""
    nouns = {audit.noun for audit in audits}
    return nouns.pop() if len(nouns) == 1 else "record"


def one_model(audits: Sequence[Revision]) -> bool:
    """Whether all audited the very same model, as dvc.lock has it; one whose answers were given, by its answers."""
    return len({model(audit) for audit in audits}) == 1


def model(audit: Revision) -> tuple[str, str]:
    """What tells an audit's target from others: where it lies, and its digest; its name where dvc.lock has none."""
    path = (paths.TARGET_SIGNALS if isinstance(audit.used, Given) else paths.TARGET_MODEL).as_posix()
    return path, audit.outs.get(path, (audit.name, 0))[0]


def cautions(audits: Sequence[Revision], fpr: float | None) -> list[str]:
    """What the headline does not say, and must be known to decide by it."""
    sentences = []
    attacking = [name for name, _ in differing(audits) if name.split(".")[0] in ATTACKING]
    if one_model(audits):
        sentences.append(
            "The trained model is the same in all of them (dvc.lock), and so is what it gives away; what differs is "
            f"who looks{': ' + listing(attacking) if attacking else ''}. The strongest audit is the one to go by."
        )
    elif attacking:
        sentences.append(
            f"They differ in more than the training: {listing(attacking)}. So the difference is not the training’s "
            "alone; audit both with the same attacker to compare trainings."
        )
    elsewhere = [audit.name for audit in audits if fpr is not None and audit.verdict.fpr not in (None, fpr)]
    if elsewhere and fpr is not None:
        sentences.append(
            f"The verdict of {listing(elsewhere)} is at another share of false alarms. Compared is at "
            f"{verdict.rate(fpr)} %, which all have measured; there, its limits do not allow for the strongest "
            "attack’s having been picked."
        )
    sentences.append(
        "Intervals and p-values are about other records, put to these very models. They know nothing of another "
        "training with the same settings, which gives another model; to choose a recipe, train each with several seeds."
    )
    sentences.append(
        "Each audit’s strongest attack was picked on the records it is compared on. Where as many attacks were tried, "
        "the luck in that is much the same on both sides, and mostly cancels; the tests do not know of it."
    )
    return sentences
