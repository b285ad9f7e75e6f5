"""A value and its limits are written in one way, and an attack names whom its TPR counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.evaluation import roc, verdict, wording
from mia.evaluation.named import named_at

ENTRY = {"auc": 0.7871, "auc_low": 0.782, "auc_high": 0.793, "tpr": 0.0366, "tpr_low": 0.0251, "tpr_high": 0.05}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (wording.PROSE, "0.787 (0.782 to 0.793)"),
        (wording.TABLE, "0.787 (0.782–0.793)"),
        (wording.FIGURE, "0.787 [0.782, 0.793]"),
    ],
)
def test_a_number_has_its_limits(form: str, text: str) -> None:
    assert wording.number(ENTRY, "auc", 3, form=form) == text


def test_a_share_has_one_sign_of_percent() -> None:
    assert verdict.share(ENTRY, "tpr") == "3.7 % (2.5 to 5.0)"
    estimate = wording.estimate(ENTRY, "tpr")
    assert wording.with_limits(estimate, verdict.percent, unit=" %", form=wording.FIGURE) == "3.7 [2.5, 5.0] %"


@given(
    scores=st.lists(st.integers(0, 6), min_size=4, max_size=40),
    members=st.integers(1, 3),
    fpr=st.sampled_from([0.01, 0.1, 0.25, 0.5, 1.0]),
)
def test_an_attack_names_as_many_as_its_tpr_counts_and_no_more_non_members_than_allowed(
    scores: list[int], members: int, fpr: float
) -> None:
    """Ties move together: the scores are few."""
    values = np.asarray(scores, np.float64)
    member = np.arange(values.size) < members
    if not roc.resolvable(fpr, int((~member).sum())):
        return
    named = named_at(values, member, fpr)
    assert named[member].mean() == roc.tpr_at(roc.curve(values, member), fpr)
    assert named[~member].mean() <= fpr
    if named.any() and not named.all():
        assert values[named].min() > values[~named].max()
