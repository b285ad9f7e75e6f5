"""What `evaluate` says of an audit of answers that can be measured and is odd."""

from __future__ import annotations

import pytest

from stages import evaluate


def test_too_few_nonmembers_for_an_fpr_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.report_unresolved([0.1, 0.01, 0.001], 150)
    assert capsys.readouterr().err == (
        "evaluate: no TPR at FPR 0.001: 150 non-members resolve an FPR of 0.0067 at the least\n"
    )
    evaluate.report_unresolved([0.1, 0.01], 150)
    assert capsys.readouterr().err == ""


def test_attacks_that_all_rank_nonmembers_first_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.report_turned([{"auc": 0.31, "auc_high": 0.35}, {"auc": 0.4, "auc_high": 0.45}])
    assert capsys.readouterr().err == (
        "evaluate: warning: every attack ranks non-members above members, the best with an AUC of 0.400; check "
        "that `member` is true for the target's training records, and that the answers are the target's\n"
    )
    evaluate.report_turned([{"auc": 0.31, "auc_high": 0.35}, {"auc": 0.49, "auc_high": 0.52}])
    assert capsys.readouterr().err == ""
