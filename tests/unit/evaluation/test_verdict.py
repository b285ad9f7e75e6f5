"""The verdict in words: what it says of each kind of finding, and where its numbers come from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.evaluation import verdict
from mia.report.audit import headline

FOUND: dict[str, Any] = {
    "attacks": 24, "n_member": 50_000, "n_nonmember": 10_000, "auc_attack": "stacked", "auc": 0.7875, "auc_low": 0.7785,
    "auc_high": 0.7962, "fpr": 0.01, "tpr_attack": "quantile", "tpr": 0.13, "tpr_low": 0.11, "tpr_high": 0.15,
}  # fmt: skip
CHANCE = {"tpr": 0.013, "tpr_low": 0.008, "tpr_high": 0.021}


def test_a_leak_in_one_sentence() -> None:
    assert verdict.sentence(FOUND) == (
        "An attacker recognises 13 % (11 to 15) of the training images if one non-member in a hundred is accused (1 % "
        "FPR); guessing gives 1 %."
    )
    assert verdict.ranking(FOUND) == (
        "Shown one training image and one other, an attacker tells them apart 79 times in 100 (78 to 80); guessing "
        "succeeds 50 times."
    )


def test_what_another_training_leaves_open_stands_beside_what_these_records_do() -> None:
    again = (
        "An attacker recognises 13 % (other records: 11 to 15; another training: ± 2.1 or less) of the training images "
    )
    again += "if one non-member in a hundred is accused (1 % FPR); guessing gives 1 %."
    assert verdict.sentence(FOUND | {"tpr_spread": 0.0213, "auc_spread": 0.01}) == again
    unknown = FOUND | {"tpr_spread": None, "auc_spread": None, "spread_missing": "why"}
    assert verdict.sentence(unknown) == verdict.sentence(FOUND)


@pytest.mark.parametrize("changes", [{}, CHANCE, {"auc": 0.4, "auc_low": 0.3, "auc_high": 0.5, **CHANCE}])
def test_records_that_are_no_images_are_called_records(changes: dict[str, float]) -> None:
    numbers = FOUND | changes
    few = {key: value for key, value in numbers.items() if "tpr" not in key and key != "fpr"}
    for say in (verdict.sentence, verdict.short, verdict.ranking):
        for measured in (numbers, few):
            assert say(measured) == say(measured | {"kind": "image"})
            assert say(measured | {"kind": "record"}) == say(measured).replace("image", "record")


def test_chance_is_called_chance_and_not_safety() -> None:
    found = FOUND | CHANCE | {"auc": 0.51, "auc_low": 0.49, "auc_high": 0.53}
    assert verdict.sentence(found) == (
        "It is not shown that an attacker recognises more of the training images than guessing does: 1.3 % (0.8 to "
        "2.1) if one non-member in a hundred is accused (1 % FPR); guessing gives 1 %."
    )
    assert verdict.ranking(found) == (
        "Shown one training image and one other, an attacker tells them apart 51 times in 100 (49 to 53). These "
        "records do not show that this is better than guessing, which succeeds 50 times."
    )
    assert verdict.short(found) == "No leak is shown."
    assert verdict.short(FOUND | CHANCE) == (
        "The model's answers tell training images from others; at 1 % FPR that is not shown."
    )


def test_one_non_member_in_ten_is_not_called_few() -> None:
    few = "The model reveals training images to an attacker who accuses few non-members."
    assert verdict.short(FOUND) == few
    assert verdict.short(FOUND | {"fpr": 0.1}).endswith("to an attacker who accuses one non-member in ten.")


def test_a_limit_at_guessing_is_no_leak() -> None:
    assert not verdict.recognises(FOUND | {"tpr_low": 0.01})
    assert verdict.recognises(FOUND | {"tpr_low": 0.0101})
    assert not verdict.ranks(FOUND | {"auc_low": 0.5})


def test_the_exact_test_decides_where_there_is_one() -> None:
    """In audits of before there was one, the limits do."""
    assert verdict.recognises(FOUND | {"tpr_low": 0.01, "tpr_p": 0.05})
    assert not verdict.recognises(FOUND | {"tpr_p": 0.0505})
    assert verdict.ranks(FOUND | {"auc_low": 0.5, "auc_p": 0.05})
    assert not verdict.ranks(FOUND | {"auc_p": 0.0505})
    assert not verdict.ranks(FOUND | {"auc": 0.4, "auc_p": 0.001})  # the other way round


def test_too_few_non_members_are_said_to_be() -> None:
    few = {key: value for key, value in FOUND.items() if "tpr" not in key and key != "fpr"} | {"n_nonmember": 7}
    assert verdict.sentence(few) == (
        "7 non-members are too few to measure what an attacker recognises at a low FPR: 10 % FPR needs 100 "
        "non-members, 1 % FPR needs 1,000."
    )
    assert not verdict.recognises(few)
    assert headline.scale(few) is None


@pytest.mark.parametrize(
    ("fprs", "n_nonmember", "fpr"),
    [
        ([0.1, 0.01, 0.001], 10_000, 0.01),
        ([0.1, 0.01, 0.001], 999, 0.1),
        ([0.1, 0.01], 1000, 0.01),
        ([0.5, 0.002], 10_000, 0.002),
        ([0.1], 100, 0.1),
        ([0.1], 99, None),
    ],
)
def test_the_verdict_stands_at_the_fpr_nearest_to_one_percent_that_is_worth_ten_non_members(
    fprs: list[float], n_nonmember: int, fpr: float | None
) -> None:
    assert verdict.headline_fpr(fprs, n_nonmember) == fpr


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0"), (0.00002, "0.002"), (0.0044, "0.44"), (0.00996, "1.0"), (0.01, "1.0"), (0.04, "4.0"), (0.0432, "4.3"),
     (0.0996, "10"), (0.1, "10"), (0.374, "37"), (1.0, "100")],
)  # fmt: skip
def test_percent_keeps_two_digits(share: float, said: str) -> None:
    assert verdict.percent(share) == said


@given(st.floats(1e-6, 1))
def test_percent_is_near(share: float) -> None:
    assert float(verdict.percent(share)) == pytest.approx(100 * share, rel=0.06)


@pytest.mark.parametrize(
    ("fpr", "said"),
    [(0.1, "ten"), (0.01, "a hundred"), (1e-4, "ten thousand"), (0.02, "50"), (1 / 3000, "3,000"), (0.3, "3.33")],
)
def test_one_non_member_in(fpr: float, said: str) -> None:
    assert verdict.one_in(fpr) == said


def test_an_accusation_is_right_as_often_as_members_are_among_the_accused() -> None:
    assert verdict.right_when_accusing(0.04, 0.01) == pytest.approx(0.8)
    assert verdict.right_when_accusing(0.01, 0.01) == 0.5


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.1, 0.01, 0.001]))
def test_the_scale_keeps_order_and_stays_on_the_page(low: float, high: float, fpr: float) -> None:
    low, high = sorted((low, high))
    found = FOUND | {"fpr": fpr, "tpr_low": low, "tpr": (low + high) / 2, "tpr_high": high}
    made = headline.scale(found)
    assert made is not None
    assert 0 <= made["low"] <= made["value"] <= made["high"] <= 100
    places = [tick["at"] for tick in made["ticks"]]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (made["guess"], 100)
    assert made["ticks"][0]["right"] == "50"
