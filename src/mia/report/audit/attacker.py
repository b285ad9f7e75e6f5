"""The attacker in words: its name, what it holds, and what it chooses its thresholds on."""

from __future__ import annotations

from mia.report.audit.measured import Audit, Numbers

GIVEN = "answers"  # data.source of an audit whose models were trained elsewhere: their answers were given
CROSS_FITTED = (
    "Thresholds are chosen on audited records whose membership is known, and used on other audited records. An auditor "
    "can do that; an attacker cannot."
)
TITLES = {  # by attacker.knowledge
    "generated": "an attacker with generated {noun}s",
    "disjoint": "an attacker with other real {noun}s",
    "population": "an auditor",
}
HOLDS = {  # what the attacker trains its shadows on, by attacker.knowledge
    "generated": "generated {noun}s, and no real {noun}",
    "disjoint": "other real {noun}s, and none of the {noun}s under audit",
    "population": "all {noun}s under audit, without knowing which are members",
}
WHO = {
    "generated": "This attacker holds no real {noun}, so the number is a lower bound. An attacker with real {noun}s of "
    "the same kind, or an auditor, may recognise more.",
    "disjoint": "This attacker holds other real {noun}s. An auditor, who trains shadow models on the audited {noun}s, "
    "may recognise more.",
    "population": "This attacker is an auditor and holds all {noun}s under audit, without knowing which are members: "
    "the most that an attacker can hold.",
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
    """Return who the attacker is, and whether another attacker would recognise more, in sentences."""
    if not answers_given(active):
        return WHO[active["attacker"]["knowledge"]].format(noun=audit.noun)
    if audit.shadows["models"]:
        return (
            "This attacker is an auditor and has shadow models' answers about the audited records. An attacker with "
            "less mostly recognises less."
        )
    return (
        "This attacker has no shadow models. So the audit can show that the model leaks, and cannot show that it does "
        "not: an attacker with shadow models may recognise more."
    )


def holds(audit: Audit, active: Numbers) -> str:
    """Return what the attacker trains its shadows on, or which answers it holds, as in "The attacker holds ..."."""
    if not answers_given(active):
        return HOLDS[active["attacker"]["knowledge"]].format(noun=audit.noun)
    if not audit.shadows["models"]:
        return "the target’s answers, and no shadow model"
    return f"the target’s answers, and the answers and the members of {shadow_models(audit)}"


def fact(audit: Audit, active: Numbers) -> str:
    """Return the attacker in one line: what it holds, its shadows and their accuracy."""
    unseen = f"accuracy {100 * audit.shadows['test_accuracy']:.1f} % on non-members" if audit.shadows["models"] else ""
    if answers_given(active):
        right = f" ({unseen})" if unseen else ""
        return f"holds {holds(audit, active)}{right}"
    whole = active["attacker"]["knowledge"] == "population"
    sized = f"half of these {audit.noun}s" if whole else f"{active['shadow']['train_size']:,} of these {audit.noun}s"
    return f"holds {holds(audit, active)}; {shadow_models(audit)}, each trained on {sized} ({unseen})"


def shadow_models(audit: Audit) -> str:
    """Return how many shadow models there are."""
    return f"{audit.shadows['models']} shadow model{'s' if audit.shadows['models'] != 1 else ''}"
