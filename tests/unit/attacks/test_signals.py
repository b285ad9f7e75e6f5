"""Signals equal their definitions where those can be computed, and keep their order where they cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mia.attacks import features, signals
from mia.catalogue import BY_NAME, wanted
from mia.errors import InputError

MODERATE = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(2, 7)), elements=st.floats(-9, 9, width=32))


def slow(logits: list[float], label: int) -> dict[str, float]:
    """The definitions, one record, plain floats: Yeom et al. 2018; Carlini et al. 2022; Song & Mittal 2021, Eq. 8."""
    total = math.fsum(math.exp(z) for z in logits)
    p = [math.exp(z) / total for z in logits]
    top = max(range(len(p)), key=lambda i: logits[i])

    def not_p(i: int) -> float:
        return math.fsum(math.exp(z) for j, z in enumerate(logits) if j != i) / total

    return {
        "loss": -math.log(p[label]),
        "margin": math.log(p[label]) - math.log(not_p(label)),
        "confidence": math.log(p[top]) - math.log(not_p(top)),
        "entropy": -math.fsum(q * math.log(q) for q in p),
        "modified_entropy": -not_p(label) * math.log(p[label])
        - math.fsum(q * math.log(not_p(i)) for i, q in enumerate(p) if i != label),
        "correctness": float(top == label),
    }


@given(MODERATE, st.integers(0, 100))
def test_signals_equal_their_definitions(logits: np.ndarray[tuple[int, int], np.dtype[np.float32]], pick: int) -> None:
    labels = (np.arange(len(logits)) + pick) % logits.shape[1]
    got = signals.all_signals(logits, labels)
    for row, label in enumerate(labels):
        for name, value in slow([float(z) for z in logits[row]], int(label)).items():
            assert got[name][row] == pytest.approx(value, rel=1e-9, abs=1e-9), name


def test_no_signal_saturates_where_a_float32_posterior_does() -> None:
    logits = np.array([[40.0, 0.0], [60.0, 0.0], [90.0, 0.0]], np.float32)  # p_y rounds to 1 in float64 as well
    got = signals.all_signals(logits, np.zeros(3, np.int64))
    assert (np.diff(got["margin"]) > 0).all()
    assert (np.diff(got["confidence"]) > 0).all()
    assert (np.diff(got["loss"]) < 0).all()
    assert (got["loss"] > 0).all()
    assert (np.diff(got["modified_entropy"]) < 0).all()


def test_extreme_logits_give_finite_signals() -> None:
    logits = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 0], [5, 5, 5]], np.float32)
    for values in signals.all_signals(logits, np.array([0, 0, 2])).values():
        assert np.isfinite(values).all()


def test_every_threshold_attack_ranks_a_sure_and_right_record_first() -> None:
    """The sign of every score: a record the model is sure and right about is the likeliest member."""
    logits = np.array([[9.0, 0, 0], [1.0, 0.5, 0], [0.2, 0.3, 0.1]], np.float32)
    seen = signals.all_signals(logits, np.zeros(3, np.int64)) | {"views_right": np.array([1.0, 0.5, 0.0])}
    for attack in wanted("all", "threshold"):
        scores = BY_NAME[attack].load()(seen)
        assert scores[0] == scores.max(), attack
        assert scores[0] > scores[2], attack


def test_features_are_named_in_one_order_and_found_again() -> None:
    logits = np.array([[2.0, 0, 1], [0, 3, 1]], np.float32)
    frame = features.compute(logits, np.array([0, 1]), ["label", "posteriors"])
    assert list(frame.columns) == [
        *signals.NAMES,
        *(f"posterior_{i}" for i in range(3)),
        *(f"label_{i}" for i in range(3)),
    ]
    assert features.chosen(frame.columns, ["posteriors"]) == ["posterior_0", "posterior_1", "posterior_2"]
    assert features.chosen(frame.columns, ["signals"]) == list(signals.NAMES)
    np.testing.assert_allclose(frame[features.chosen(frame.columns, ["posteriors"])].sum(axis=1), 1)
    assert frame[features.chosen(frame.columns, ["label"])].to_numpy().tolist() == [[1, 0, 0], [0, 1, 0]]


def test_sorted_posteriors_do_not_know_the_class() -> None:
    logits = np.array([[2.0, 0, 1]], np.float32)
    frames = [
        features.compute(logits[:, order], np.array([0]), ["sorted_posteriors"]) for order in ([0, 1, 2], [2, 0, 1])
    ]
    names = features.chosen(frames[0].columns, ["sorted_posteriors"])
    np.testing.assert_array_equal(frames[0][names], frames[1][names])
    assert (np.diff(frames[0][names].to_numpy()[0]) < 0).all()


def test_features_that_were_not_made_are_missed_by_name() -> None:
    with pytest.raises(InputError, match="no column of sorted_posteriors"):
        features.chosen(["posterior_0", "loss"], ["sorted_posteriors"])
