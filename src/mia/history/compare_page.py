"""The page that compares audits: src/mia/report/templates/compare.html filled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from mia.arrays import Bools
from mia.errors import shown
from mia.evaluation import verdict, wording
from mia.evaluation.differences import Comparison
from mia.evaluation.intervals import Estimate
from mia.history import audit_differences, compare_tables, compare_words
from mia.history.audit_differences import Pair
from mia.history.compare_words import CHANCE
from mia.history.revisions import Revision
from mia.report import html
from mia.report.audit import headline as audit_headline
from mia.report.figures import roc_of_revisions
from mia.report.figures import tradeoff as tradeoff_figure

NAMED = 12  # members in a list


def page(audits: Sequence[Revision], pairs: Sequence[Pair], fpr: float | None) -> str:
    """The page. pairs: of `audit_differences.compare`, at the FPR."""
    return html.render(
        "compare.html",
        headline=compare_words.headline(audits, pairs, fpr),
        beside=[compare_words.ranking(audits, pairs), compare_words.rightness(audits, pairs)],
        cautions=compare_words.cautions(audits, fpr),
        fpr=None if fpr is None else verdict.rate(fpr),
        chance=CHANCE,
        keys=roc_of_revisions.keys([audit.name for audit in audits]),
        revisions=[verdict_card(audit) for audit in audits],
        pairs=[pair_row(audits, pair) for pair in pairs],
        tradeoff=tradeoff(audits, fpr),
        parameters=compare_tables.differing(audits),
        results=compare_tables.results(audits, fpr),
        costs=compare_tables.costs(audits, compare_words.noun(audits)),
        noun=compare_words.noun(audits),
        roc=[roc_figure(audits, fpr, log=log) for log in (True, False)],
        drawn=[(audit.name, strongest_attack(audit, fpr)) for audit in audits],
        attacks=compare_tables.attack_rows(audits, fpr),
        refused=[(audit.name, name, shown(why)) for audit in audits for name, why in audit.refused.items()],
        exposures=[exposed(audits[0], other, fpr) for other in audits[1:]],
    )


def verdict_card(audit: Revision) -> dict[str, Any]:
    """An audit's name, its commit, and its verdict in words and on a scale."""
    return {
        "name": audit.name,
        "provenance": provenance(audit),
        "sentence": verdict.sentence(audit.verdict_numbers),
        "scale": scale(audit),
    }


def provenance(audit: Revision) -> str:
    """Commit and date, as git has them."""
    commit = f"commit {audit.commit[:7]} of {audit.date}"
    return f"not committed, on {commit}" if audit.changed else commit


def scale(audit: Revision) -> dict[str, Any] | None:
    """The verdict on a scale, without the mark before the last, for which half a page is too narrow."""
    whole = audit_headline.scale(audit.verdict_numbers)
    return None if whole is None else whole | {"ticks": [*whole["ticks"][:-2], whole["ticks"][-1]]}


def pair_row(audits: Sequence[Revision], pair: Pair) -> dict[str, Any]:
    """A row of the table of differences of TPR, AUC and accuracy, each with its p-value, and whether p is small."""
    return {
        "name": f"{audits[pair.second].name} less {audits[pair.first].name}",
        "tpr": signed(pair.tpr, 100, 1) if pair.tpr else "–",
        "tpr_p": p_text(pair.tpr_p) if pair.tpr else "–",
        "tpr_sure": pair.tpr_p < CHANCE,
        "auc": signed(pair.auc, 1, 3, form=wording.FRACTION),
        "auc_p": p_text(pair.auc_p),
        "auc_sure": pair.auc_p < CHANCE,
        "accuracy": signed(pair.accuracy, 100, 1),
        "accuracy_p": p_text(pair.accuracy_p),
        "accuracy_sure": pair.accuracy_p < CHANCE,
        "why": pair.unlike,
    }


def signed(comparison: Comparison, times: float, digits: int, *, form: str = wording.PERCENT) -> str:
    """A difference with its limits, signed. form: of `wording`."""

    def text(value: float) -> str:
        signed_value = f"{round(times * value, digits) + 0.0:+.{digits}f}".replace("-", "−")
        return signed_value.replace("0.", ".", 1) if form == wording.FRACTION else signed_value

    return wording.with_limits((comparison.difference, comparison.low, comparison.high), text, form=form)


def p_text(p: float) -> str:
    """A p-value as text."""
    return wording.p_value(p).removeprefix("= ")


def tradeoff(audits: Sequence[Revision], fpr: float | None) -> Any:
    """The figure of leakage against accuracy; None without an FPR."""
    if fpr is None:
        return None
    return html.figure(
        tradeoff_figure.figure(points(audits, fpr)),
        "tradeoff",
        "Each audit by the accuracy of its target on non-members and by the TPR of its strongest attack; the table "
        "below has the numbers.",
    )


def points(audits: Sequence[Revision], fpr: float) -> pd.DataFrame:
    """What tradeoff.figure draws: label, fpr, and accuracy and TPR with their limits; a row an audit."""
    rows = []
    for audit in audits:
        best = audit_differences.strongest(audit, fpr)
        tpr = best[1] if best else Estimate(math.nan, math.nan, math.nan)
        row = {"label": audit.name, "fpr": fpr}
        for name, estimate in (("accuracy", audit_differences.accuracy(audit)), ("tpr", tpr)):
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        rows.append(row)
    return pd.DataFrame(rows)


def roc_figure(audits: Sequence[Revision], fpr: float | None, *, log: bool) -> Any:
    """The figure of ROC curves, on logarithmic or linear axes."""
    return html.figure(
        roc_of_revisions.figure(
            curves(audits, fpr), n_nonmember=max(audit.verdict.n_nonmember for audit in audits), log=log
        ),
        f"roc-{'log' if log else 'linear'}",
        f"ROC curves of each audit’s strongest attack and of loss, {'logarithmic' if log else 'linear'} axes.",
    )


def curves(audits: Sequence[Revision], fpr: float | None) -> pd.DataFrame:
    """What roc_of_revisions.figure draws: of each audit the curve of its strongest attack, and of loss."""
    parts = []
    for audit in audits:
        best = strongest_attack(audit, fpr)
        roles = {best: "strongest"}
        if "loss" in audit.attacks:
            roles.setdefault("loss", "loss")
        for attack, role in roles.items():
            curve = audit.curves[audit.curves["attack"] == attack]
            parts.append(curve.drop(columns="attack").assign(revision=audit.name, role=role))
    return pd.concat(parts, ignore_index=True)


def strongest_attack(audit: Revision, fpr: float | None) -> str:
    """The attack whose curve is drawn: the strongest at the FPR, else by AUC."""
    best = None if fpr is None else audit_differences.strongest(audit, fpr)
    return best[0] if best else audit.verdict.auc_attack


def exposed(first: Revision, other: Revision, fpr: float | None) -> dict[str, Any]:
    """Two audits: which members are recognised in both, and in only one of them.

    first, other: names. why: not None where that cannot be shown. Else attacks: of either; members: how many there are;
    groups: of `group`.
    """
    names = {"first": first.name, "other": other.name}
    why = audit_differences.unlike(first, other)
    best = None if fpr is None else audit_differences.strongest_of_both(first, other, fpr)
    if fpr is None or best is None:
        why = why or "the non-members are too few for a low FPR"
    if fpr is None or best is None or why is not None:
        return {**names, "why": why, "groups": []}
    attacks = [attack for attack, _ in best]
    before, after = (
        audit_differences.named(audit, attack, fpr) for audit, attack in zip((first, other), attacks, strict=True)
    )
    groups = [
        group("recognised in both", before & after, first, attacks[0]),
        group(f"recognised only in {first.name}", before & ~after, first, attacks[0]),
        group(f"recognised only in {other.name}", after & ~before, other, attacks[1]),
    ]
    return {**names, "why": None, "attacks": attacks, "members": first.verdict.n_member, "groups": groups}


def group(title: str, chosen: Bools, audit: Revision, attack: str) -> dict[str, Any]:
    """Members in a group: how many, and the name and class of those that the attack ranks first.

    chosen: (records,), by sample_id.
    """
    ranked = audit_differences.records(audit)[chosen].sort_values([f"{attack}_rank", "sample_id"]).head(NAMED)
    return {
        "title": title,
        "count": int(chosen.sum()),
        "records": [(shown(record["name"]), shown(record["class"])) for record in ranked.to_dict("records")],
    }
