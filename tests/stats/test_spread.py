"""A mean with its spread."""

from math import isnan, nan, sqrt

import pytest

from lmd_bench.stats.spread import spread


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


def test_a_value_that_is_missing_makes_the_mean_undefined() -> None:
    assert isnan(spread([0.5, None]).mean)
