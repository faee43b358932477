"""What a search had found by then: its best value against trials or hours, over their orders.

Orders of the same N trials all end at the same best, so near the end their band is narrow however
little is known of other searches. It is given up to half of what was spent, and ends there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

BAND = (0.05, 0.95)  # of the orders
N_ORDERS = 1000
N_POINTS = 50  # of a curve against hours


@dataclass(frozen=True, eq=False)
class Curve:
    """Best so far against what was spent; arrays of one length."""

    spent: Float[np.ndarray, " points"]
    mean: Float[np.ndarray, " points"]  # of the orders in which anything is found by then
    # 5 % of all orders lie below; NaN where they found nothing, and in the second half
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    found: Float[np.ndarray, " points"]  # chance that any trial ended well by then


def best_of_trials(values: Sequence[float]) -> Curve:
    """Return the best of the first 1 to N trials over all their orders; NaN is a failed one."""
    descending = np.sort([value for value in values if not isnan(value)])[::-1]
    n_all = len(values)
    rank = np.arange(len(descending))  # from 0
    drawn = np.arange(1, n_all + 1)[:, None]
    # none of the `rank` better ones is among the drawn: C(N - rank, n) / C(N, n)
    none_better = np.exp(_log_choose(n_all - rank, drawn) - _log_choose(n_all, drawn))
    none_found = np.exp(_log_choose(n_all - len(descending), drawn) - _log_choose(n_all, drawn))
    chances = -np.diff(np.column_stack([none_better, none_found]), axis=1)  # of each to be best
    return _curve(drawn[:, 0].astype(np.float64), descending, chances)


def best_of_hours(
    values: Sequence[float],
    costs: Sequence[float],
    generator: np.random.Generator,
    n_orders: int = N_ORDERS,
) -> Curve:
    """Return the best of the trials that end by a time, over random orders.

    Args:
        values: Score of each trial; NaN is a failed one.
        costs: What each cost, in the unit of the curve.
        generator: Draws the orders.
        n_orders: Orders to draw.
    """
    value, price = np.array(values, dtype=np.float64), np.array(costs, dtype=np.float64)
    orders = generator.permuted(np.tile(np.arange(len(value)), (n_orders, 1)), axis=1)
    ends = np.cumsum(price[orders], axis=1)
    descending = np.sort(value[~np.isnan(value)])[::-1]
    nothing = len(descending)
    place = np.where(np.isnan(value), nothing, np.searchsorted(-descending, -value))
    best = np.minimum.accumulate(place[orders], axis=1)  # place of the best so far
    best = np.column_stack([np.full(n_orders, nothing), best])  # after 0, 1, ... trials
    spent = np.linspace(0.0, float(price.sum()), N_POINTS + 1)[1:]
    chances = np.zeros((N_POINTS, nothing))
    for point, limit in enumerate(spent):
        n_done = (ends <= limit * (1 + 1e-9)).sum(axis=1)
        reached = best[np.arange(n_orders), n_done]
        chances[point] = np.bincount(reached, minlength=nothing + 1)[:nothing] / n_orders
    return _curve(spent, descending, chances)


def _curve(
    spent: Float[np.ndarray, " points"],
    descending: Float[np.ndarray, " values"],
    chances: Float[np.ndarray, "points values"],
) -> Curve:
    """Return the curve of distributions over values that begin with the best."""
    any_ended = chances.sum(axis=1)
    total = np.where(any_ended > 0, any_ended, np.nan)
    mean = np.where(any_ended > 1e-12, (chances @ descending) / total, np.nan)
    told = spent <= spent[-1] / 2 * (1 + 1e-9)
    low, high = (np.where(told, _quantile(descending, chances, share), np.nan) for share in BAND)
    return Curve(spent, mean, low, high, np.minimum(any_ended, 1.0))


def _quantile(
    descending: Float[np.ndarray, " values"],
    chances: Float[np.ndarray, "points values"],
    share: float,
) -> Float[np.ndarray, " points"]:
    """Return the smallest value with at least `share` of the orders at or below it.

    Orders that found nothing lie below all values; where they reach `share`, it is NaN.
    """
    above = np.cumsum(chances, axis=1) - chances  # chance of a better one
    reached = 1 - above >= share - 1e-9
    last = reached.sum(axis=1) - 1  # `above` rises, so these come first
    values = np.append(descending, np.nan)
    nothing = 1 - chances.sum(axis=1) >= share - 1e-9
    return np.where(nothing, np.nan, values[np.where(nothing, len(descending), last)])


def _log_choose(n: np.ndarray | int, k: np.ndarray) -> Float[np.ndarray, "..."]:
    """Return log of n over k, minus infinity where k > n."""
    n = np.asarray(n)
    rest = np.maximum(n - k, 0)
    value = gammaln(n + 1) - gammaln(k + 1) - gammaln(rest + 1)
    return np.where(k > n, -np.inf, value)
