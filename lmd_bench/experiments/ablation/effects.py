"""Effects as contrasts: weights of the cells, whose weighted sum of scores is the effect.

With y(S) the score of the cell in which the toggles S are on, and n points in the design:

    main effect of i        mean of y where i is on, less the mean where it is off
    interaction of i and j  half of: i's effect where j is on, less i's effect where j is off
    Shapley value of i      sum over S without i of |S|! (k - |S| - 1)! / k! (y(S + i) - y(S))

The Shapley values of all toggles add up to y(all) - y(none). They need every combination.

Papers: Box, Hunter and Hunter, Statistics for Experimenters, 2005, chapter 5; Shapley, A value for
n-person games, 1953. URL: https://doi.org/10.1515/9781400881970-018
"""

from collections.abc import Sequence
from math import factorial, prod

from lmd_bench.experiments.ablation.factorial import Levels, factors_of

MOST_SHAPLEY = 6  # toggles whose exact shares are given: 64 cells


def effect_weights(points: Sequence[Levels], effect: int) -> tuple[float, ...]:
    """Return the contrast of a main effect or an interaction over the points of a design.

    Each point counts 2 / n, with the product of the levels (+1 on, -1 off) of the effect's factors
    as its sign; the points must balance them, as those of a factorial do.
    """
    factors = factors_of(effect)
    signs = [prod(1 if levels[factor] else -1 for factor in factors) for levels in points]
    assert sum(signs) == 0, "an effect is read from as many points of either sign"
    return tuple(2.0 * sign / len(points) for sign in signs)


def shapley_weights(points: Sequence[Levels], factor: int) -> tuple[float, ...]:
    """Return the contrast of a toggle's Shapley value over the points of a full factorial."""
    k = len(points[0])
    assert len(set(points)) == 2**k, "Shapley values need every combination of the toggles"
    weights: list[float] = []
    for levels in points:
        others = sum(levels) - levels[factor]
        weight = factorial(others) * factorial(k - others - 1) / factorial(k)
        weights.append(weight if levels[factor] else -weight)
    return tuple(weights)


def total_weights(points: Sequence[Levels]) -> tuple[float, ...]:
    """Return the contrast of all toggles on less all off, what the Shapley values add up to."""
    return tuple(float(all(levels)) - float(not any(levels)) for levels in points)
