"""Best-so-far curves against every order there is."""

from itertools import permutations
from math import nan

import numpy as np
import pytest

from lmd_bench.stats.best_so_far import best_of_hours, best_of_trials


def _by_orders(values: list[float]) -> np.ndarray:
    """Best so far of every order, orders x trials; -inf where nothing was found yet."""
    orders = np.array(list(permutations(values)))
    return np.maximum.accumulate(np.where(np.isnan(orders), -np.inf, orders), axis=1)


def test_the_expected_best_is_the_mean_over_all_orders() -> None:
    values = [0.3, 0.9, 0.5, 0.5, 0.1]

    curve = best_of_trials(values)

    best = _by_orders(values)
    assert curve.spent.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(curve.mean, best.mean(axis=0))
    np.testing.assert_allclose(curve.found, 1.0)


def test_the_band_holds_nine_orders_in_ten() -> None:
    values = np.random.default_rng(0).uniform(size=7).tolist()

    curve = best_of_trials(values)

    best = _by_orders(values)
    low, high = np.quantile(best, [0.05, 0.95], axis=0, method="inverted_cdf")
    np.testing.assert_allclose(curve.low[:3], low[:3])
    np.testing.assert_allclose(curve.high[:3], high[:3])


def test_the_band_ends_at_half_of_the_trials() -> None:
    """All orders of the same 5 trials end alike: a band of no width there would mean nothing."""
    curve = best_of_trials([0.3, 0.9, 0.5, 0.5, 0.1])

    assert np.isfinite(curve.high[:2]).all()
    assert np.isnan(curve.low[2:]).all()
    assert np.isnan(curve.high[2:]).all()
    assert np.isfinite(curve.mean).all()


def test_failed_trials_use_up_budget_and_are_never_best() -> None:
    curve = best_of_trials([nan, 0.4, nan, 0.8])

    best = _by_orders([nan, 0.4, nan, 0.8])
    found = np.isfinite(best)
    np.testing.assert_allclose(curve.found, found.mean(axis=0))
    expected = np.where(found, best, 0).sum(axis=0) / found.sum(axis=0)
    np.testing.assert_allclose(curve.mean, expected)
    assert np.isnan(curve.low[0])  # half of the orders have found nothing after one trial
    assert curve.high[0] == 0.8


def test_a_study_that_only_failed_has_found_nothing() -> None:
    curve = best_of_trials([nan, nan])

    assert curve.found.tolist() == [0, 0]
    assert np.isnan(curve.mean).all()
    assert np.isnan(curve.high).all()


def test_many_trials_stay_exact() -> None:
    values = np.arange(1000.0).tolist()

    # the expected largest of n out of 0..N-1 without replacement is n (N + 1) / (n + 1) - 1
    n = np.arange(1, 1001)
    np.testing.assert_allclose(best_of_trials(values).mean, n * 1001 / (n + 1) - 1, rtol=1e-8)


def test_hours_of_equal_trials_are_trials() -> None:
    values = [0.3, 0.9, 0.5, 0.4, 0.1]

    by_hours = best_of_hours(values, [2.0] * 5, np.random.default_rng(0), n_orders=20_000)
    by_trials = best_of_trials(values)

    # 50 points on 10 hours: every tenth is the end of a trial
    np.testing.assert_allclose(by_hours.spent[9::10], [2, 4, 6, 8, 10])
    np.testing.assert_allclose(by_hours.mean[9::10], by_trials.mean, atol=0.01)
    assert (by_hours.found[:9] == 0).all()
    np.testing.assert_array_equal(by_hours.high[9:20:10], by_trials.high[:2])


def test_a_slow_good_trial_is_not_found_early() -> None:
    curve = best_of_hours([0.9, 0.2], [9.0, 1.0], np.random.default_rng(0), n_orders=4000)

    by_then = dict(zip(curve.spent.round(1).tolist(), curve.mean.tolist(), strict=True))
    assert by_then[5.0] == pytest.approx(0.2)  # only if the fast one came first
    assert by_then[9.0] == pytest.approx(0.55, abs=0.02)
    assert by_then[10.0] == pytest.approx(0.9)
