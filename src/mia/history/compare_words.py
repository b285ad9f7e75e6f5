"""Sentences that compare audits: which leaks least, which differences are more than chance, and what to know first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mia import paths
from mia.evaluation import verdict, wording
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
    """How much each audit leaks, by their places, in one number for all.

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
            f"at {verdict.rate(fpr)} % FPR, an attacker recognises",
            values,
            [f"{verdict.percent(value)} %" for value in values],
            f" of the training {noun(audits)}s",
            [pair.tpr_p for pair in pairs],
        )
    values = [audit.verdict.auc for audit in audits]
    return Leakage(
        "the best AUC is",
        values,
        [wording.decimals(3)(value) for value in values],
        "",
        [pair.auc_p for pair in pairs],
    )


def headline(audits: Sequence[Revision], pairs: Sequence[Pair], fpr: float | None) -> str:
    """Which audit leaks least, and whether the difference is more than chance."""
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
        return f"One trained model, audited in different ways: {what}. The difference {certainty(sure, unsure)}."
    name = audits[least].name
    if not unsure:
        return f"{name} leaks least: {what}. The difference is more than chance."
    if not sure:
        which = "which of the two leaks less" if len(audits) == 2 else "which leaks least"
        return f"The audits cannot tell {which}: {what}. The difference may be chance."
    return (
        f"{name} leaks less than {listing(sure)}; the audits cannot tell whether {name} leaks less than "
        f"{listing(unsure)}: {what}."
    )


def certainty(sure: Sequence[str], unsure: Sequence[str]) -> str:
    """Whether a difference is more than chance. sure, unsure: audits that leak more, for sure or perhaps."""
    if not unsure:
        return "is more than chance"
    return f"is more than chance only for {listing(sure)}" if sure else "may be chance"


def ranking(audits: Sequence[Revision], pairs: Sequence[Pair]) -> str:
    """Leakage over all thresholds: the best AUC of each audit, and which differences are more than chance."""
    order = sorted(audits, key=lambda audit: audit.verdict.auc)
    values = shortened([f"{wording.decimals(3)(audit.verdict.auc)} ({audit.name})" for audit in order])
    apart = told_apart(audits, pairs, [pair.auc_p for pair in pairs])
    return f"The best AUC is {values}: {apart}."


def rightness(audits: Sequence[Revision], pairs: Sequence[Pair]) -> str:
    """The cost: the accuracy of the targets on non-members, and which differences are more than chance."""
    order = sorted(audits, key=lambda audit: audit.target.test_accuracy)
    values = shortened([f"{100 * audit.target.test_accuracy:.1f} % ({audit.name})" for audit in order])
    apart = told_apart(audits, pairs, [pair.accuracy_p for pair in pairs])
    return f"The accuracy of the targets on non-members is {values}: {apart}."


def told_apart(audits: Sequence[Revision], pairs: Sequence[Pair], p_values: Sequence[float]) -> str:
    """Which differences are more than chance, by their p-values."""
    sure = [
        f"{audits[pair.first].name} from {audits[pair.second].name}"
        for pair, p in zip(pairs, p_values, strict=True)
        if p < CHANCE
    ]
    if len(audits) == 2:
        return "the difference is more than chance" if sure else "the difference may be chance"
    if len(audits) > LISTED:
        return f"{len(sure)} of {len(pairs)} differences are more than chance"
    return f"more than chance differ {listing(sure)}" if sure else "all differences may be chance"


def shortened(parts: Sequence[str]) -> str:
    """A listing, of many the first and the last."""
    return listing(parts) if len(parts) <= LISTED else f"{parts[0]} to {parts[-1]}"


def listing(parts: Sequence[str]) -> str:
    """Parts of a sentence: a; a and b; a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def noun(audits: Sequence[Revision]) -> str:
    """The noun of a record: image if all audits are of images, else record."""
    nouns = {audit.noun for audit in audits}
    return nouns.pop() if len(nouns) == 1 else "record"


def one_model(audits: Sequence[Revision]) -> bool:
    """Whether all audits have the same model, by the digest in dvc.lock of the model or of its given answers."""
    return len({model(audit) for audit in audits}) == 1


def model(audit: Revision) -> tuple[str, str]:
    """The identity of an audit's target: its path and its digest; its name if dvc.lock has no digest."""
    path = (paths.TARGET_SIGNALS if isinstance(audit.used, Given) else paths.TARGET_MODEL).as_posix()
    return path, audit.outs.get(path, (audit.name, 0))[0]


def cautions(audits: Sequence[Revision], fpr: float | None) -> list[str]:
    """What a reader must know beside the headline to decide."""
    sentences = []
    attacking = [name for name, _ in differing(audits) if name.split(".")[0] in ATTACKING]
    if one_model(audits):
        sentences.append(
            "All audits have the same trained model (dvc.lock), and so the same leak. Only the attacker differs"
            f"{': ' + listing(attacking) if attacking else ''}. Decide by the strongest audit."
        )
    elif attacking:
        sentences.append(
            f"The audits differ in more than the training: {listing(attacking)}. To compare trainings, audit both with "
            "the same attacker."
        )
    elsewhere = [audit.name for audit in audits if fpr is not None and audit.verdict.fpr not in (None, fpr)]
    if elsewhere and fpr is not None:
        sentences.append(
            f"The verdict of {listing(elsewhere)} is at another FPR. This page compares at {verdict.rate(fpr)} % FPR, "
            "which all audits have measured. There, the limits do not allow for the choice of the strongest attack."
        )
    sentences.append(
        "Intervals and p-values cover other records. They do not cover another training with the same settings. To "
        "choose a recipe, train each recipe with several seeds."
    )
    sentences.append(
        "Each audit’s strongest attack was chosen on the records of the comparison. With equally many attacks, "
        "choosing the best adds about the same luck on both sides, so most of it cancels. The tests ignore it."
    )
    return sentences
