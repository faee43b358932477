"""Aggregates over data sets by hand; what they do over real rows is in the tests of `ranks`."""

import numpy as np
import pytest
from scipy.stats import trim_mean

from lmd_bench.stats.aggregates import (
    above_chance,
    improvement_probability,
    interquartile_mean,
    performance_profile,
)


def test_the_chance_of_beating_another_method_counts_ties_half() -> None:
    runs = [[[0.5, 0.7], [0.6]], [[0.8], [0.8, 0.2]]]
    # Of two pairs one is won; then one is a tie and one is won.
    assert improvement_probability(runs) == pytest.approx([(0.5 + 0.75) / 2, (0.5 + 0.25) / 2])


def test_a_method_without_runs_is_no_rival() -> None:
    chances = improvement_probability([[[0.5], [0.6], []], [[0.5], [0.4], [0.9]]])
    # The first beat the second once of twice, and lost to the third where that one ran.
    assert chances[:2] == pytest.approx([1 / 3, 1 / 3])
    assert chances[2] == 1.0
    assert np.isnan(improvement_probability([[[0.5], []]])).all()


def test_the_interquartile_mean_is_the_trimmed_mean_where_four_divides_the_runs() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 24))
    expected = trim_mean(scores, 0.25, axis=1)
    assert interquartile_mean(scores, np.ones(24)) == pytest.approx(expected)


def test_a_run_at_the_edge_of_the_middle_half_counts_with_its_part_inside() -> None:
    # Of five runs the middle half is three quarters of the second and fourth, and the third.
    scores = np.array([9.0, 1.0, 2.0, 3.0, -9.0])
    assert interquartile_mean(scores, np.ones(5)) == pytest.approx((0.75 + 2 + 0.75 * 3) / 2.5)


def test_a_weight_counts_as_so_many_runs() -> None:
    twice = interquartile_mean(np.array([1.0, 2.0, 4.0, 8.0, 16.0]), np.array([2, 1, 0, 3, 2.0]))
    listed = interquartile_mean(np.array([1, 1, 2, 8, 8, 8, 16, 16.0]), np.ones(8))
    assert twice == pytest.approx(listed)


def test_of_fewer_than_four_runs_the_interquartile_mean_is_the_mean() -> None:
    assert interquartile_mean(np.array([0.1, 0.2, 0.9]), np.ones(3)) == pytest.approx(0.4)


def test_a_profile_is_the_share_of_runs_above_each_threshold() -> None:
    scores, thresholds = np.array([0.1, 0.3, 0.3, 0.7]), np.array([0.0, 0.3, 0.6, 0.8])
    shares = performance_profile(scores, np.array([1, 1, 1, 3.0]), thresholds)
    assert shares == pytest.approx([1, 1 / 2, 1 / 2, 0])


def test_chance_is_0_and_all_right_is_1_whatever_the_classes() -> None:
    assert above_chance(np.array([1 / 7, 4 / 7, 1.0]), 7) == pytest.approx([0, 1 / 2, 1])
    assert above_chance(np.array([0.5]), 2) == pytest.approx([0])
