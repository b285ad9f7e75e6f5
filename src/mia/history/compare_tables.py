"""Tables that compare audits: parameters that differ, results, costs and every attack; a column an audit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mia import paths
from mia.errors import shown
from mia.evaluation import verdict, wording
from mia.evaluation.intervals import Estimate
from mia.history import audit_differences
from mia.history.audit_metrics import Given, Used
from mia.history.revisions import Revision
from mia.report import text_table

Rows = list[tuple[str, list[str]]]  # the name of a row, and a cell an audit


def differing(audits: Sequence[Revision]) -> Rows:
    """The parameters that differ."""
    parameters = [audit.parameters for audit in audits]
    names = dict.fromkeys(name for values in parameters for name in values)
    rows = [(name, [text_of(values[name]) if name in values else "–" for values in parameters]) for name in names]
    return [(shown(name), cells) for name, cells in rows if len(set(cells)) > 1]


def text_of(value: Any) -> str:
    """A parameter's value as text that may be shown."""
    return shown(value if isinstance(value, str) else json.dumps(value, default=str))


def results(audits: Sequence[Revision], fpr: float | None) -> Rows:
    """The numbers of each audit, a row a number."""
    return transposed([result(audit, fpr) for audit in audits])


def result(audit: Revision, fpr: float | None) -> dict[str, str]:
    """The numbers of an audit: its column of `results`."""
    recognised = {}
    if fpr is not None:
        best = audit_differences.strongest(audit, fpr)
        recognised[f"TPR at {verdict.rate(fpr)} % FPR"] = estimated(best[1], percent) if best else "–"
        recognised["attack with this TPR"] = wording.words(best[0]) if best else "–"
    target, strongest = audit.target, audit.verdict
    return {
        "accuracy on members": f"{100 * target.train_accuracy:.1f} %",
        "accuracy on non-members": estimated(audit_differences.accuracy(audit), percent),
        "gap, points": f"{100 * (target.train_accuracy - target.test_accuracy):.1f}",
        **recognised,
        "best AUC": wording.fraction(strongest.model_dump(), "auc"),
        "attack with this AUC": wording.words(strongest.auc_attack),
        "members, non-members": f"{strongest.n_member:,}, {strongest.n_nonmember:,}",
        "attacks measured": f"{strongest.attacks:,}",
        "attacker.knowledge": "–" if isinstance(audit.used, Given) else shown(audit.used.knowledge),
        "shadow models": f"{audit.shadows.models:,}",
    }


def costs(audits: Sequence[Revision], noun: str) -> Rows:
    """The costs of the audits, a row a cost; no row that applies to no audit. noun: what one record is called."""
    return transposed([cost(audit, noun) for audit in audits])


def cost(audit: Revision, noun: str) -> dict[str, str]:
    """The costs of an audit, counted and not timed, so that they are the same everywhere; "–": not known.

    noun: what one record is called. Nothing where the answers were given.
    """
    used = audit.used
    if isinstance(used, Given):
        return {}
    models = 1 + audit.shadows.models
    queried = audit.data.population + (0 if used.knowledge == "population" else audit.data.attacker)
    stored = [paths.TARGET_MODEL.as_posix(), *(paths.shadow_models(block).as_posix() for block in used.blocks)]
    sizes = [audit.outs[path][1] for path in stored if path in audit.outs]
    about = "about " if used.knowledge == "population" and audit.data.population_duplicates else ""
    trained = (
        {}
        if used.epochs is None
        else {
            f"{noun}s through training, target: epochs × members": f"{used.epochs * audit.verdict.n_member:,}",
            f"{noun}s through training, all shadows: epochs × {noun}s": (
                f"{about}{used.epochs * shadow_records(used, audit):,}"
            ),
        }
    )
    return trained | {
        "models trained: target and shadows": f"{models:,}",
        "queries of each model: records × views": f"{queried * used.views:,}",
        "queries of all models": f"{queried * used.views * models:,}",
        "stored models, in bytes": f"{sum(sizes):,}" if len(sizes) == len(stored) else "–",
    }


def shadow_records(used: Used, audit: Revision) -> int:
    """Records in the training sets of all shadows; of those that are halves of the population, two make a whole."""
    if used.knowledge != "population":
        return audit.shadows.models * used.train_size
    shadows = [block * used.per_block + place for block in used.blocks for place in range(used.per_block)]
    if len(shadows) != audit.shadows.models:  # they were trained elsewhere
        shadows = list(range(audit.shadows.models))
    half = audit.data.population // 2
    return sum(half if shadow % 2 == 0 else audit.data.population - half for shadow in shadows)


def attack_rows(audits: Sequence[Revision], fpr: float | None) -> list[dict[str, Any]]:
    """Every attack that any audit has; those strongest in the first audit come first.

    Each row: attack; cells: (value to sort by, text) of TPR, where there is an FPR, and AUC of each audit; strong:
    whether it is the strongest of one of them.
    """
    names = dict.fromkeys(name for audit in audits for name in audit.attacks)

    def first(name: str) -> tuple[float, ...]:
        attack = audits[0].attacks.get(name)
        return (-attack.tprs.get(fpr or 0, (-1.0,))[0], -attack.auc) if attack else (2.0, 0.0)

    return [
        {
            "attack": name,
            "cells": [cell for audit in audits for cell in attack_cells(audit, name, fpr)],
            "strong": any(name in (audit.verdict.tpr_attack, audit.verdict.auc_attack) for audit in audits),
        }
        for name in sorted(names, key=first)
    ]


def attack_cells(audit: Revision, name: str, fpr: float | None) -> list[tuple[float | str, str]]:
    """An attack's TPR, where there is an FPR, and AUC: (value to sort by, text); a dash if the attack did not run."""
    attack = audit.attacks.get(name)
    cells: list[tuple[float | str, str]] = []
    if fpr is not None:
        tpr = attack.tprs.get(fpr) if attack else None
        cells.append((tpr[0], wording.with_limits(tpr, verdict.percent, unit=" %")) if tpr else ("", "–"))
    cells.append((attack.auc, text_table.interval(attack.model_dump(), "auc", 3)) if attack else ("", "–"))
    return cells


def transposed(columns: Sequence[Mapping[str, str]]) -> Rows:
    """Rows of a table, a dash where a column lacks the name."""
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name, [column.get(name, "–") for column in columns]) for name in names]


def percent(share: float) -> str:
    """A share in percent, to one decimal if large enough."""
    return f"{100 * share:.1f}" if share >= 0.0995 else verdict.percent(share)


def estimated(estimate: Estimate, text: Callable[[float], str]) -> str:
    """An estimate in percent with its limits."""
    return f"{text(estimate.value)} % ({text(estimate.low)} to {text(estimate.high)})"
