"""Two-level designs against the published table of Box, Hunter and Hunter (2005, table 6.22)."""

from itertools import combinations, product
from math import prod

import pytest

from lmd_bench.experiments.ablation.factorial import (
    aliases,
    factors_of,
    fraction,
    full,
    small_effects,
)


def signs(levels, effect):
    return prod(1 if levels[factor] else -1 for factor in factors_of(effect))


def test_a_full_factorial_holds_every_combination_once_all_on_first():
    plan = full(3)
    assert set(plan.points) == set(product((True, False), repeat=3))
    assert len(plan.points) == 8
    assert plan.points[0] == (True, True, True)
    assert plan.resolution is None


@pytest.mark.parametrize(
    ("n_factors", "resolution", "n_points"),
    [(3, 3, 4), (7, 3, 8), (15 - 4, 3, 16), (4, 4, 8), (8, 4, 16), (9, 4, 32), (5, 5, 16)]
    + [(6, 5, 32), (8, 5, 64), (10, 5, 128)],
)
def test_a_fraction_is_as_small_as_the_published_one(n_factors, resolution, n_points):
    plan = fraction(n_factors, resolution)
    assert len(plan.points) == n_points
    assert plan.resolution is not None
    assert plan.resolution >= resolution


def test_half_of_three_factors_can_be_written_by_hand():
    plan = fraction(3, least_resolution=3)  # C = AB
    assert set(plan.points) == {
        (True, True, True),
        (True, False, False),
        (False, True, False),
        (False, False, True),
    }
    assert plan.generators == (0b111,)
    assert plan.resolution == 3
    assert aliases(plan.words, 0b001) == [0b110]  # A = BC


def test_in_half_of_four_factors_pairs_of_interactions_are_one():
    plan = fraction(4, least_resolution=4)  # D = ABC
    assert plan.words == (0b1111,)
    assert [e for e in aliases(plan.words, 0b0011) if e.bit_count() == 2] == [0b1100]  # AB = CD
    assert [e for e in aliases(plan.words, 0b0001) if e.bit_count() <= 2] == []


@pytest.mark.parametrize(("n_factors", "resolution"), [(5, 3), (6, 4), (7, 3), (9, 4)])
def test_effects_are_aliased_exactly_where_their_columns_are_equal(n_factors, resolution):
    plan = fraction(n_factors, resolution)
    columns = {
        e: tuple(signs(levels, e) for levels in plan.points) for e in small_effects(n_factors)
    }
    for one, other in combinations(columns, 2):
        dot = sum(a * b for a, b in zip(columns[one], columns[other], strict=True))
        same = other in aliases(plan.words, one)
        assert dot == (len(plan.points) if same else 0)


def test_where_no_fraction_will_do_the_design_is_full():
    assert fraction(3, least_resolution=4).points == full(3).points
