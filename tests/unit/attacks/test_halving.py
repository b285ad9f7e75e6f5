"""Successive halving: who goes on, what is said of who does not, the same on any number of cores."""

from __future__ import annotations

import numpy as np
import pytest

from mia.attacks import halving
from mia.attacks.halving import Outcome

RNG = np.random.default_rng(2)
IS_MEMBER = RNG.random(1500) < 0.5
VALUES = RNG.normal(size=(1500, 3))
VALUES[:, 0] += IS_MEMBER * (2 + VALUES[:, 1])  # a leak that differs from place to place: trees and neighbours see more
RECORDS = halving.Records(VALUES, IS_MEMBER, np.arange(1500) % 5)
CANDIDATES: list[halving.Candidate] = [
    *(("dummy", {}) for _ in range(6)),
    ("gaussian_nb", {}),
    ("decision_tree", {"max_depth": 1}),
    ("k_neighbors", {"n_neighbors": 20}),
    ("logistic_regression", {}),
]


def compare(candidates: list[halving.Candidate], *, stop: bool = True, least: int = 2) -> list[Outcome]:
    return halving.compare(candidates, RECORDS, 0, halving=stop, least=least, description="test")


def test_a_third_goes_on_to_the_second_round_and_a_third_of_them_to_all_folds() -> None:
    outcomes = compare(CANDIDATES)
    rounds = [outcome.stopped_in_round for outcome in outcomes]
    assert rounds[:6] == [1] * 6
    assert sorted(rounds) == [0, 0, *[1] * 6, 2, 2]
    assert {outcome.stopped_in_round: len(outcome.aucs) for outcome in outcomes} == {0: 5, 1: 1, 2: 2}


def test_who_is_asked_about_all_folds_has_the_aucs_of_a_comparison_without_halving() -> None:
    early, whole = compare(CANDIDATES), compare(CANDIDATES, stop=False)
    assert all(outcome.finished for outcome in whole)
    assert [outcome for outcome in early if outcome.finished] == [
        every for every, outcome in zip(whole, early, strict=True) if outcome.finished
    ]
    assert max(early, key=lambda outcome: (outcome.finished, outcome.mean)) == max(whole, key=lambda every: every.mean)


def test_round_1_fits_on_the_first_folds_shadows_and_asks_about_all_others() -> None:
    outcome = compare(CANDIDATES)[0]
    assert outcome.aucs == (RECORDS.auc(CANDIDATES[0], halving.SMALL, 0),)
    seen = []

    class Watched(halving.Records):
        def auc(self, candidate: halving.Candidate, fold: int, seed: int) -> float:
            seen.append(fold)
            return super().auc(candidate, fold, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIA_PROCESSES", "1")
        watched = Watched(VALUES, IS_MEMBER, RECORDS.shadow)
        halving.compare(CANDIDATES, watched, 0, halving=True, least=1, description="test")
    assert seen == [halving.SMALL] * 10 + [0] * 4 + [1, 1, 2, 2, 3, 3, 4, 4]


def test_so_many_at_least_are_asked_about_every_fold() -> None:
    for least in (1, 2, 4):
        finished = sum(outcome.finished for outcome in compare(CANDIDATES[6:], least=least))
        assert finished == least


def test_who_cannot_be_fitted_on_a_fifth_goes_on_and_is_left_out_only_where_more_records_do_not_help() -> None:
    """A fifth of 1,500 is 300 records: 400 neighbours need the second round, 5,000 are too many for all."""
    candidates = [*CANDIDATES[:8], ("k_neighbors", {"n_neighbors": 400}), ("k_neighbors", {"n_neighbors": 5000})]
    *_, enough, too_many = compare(candidates)
    assert not enough.reason
    assert len(enough.aucs) in (1, 5)
    assert "Expected n_neighbors <= n_samples_fit" in too_many.reason
    assert not too_many.finished


def test_the_same_on_one_core_and_on_several(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = [*CANDIDATES, ("mlp", {"max_iter": 5}), ("hist_gradient_boosting", {"max_iter": 5})]
    results = []
    for processes in ("1", "3"):
        monkeypatch.setenv("MIA_PROCESSES", processes)
        results.append(compare(candidates))
    assert results[0] == results[1]


def test_the_leaderboard_has_who_was_stopped_last_and_the_later_the_higher() -> None:
    board = halving.leaderboard(
        {"mlp": Outcome((0.9,), 1), "lda": Outcome((0.6, 0.6)), "qda": Outcome((0.8, 0.7), 2), "dummy": Outcome((0.5,))}
    )
    assert board["estimator"].tolist() == ["lda", "dummy", "qda", "mlp"]
    assert board["stopped_in_round"].tolist() == [0, 0, 2, 1]
