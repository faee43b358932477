"""Contrasts against hand-worked numbers, a formula, and scores made from planted effects."""

from itertools import permutations

import numpy as np
import pytest

from lmd_bench.experiments.ablation.contrasts import effect_weights, shapley_weights, total_weights
from lmd_bench.experiments.ablation.factorial import fraction, full

# BHH 2005, section 5.2: the pilot plant, yield for (temperature, concentration, catalyst)
YIELD = {
    (False, False, False): 60,
    (True, False, False): 72,
    (False, True, False): 54,
    (True, True, False): 68,
    (False, False, True): 52,
    (True, False, True): 83,
    (False, True, True): 45,
    (True, True, True): 80,
}


def value(weights, points, scores):
    return sum(weight * scores[levels] for weight, levels in zip(weights, points, strict=True))


@pytest.mark.parametrize(
    ("effect", "expected"),
    [(0b001, 23.0), (0b010, -5.0), (0b100, 1.5), (0b011, 1.5), (0b101, 10.0), (0b110, 0.0)],
)
def test_the_pilot_plant_has_the_effects_that_the_book_gives(effect, expected):
    points = full(3).points
    assert value(effect_weights(points, effect), points, YIELD) == pytest.approx(expected)


def test_shares_of_two_toggles_can_be_worked_by_hand():
    points = full(2).points
    scores = {(True, True): 10.0, (True, False): 6.0, (False, True): 1.0, (False, False): 2.0}
    first = (6 - 2) / 2 + (10 - 1) / 2
    second = (1 - 2) / 2 + (10 - 6) / 2
    assert value(shapley_weights(points, 0), points, scores) == pytest.approx(first)
    assert value(shapley_weights(points, 1), points, scores) == pytest.approx(second)
    assert first + second == value(total_weights(points), points, scores)


def test_a_share_is_the_mean_gain_over_all_orders_of_switching_on():
    rng = np.random.default_rng(0)
    points = full(4).points
    scores = {levels: rng.normal() for levels in points}
    gains = np.zeros(4)
    for order in permutations(range(4)):
        levels = [False] * 4
        for factor in order:
            before = scores[tuple(levels)]
            levels[factor] = True
            gains[factor] += scores[tuple(levels)] - before
    for factor in range(4):
        found = value(shapley_weights(points, factor), points, scores)
        assert found == pytest.approx(gains[factor] / 24)


def test_a_toggle_without_effect_has_no_share_and_equal_toggles_have_equal_ones():
    points = full(3).points
    scores = {
        levels: float(levels[0] + levels[1] + 3 * (levels[0] and levels[1])) for levels in points
    }
    shares = [value(shapley_weights(points, i), points, scores) for i in range(3)]
    assert shares == pytest.approx([2.5, 2.5, 0.0])


def planted(levels):
    """Return a score with main effects 4, -2, 1, .5, 0 and one interaction of factors 0 and 2."""
    sign = [1 if on else -1 for on in levels]
    mains = (4.0, -2.0, 1.0, 0.5, 0.0)
    return (
        50 + sum(m / 2 * s for m, s in zip(mains, sign, strict=True)) + 1.5 / 2 * sign[0] * sign[2]
    )


@pytest.mark.parametrize("plan", [full(5), fraction(5, 5)])
def test_planted_effects_are_found_again(plan):
    scores = {levels: planted(levels) for levels in plan.points}
    found = [value(effect_weights(plan.points, 1 << i), plan.points, scores) for i in range(5)]
    assert found == pytest.approx([4.0, -2.0, 1.0, 0.5, 0.0])
    assert value(effect_weights(plan.points, 0b101), plan.points, scores) == pytest.approx(1.5)
    assert value(effect_weights(plan.points, 0b110), plan.points, scores) == pytest.approx(0.0)


def test_what_a_fraction_cannot_tell_apart_is_shown_as_the_sum():
    plan = fraction(3, least_resolution=3)  # C = AB
    scores = {
        levels: 3.0 / 2 * (1 if levels[2] else -1) + 2.0 / 2 * (1 if levels[0] == levels[1] else -1)
        for levels in plan.points
    }
    assert value(effect_weights(plan.points, 0b100), plan.points, scores) == pytest.approx(5.0)


def test_a_fraction_has_no_shares():
    with pytest.raises(AssertionError, match="every combination"):
        shapley_weights(fraction(4, 4).points, 0)
