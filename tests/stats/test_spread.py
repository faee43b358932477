"""A mean with its spread, and which of some means come first."""

from math import isnan, nan, sqrt

import pytest

from lmd_bench.stats.spread import places, spread


def test_standard_deviation_divides_by_n_minus_one() -> None:
    found = spread([1.0, 3.0])

    assert (found.mean, found.n) == (2.0, 2)
    assert found.sd == pytest.approx(sqrt(2.0), abs=1e-12)  # ((1 + 1) / 1) ** 0.5


def test_one_value_has_no_standard_deviation() -> None:
    found = spread([0.5])

    assert (found.mean, found.n) == (0.5, 1)
    assert isnan(found.sd)


def test_nothing_has_neither_mean_nor_standard_deviation() -> None:
    found = spread([])

    assert isnan(found.mean)
    assert isnan(found.sd)
    assert found.n == 0


def test_an_undefined_value_makes_the_mean_undefined() -> None:
    assert isnan(spread([0.5, nan]).mean)


def test_values_equal_as_shown_share_a_place_and_the_next_has_the_next() -> None:
    assert places([0.5001, 0.4, 0.5004, nan, 0.3]) == [1, 2, 1, 0, 3]


def test_the_lowest_comes_first_where_lower_is_better() -> None:
    assert places([0.2, 0.1], shown=lambda value: f"{value:.2f}", higher_is_better=False) == [2, 1]
