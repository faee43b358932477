"""Studies over a range of imbalance factors: which factor a trial draws, and what it is told.

The factor is context and no knob: a sampler that could choose it would choose the easiest. So it is
drawn apart from the sampler, evenly over the levels, and what a trial comes to counts relative to
what the default configuration comes to at its level. The first trials are the default, one a level.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log

from lmd_bench.core.schema import Config
from lmd_bench.core.seeding import derive_seed
from lmd_bench.search.jobs import Row, config_of, value_of
from lmd_bench.stats.monotone import monotone
from lmd_bench.stats.surface import gains_on, over_levels, unit_columns

CAUTION = 1.0  # posterior standard deviations by which a gain on the default counts as less
Values = tuple[float, ...]  # of the objectives
ValuesOf = Callable[[Row], Values | None]  # None of a failed trial


def level_of(number: int, n_levels: int, seed: int) -> int:
    """Return the level of trial `number`; the first trials take the levels in their order.

    The levels are a quasi-random sequence in one dimension, cut into strata: each block of as many
    trials as there are levels visits each level once, in an order of its own. What a trial draws so
    depends on its number alone, whatever the sampler, and a finite space runs out at all levels at
    once.
    """
    block, place = divmod(number, n_levels)
    if block == 0:
        return place
    order = list(range(n_levels))
    random.Random(derive_seed(seed, "levels", block)).shuffle(order)
    return order[place]


class Baseline:
    """What the default configuration comes to at each level: a monotone curve over log factor."""

    def __init__(
        self, defaults: Mapping[int, Values], factors: Sequence[float], n_objectives: int
    ) -> None:
        """Fit the curve.

        Args:
            defaults: Level -> what the default came to there; a level where it failed is absent.
            factors: Of all levels.
            n_objectives: In each of the values.
        """
        known = sorted(defaults)
        where = [log(factors[level]) for level in known]
        every = [log(factor) for factor in factors]
        # Without any default that ended well there is nothing to be relative to.
        curves = [
            monotone(where, [defaults[level][place] for level in known], every)
            if known
            else [0.0] * len(factors)
            for place in range(n_objectives)
        ]
        self._at = [tuple(curve[level] for curve in curves) for level in range(len(factors))]

    def relative(self, values: Values, level: int) -> Values:
        """Return how much better than the default values are at a level."""
        return tuple(v - base for v, base in zip(values, self._at[level], strict=True))


def fit_baseline(
    rows: Iterable[Row],
    level: Callable[[Row], int],
    factors: Sequence[float],
    values: ValuesOf,
    n_objectives: int,
) -> Baseline:
    """Return the baseline of search rows; those of the default alone count."""
    defaults = {
        level(row): found
        for row in rows
        if row["is_default"] and (found := values(row)) is not None
    }
    return Baseline(defaults, factors, n_objectives)


def relative_scores(
    rows: Sequence[Row],
    level: Callable[[Row], int],
    factors: Sequence[float],
    score: Callable[[Row], float | None] = value_of,
) -> dict[str, float]:
    """Return the score of each row that has one less the default's at its level, by key."""

    def values(row: Row) -> Values | None:
        return None if (value := score(row)) is None else (value,)

    baseline = fit_baseline(rows, level, factors, values, 1)
    return {
        row["key"]: baseline.relative(found, level(row))[0]
        for row in rows
        if (found := values(row)) is not None
    }


def best_over_levels(
    rows: Sequence[Row], level: Callable[[Row], int], factors: Sequence[float], robust: str
) -> Row | None:
    """Return the search row whose configuration is best over all levels; None if none ended well.

    A configuration was tried at the level that it drew. What it gains on the default at that level
    and at the others is taken from a surface over hyperparameters and log factor, fitted to all
    trials. The best of many predictions is partly luck, so what counts is the gain less one
    posterior standard deviation of it, and the default stays where that is above nothing for none.

    Args:
        rows: Of the search of one study.
        level: Gives the level of a row.
        factors: Of all levels.
        robust: `mean` of the gain over the levels, or the `worst` of them.
    """
    judged = sorted(
        (row for row in rows if value_of(row) is not None), key=lambda row: int(row["trial_number"])
    )
    if not judged:
        return None
    configs: list[Config] = [config_of(row) for row in judged]
    x, of_row = unit_columns(configs).values, [level(row) for row in judged]
    scores, places = _less_the_usual(judged, of_row, factors), [log(factor) for factor in factors]
    default = next((n for n, row in enumerate(judged) if row["is_default"]), None)
    if default is None:
        # It failed at every level, so there is nothing to be guarded.
        predicted = over_levels(x, of_row, scores, places)
        of_config = predicted.min(axis=1) if robust == "worst" else predicted.mean(axis=1)
        return judged[int(of_config.argmax())]
    gains = gains_on(x, of_row, scores, places, default)
    if robust == "worst":
        sure = (gains.mean - CAUTION * gains.sd).min(axis=1)
    else:
        sure = gains.mean.mean(axis=1) - CAUTION * gains.sd_over_levels
    best = int(sure.argmax())
    return judged[best] if sure[best] > 0.0 else judged[default]


def _less_the_usual(
    rows: Sequence[Row], levels: Sequence[int], factors: Sequence[float]
) -> list[float]:
    """Return the score of each row less what is usual at its level, a monotone curve over factors.

    Less the default's own score at that level, whatever that one run was lucky in would count for
    or against all others there.
    """
    by_level: dict[int, list[float]] = {}
    for row, of in zip(rows, levels, strict=True):
        by_level.setdefault(of, []).append(value_of(row) or 0.0)
    known = sorted(by_level)
    usual = monotone(
        [log(factors[of]) for of in known],
        [sum(by_level[of]) / len(by_level[of]) for of in known],
        [log(factor) for factor in factors],
    )
    return [(value_of(row) or 0.0) - usual[of] for row, of in zip(rows, levels, strict=True)]
