"""Aggregates over data sets by hand; what they do over real rows is in the tests of `ranks`."""

import numpy as np
import pytest
from scipy.stats import trim_mean

from lmd_bench.stats.aggregates import (
    above_chance,
    elo,
    improvability,
    improvement_probability,
    interquartile_mean,
    mean_win_rates,
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


def test_a_method_wins_its_share_of_rivals_and_one_alone_has_none() -> None:
    assert mean_win_rates(np.array([[0.5, 0.4], [0.3, 0.3]])) == pytest.approx([0.75, 0.25])
    assert np.isnan(mean_win_rates(np.array([[0.5]]))).tolist() == [True]


def test_the_error_that_could_be_spared_is_of_each_data_set_by_itself() -> None:
    # Errors .2 and .4, then .9 and .6: the best of one data set says nothing of the other.
    shares = improvability(np.array([[0.8, 0.6], [0.1, 0.4]]))
    assert shares == pytest.approx([(0 + 1 / 3) / 2, (1 / 2 + 0) / 2])


def test_the_strengths_of_two_are_the_odds_of_their_games() -> None:
    # Three of four games are won, and one more is drawn: 3.5 against 1.5.
    found = elo(np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]))
    assert found[0] - found[1] == pytest.approx(400 * np.log10(3.5 / 1.5))
    assert found.mean() == pytest.approx(1000)


def test_each_method_has_a_profile_of_its_own_weights() -> None:
    scores, weights = np.array([[0.1, 0.9], [0.1, 0.9]]), np.array([[1.0, 1.0], [1.0, 3.0]])
    assert performance_profile(scores, weights, np.array([0.5]))[:, 0] == pytest.approx([0.5, 0.75])
