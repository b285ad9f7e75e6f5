"""Sentences that compare audits follow the numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import planted
from mia import paths
from mia.evaluation import differences
from mia.evaluation.intervals import Estimate
from mia.history import (
    audit_differences,
    compare_page,
    compare_words,
)
from mia.history.audit_differences import Pair
from mia.history.revisions import Revision


@pytest.fixture
def pair(tmp_path: Path) -> list[Revision]:
    return planted.pair(tmp_path)


def as_verdict(audit: Revision, name: str, **changes: Any) -> Revision:
    return replace(audit, name=name, verdict=audit.verdict.model_copy(update=changes), outs={})


def apart(count: int, p: float, **ps: float) -> list[Pair]:
    none = differences.Comparison(0, 0, 0, 1)
    return [Pair(a, b, None, none, none, none, *[ps.get(f"p{a}{b}", p)] * 3)
            for a in range(count) for b in range(a + 1, count)]  # fmt: skip


def test_the_headline_says_what_can_be_told(pair: list[Revision]) -> None:
    audits = [as_verdict(pair[0], name, tpr=tpr, auc=tpr + 0.5) for name, tpr in (("A", 0.05), ("B", 0.02), ("C", 0.1))]
    who = "at 1 % FPR, an attacker recognises"
    two = f"{who} 2.0 % (B) and 5.0 % (A) of the training images"
    three = f"{who} 2.0 % (B), 5.0 % (A) and 10 % (C) of the training images"
    say = compare_words.headline
    assert say(audits[:2], apart(2, 0.01), 0.01) == f"B leaks least: {two}. The difference is more than chance."
    assert say(audits[:2], apart(2, 0.05), 0.01) == (
        f"The audits cannot tell which of the two leaks less: {two}. The difference may be chance."
    )
    assert say(audits, apart(3, 0.01), 0.01) == f"B leaks least: {three}. The difference is more than chance."
    assert say(audits, apart(3, 0.2), 0.01) == (
        f"The audits cannot tell which leaks least: {three}. The difference may be chance."
    )
    assert say(audits, apart(3, 0.2, p12=0.01), 0.01) == (
        f"B leaks less than C; the audits cannot tell whether B leaks less than A: {three}."
    )
    assert say(audits[:2], apart(2, 0.01), None) == (
        "B leaks least: the best AUC is .520 (B) and .550 (A). The difference is more than chance."
    )
    five = [replace(audits[at % 3], name=str(at)) for at in range(5)]
    assert say(five, apart(5, 0.2), 0.01) == (
        f"The audits cannot tell which leaks least: {who} 2.0 % (1) to 10 % (2) of the training images. The "
        "difference may be chance."
    )
    assert compare_words.ranking(five, apart(5, 0.2, p12=0.01)) == (
        "The best AUC is .520 (1) to .600 (2): 1 of 10 differences are more than chance."
    )
    assert compare_words.ranking(audits[:2], apart(2, 0.01)) == (
        "The best AUC is .520 (B) and .550 (A): the difference is more than chance."
    )
    right = [
        replace(audit, target=audit.target.model_copy(update={"test_accuracy": accuracy}))
        for audit, accuracy in zip(audits, (0.9, 0.5, 0.7), strict=True)
    ]
    assert compare_words.rightness(right[:2], apart(2, 0.05)) == (
        "The accuracy of the targets on non-members is 50.0 % (B) and 90.0 % (A): the difference may be chance."
    )
    assert compare_words.rightness(right, apart(3, 0.2)) == (
        "The accuracy of the targets on non-members is 50.0 % (B), 70.0 % (C) and 90.0 % (A): all differences may be "
        "chance."
    )
    assert compare_words.ranking(audits, apart(3, 0.2, p12=0.01)).endswith(": more than chance differ B from C.")


def test_audits_are_compared_at_an_fpr_that_all_measured(pair: list[Revision]) -> None:
    assert audit_differences.common_fpr(pair) == 0.01
    strict = as_verdict(pair[1], "strict", fpr=0.001)
    tprs = {0.1: (0.3, 0.2, 0.4), 0.001: (0.0, 0.0, 0.1)}
    strict = replace(
        strict, attacks={name: of.model_copy(update={"tprs": tprs}) for name, of in strict.attacks.items()}
    )
    assert audit_differences.common_fpr([pair[0], strict]) == 0.1
    assert audit_differences.strongest(strict, 0.1) == ("correctness", Estimate(0.3, 0.2, 0.4))
    assert "verdict of HEAD and strict is at another FPR" in " ".join(compare_words.cautions([pair[0], strict], 0.1))
    none = as_verdict(pair[1], "few", fpr=None, tpr_attack=None, tpr=None, tpr_low=None, tpr_high=None)
    none = replace(none, attacks={name: of.model_copy(update={"tprs": {}}) for name, of in none.attacks.items()})
    assert audit_differences.common_fpr([none, pair[0]]) == 0.01
    assert audit_differences.common_fpr([none, none]) is None
    audits = [none, pair[0]]
    pairs = audit_differences.compare(audits, 0.01)
    assert pairs[0].tpr is None
    page = compare_page.page(audits, pairs, 0.01)
    assert "few: not drawn, too few non-members" in planted.text_of(page)
    assert "Not shown: the non-members are too few for a low FPR." in planted.text_of(page)
    few = [replace(none, name="one"), replace(none, name="other")]
    page = compare_page.page(few, audit_differences.compare(few, None), None)
    assert "Not drawn: there is no FPR that all these audits have measured." in planted.text_of(page)
    assert [len(row) for row in planted.table_of(page, "Attacks, side by side")] == [3] * 4


def test_audits_of_answers_speak_of_records(pair: list[Revision], tmp_path: Path) -> None:
    given = [
        planted.answered(tmp_path / name, name, prepared)
        for name, prepared in (("given", "1-generated-4"), ("again", "1-generated-2"))
    ]
    pairs = audit_differences.compare(given, 0.01)
    assert pairs[0].unlike is None
    assert "of the training records" in compare_words.headline(given, pairs, 0.01)
    text = planted.text_of(compare_page.page(given, pairs, 0.01))
    assert "image" not in text.partition(" Glossary record ")[0]
    assert "No model was trained or queried here: the answers were given." in text
    mixed = [pair[0], given[1]]
    assert compare_words.noun(mixed) == "record"
    text = planted.text_of(compare_page.page(mixed, audit_differences.compare(mixed, 0.01), 0.01))
    text = text.partition(" Glossary record ")[0]
    assert text.count("image") == text.count("of the training images") == 1  # the verdict of the audit of images
    assert "A record counts once for each epoch" in text
    assert "An image counts once" in planted.text_of(
        compare_page.page(pair, audit_differences.compare(pair, 0.01), 0.01)
    )


def test_models_whose_answers_were_given_are_told_apart_by_their_answers(tmp_path: Path) -> None:
    given = planted.answered(tmp_path, "given", "1-generated-4")
    empty = {paths.TARGET_MODEL.as_posix(): ("a" * 32, 1)}  # nothing was trained, in either
    first, other = (
        replace(given, name=name, outs={**empty, paths.TARGET_SIGNALS.as_posix(): (name * 16, 1)})
        for name in ("ab", "cd")
    )
    assert not compare_words.one_model([first, other])
    assert compare_words.one_model([first, replace(first, name="again")])
