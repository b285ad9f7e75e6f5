"""The page of one audit, src/mia/report/templates/audit.html filled; pure, no file is read here but the templates."""

from __future__ import annotations

import json

from mia import dotted
from mia.evaluation import verdict, wording
from mia.report import html, text_table, without_shadows
from mia.report.audit import advice, attacker, drawings, exposed, headline, mitigations, tables, usual_counting
from mia.report.audit.measured import Audit, Numbers


def render(audit: Audit, active: Numbers, *, gallery: int, estimator: str | None) -> str:
    """Return the page of an audit.

    active: parameters by section, those of the active audit only, without sections that do not apply. gallery: records
    at either end, most and least exposed. estimator: the classifier of the learned attack; None where none was fitted.
    """
    numbers = audit.verdict
    attack = exposed.attack_of(numbers)
    alike = audit.by_attack[numbers["auc_attack"]].get("classes_alike_p")
    return html.render(
        "audit.html",
        measured=numbers,
        fpr=verdict.rate(numbers["fpr"]) if "fpr" in numbers else None,
        sentence=verdict.sentence(numbers),
        recognises=verdict.recognises(numbers),
        scale=headline.scale(numbers),
        short=verdict.short(numbers),
        interval=" to ".join(f"{verdict.percent(numbers[key])} %" for key in ("tpr_low", "tpr_high") if key in numbers),
        meaning=headline.meaning(numbers, attacker.who(audit, active)),
        how_sure=headline.how_sure(audit),
        facts=headline.facts(audit, active),
        noun=audit.noun,
        nouns=f"{audit.noun}s",
        given=attacker.answers_given(active),
        attacker=attacker.title(audit, active),
        holds=attacker.holds(audit, active),
        cross_fitted=attacker.CROSS_FITTED if audit.cross_fitted else None,
        active=active,
        shadows=audit.shadows,
        data=audit.data,
        target=audit.target,
        attack=attack,
        exposed=exposed.gallery(audit, attack, gallery),
        gallery=gallery,
        pictured=audit.images is not None,
        valued=audit.table is not None,
        advice=advice.advice(audit, active),
        mitigations=mitigations.table(audit.mitigations),
        attacks=tables.attacks(audit),
        without_spread=text_table.without_spread(audit.attacks),
        refused=audit.refused,
        without_shadows=without_shadows.sentences(audit.without_shadows, audit.noun),
        **drawings.for_page(audit),
        classes=tables.classes(audit),
        classes_attack=numbers["auc_attack"],
        classes_alike=None if alike is None else wording.p_value(alike),
        board=tables.attack_models(audit.board, estimator),
        left_out=audit.selection.get("left_out", {}),
        original=usual_counting.table(audit),
        parameters={name: json.dumps(value) for name, value in sorted(dotted.flat(active))},
        fingerprint=audit.fingerprint,
    )
