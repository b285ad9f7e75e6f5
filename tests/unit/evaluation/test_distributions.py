"""Ranks, tails and tests without scipy.stats are those of scipy.stats."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from mia.evaluation import distributions

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1,), (50,), (3, 40), (2, 1)])
@pytest.mark.parametrize("values", [2, 10, 10**9], ids=["two values", "ties", "no ties"])
def test_ranks(shape: tuple[int, ...], values: int) -> None:
    rows = RNG.integers(0, values, shape).astype(np.float64)
    np.testing.assert_array_equal(distributions.ranks(rows), scipy.stats.rankdata(rows, axis=-1))
    np.testing.assert_array_equal(distributions.least_ranks(rows), scipy.stats.rankdata(rows, method="min", axis=-1))


def test_tails_are_the_same_to_the_bit() -> None:
    for p in (1e-300, 0.0001, 0.025, 0.5, 0.9):
        assert distributions.normal_quantile(p) == scipy.stats.norm.isf(p)
        assert -distributions.normal_quantile(p) == scipy.stats.norm.ppf(p)
    for z in (-3.0, 0.0, 1.96, 30.0):
        assert distributions.normal_above(z) == scipy.stats.norm.sf(z)
    for value, degrees in ((0.0, 1), (3.2, 9), (80.0, 99)):
        assert distributions.chi_squared_above(value, degrees) == scipy.stats.chi2.sf(value, degrees)
    x = np.linspace(0, 1, 101)
    np.testing.assert_array_equal(distributions.beta_at_most(x, 5, 96), scipy.stats.beta.cdf(x, 5, 96))


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 50), (7, 50), (50, 50), (400, 30_000)])
def test_binomial_tails(k: int, n: int) -> None:
    p = np.linspace(0, 1, 51)
    np.testing.assert_allclose(distributions.binomial_at_most(k, n, p), scipy.stats.binom.cdf(k, n, p), 1e-12, 1e-300)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (3, 3), (10, 2), (2, 10), (120, 77), (5000, 5200)])
def test_sign_test(a: int, b: int) -> None:
    expected = scipy.stats.binomtest(a, a + b).pvalue if a + b else 1.0
    assert distributions.sign_test(a, b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 30), (8, 9), (9, 9), (40, 25)])
@pytest.mark.parametrize("values", [1, 3, 10**9], ids=["one value", "ties", "no ties"])
def test_mann_whitney(m: int, n: int, values: int) -> None:
    for _ in range(20):
        x, y = (RNG.integers(0, values, size).astype(np.float64) for size in (m, n))
        assert distributions.mann_whitney(x, y) == scipy.stats.mannwhitneyu(x, y).pvalue


def test_stages_that_measure_and_report_do_not_import_what_takes_long() -> None:
    slow = {"scipy.stats", "sklearn", "torch", "joblib"}
    environment = {"PYTHONPATH": ":".join(sys.path)}
    for stage in ("evaluate", "report"):
        program = f"import sys, stages.{stage}; print({slow} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
        assert done.stdout == "set()\n", done.stderr
