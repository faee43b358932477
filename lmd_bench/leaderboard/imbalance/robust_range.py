"""The range of imbalance factors in which a method is within its own spread of the best.

At one factor, a method is within its spread of the best where its mean falls short of the best
mean by no more than its own standard deviation over retraining seeds; the best is always. Of one
seed there is no spread, so a method that is not the best is then not known to be within it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal

from lmd_bench.leaderboard.imbalance.curves import Curve, Curves

Within = bool | None  # None: not known


@dataclass(frozen=True)
class RobustRange:
    """One method of one family, factor by factor."""

    family: str
    label: str
    names: tuple[str, ...]  # of all factors of the family, rising
    shortfall: tuple[float, ...]  # of the best mean, 0 for the best; NaN where not confirmed
    sd: tuple[float, ...]  # the method's own, over seeds
    within: tuple[Within, ...]

    @property
    def ranges(self) -> tuple[tuple[str, str], ...]:
        """Return the first and last factor of each unbroken run in which it is within."""
        runs: list[tuple[str, str]] = []
        open_run = False
        for name, inside in zip(self.names, self.within, strict=True):
            if inside:
                runs[-1:] = [(runs[-1][0], name)] if open_run else [*runs[-1:], (name, name)]
            open_run = inside is True
        return tuple(runs)

    @property
    def n_within(self) -> int:
        """Return at how many factors it is within."""
        return sum(inside is True for inside in self.within)


def within_spread(
    means: Sequence[float], sds: Sequence[float], better: Literal[1, -1]
) -> tuple[list[float], list[Within]]:
    """Return by how much each method falls short of the best, and whether its own SD covers that.

    Args:
        means: Of each method at one factor; NaN where it is not confirmed.
        sds: Over seeds; NaN of a single one.
        better: 1 where higher is better, else -1.
    """
    known = [better * mean for mean in means if not isnan(mean)]
    if not known:
        return [float("nan")] * len(means), [None] * len(means)
    shortfall = [max(known) - better * mean for mean in means]
    pairs = zip(shortfall, sds, strict=True)
    return shortfall, [_within(short, sd) for short, sd in pairs]


def robust_ranges(curves: Curves, better: Literal[1, -1]) -> list[RobustRange]:
    """Return the range of every method, in each family the one within at most factors first."""
    all_ranges: list[RobustRange] = []
    for family, methods in curves.items():
        points = {p.study.task: p for curve in methods.values() for p in curve}
        tasks = sorted(points, key=lambda task: points[task].factor)
        at: dict[str, list[tuple[float, float, Within]]] = {label: [] for label in methods}
        for task in tasks:
            spreads = [_spread_at(methods[label], task) for label in methods]
            means, sds = [mean for mean, _ in spreads], [sd for _, sd in spreads]
            short, within = within_spread(means, sds, better)
            for label, value, (_, sd), inside in zip(methods, short, spreads, within, strict=True):
                at[label].append((value, sd, inside))
        names = tuple(points[task].name for task in tasks)
        ranges = [
            RobustRange(family, label, names, *(tuple(c) for c in zip(*lines, strict=True)))
            for label, lines in at.items()
        ]
        all_ranges += sorted(ranges, key=lambda robust: (-robust.n_within, robust.label))
    return all_ranges


def _spread_at(curve: Curve, task: str) -> tuple[float, float]:
    for point in curve:
        if point.study.task == task:
            return point.spread.mean, point.spread.sd
    return float("nan"), float("nan")


def _within(shortfall: float, sd: float) -> Within:
    if isnan(shortfall):
        return None
    if shortfall == 0:
        return True
    return None if isnan(sd) else shortfall <= sd
