"""Aggregates over data sets by hand; what they do over real rows is in the tests of `ranks`."""

import numpy as np
import pytest

from lmd_bench.stats.aggregates import improvement_probability


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
