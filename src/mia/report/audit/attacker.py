"""The attacker in words: who it is, what it holds, and what it chooses its thresholds on."""

from __future__ import annotations

from mia.report.audit.measured import Audit, Numbers

GIVEN = "answers"  # data.source of an audit whose models were trained elsewhere: their answers were given
CROSS_FITTED = (
    "Thresholds were chosen on audited records whose membership is known, each for other records than those it was "
    "chosen on: an auditor can do that, an attacker cannot."
)
TITLES = {  # by attacker.knowledge
    "generated": "an attacker with generated {noun}s",
    "disjoint": "an attacker with other real {noun}s",
    "population": "an auditor",
}
HOLDS = {  # what the attacker trains its shadows on, by attacker.knowledge
    "generated": "only generated {noun}s, no real one",
    "disjoint": "other real {noun}s, none of those under audit",
    "population": "all {noun}s under audit, not knowing which the target was trained on",
}
WHO = {
    "generated": "an attacker without any real {noun}, a lower bound: one with other real {noun}s of the kind "
    "recognises more, an auditor most",
    "disjoint": "an attacker with other real {noun}s; an auditor, who trains shadows on the audited {noun}s, would "
    "recognise more",
    "population": "an auditor, who holds all {noun}s under audit, the worst case; whoever holds less recognises less",
}


def answers_given(active: Numbers) -> bool:
    """Return whether nothing was trained here: answers were given, or a trained model without shadows was brought.

    active: parameters by section.
    """
    return bool(active["data"]["source"] == GIVEN) or ("model" in active and "target" not in active)


def trained_elsewhere(active: Numbers) -> bool:
    """Return whether the target was trained elsewhere, whatever its shadows were."""
    return answers_given(active) or "model" in active


def title(audit: Audit, active: Numbers) -> str:
    """Return whose audit it is, as in "an audit by ..."."""
    if answers_given(active):
        return "an auditor"
    return TITLES[active["attacker"]["knowledge"]].format(noun=audit.noun)


def who(audit: Audit, active: Numbers) -> str:
    """Return who the attacker is and whether another one would recognise more, as in "That is ..."."""
    if not answers_given(active):
        return WHO[active["attacker"]["knowledge"]].format(noun=audit.noun)
    if audit.shadows["models"]:
        return (
            "an auditor, who knows what shadow models answer about the audited records; whoever holds less "
            "recognises less"
        )
    return "an auditor without shadow models; with them, more may be recognised"


def holds(audit: Audit, active: Numbers) -> str:
    """Return what the attacker trains its shadows on, or which answers it holds, as in "The attacker holds ..."."""
    if not answers_given(active):
        return HOLDS[active["attacker"]["knowledge"]].format(noun=audit.noun)
    if not audit.shadows["models"]:
        return "the target’s answers and no shadow model"
    return f"the target’s answers, and those of {shadow_models(audit)}, knowing which records each was trained on"


def fact(audit: Audit, active: Numbers) -> str:
    """Return the attacker in one line: what it holds, its shadows and their accuracy."""
    unseen = f"{100 * audit.shadows['test_accuracy']:.1f} % right" if audit.shadows["models"] else ""
    if answers_given(active):
        right = f" ({unseen} on records they were not trained on)" if unseen else ""
        return f"holds {holds(audit, active)}{right}"
    whole = active["attacker"]["knowledge"] == "population"
    sized = "half of them" if whole else f"{active['shadow']['train_size']:,} of its {audit.noun}s"
    return f"holds {holds(audit, active)}; {shadow_models(audit)}, each trained on {sized} ({unseen} on unseen ones)"


def shadow_models(audit: Audit) -> str:
    """Return how many shadow models there are."""
    return f"{audit.shadows['models']} shadow model{'s' if audit.shadows['models'] != 1 else ''}"
