"""A value and its limits are written in one way, and an attack names whom its TPR counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.evaluation import roc, verdict, wording
from mia.evaluation.named import named_at

ENTRY = {"auc": 0.7871, "auc_low": 0.782, "auc_high": 0.793, "tpr": 0.0366, "tpr_low": 0.0251, "tpr_high": 0.05}


def test_a_fraction_has_its_limits_and_no_zero_before_the_point() -> None:
    assert wording.fraction(ENTRY, "auc") == ".787 (.782–.793)"
    assert wording.fraction({"auc": 1.0, "auc_low": 0.9996, "auc_high": 1.0}, "auc") == "1.000 (1.000–1.000)"


@pytest.mark.parametrize(
    ("p", "text"), [(0.36, "= .36"), (0.036, "= .036"), (0.001, "= .001"), (0.0009, "< .001"), (1.0, "= 1")]
)
def test_a_p_value_has_its_sign(p: float, text: str) -> None:
    assert wording.p_value(p) == text


def test_a_share_has_one_sign_of_percent() -> None:
    assert verdict.share(ENTRY, "tpr") == "3.7 % (2.5 to 5.0)"


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
