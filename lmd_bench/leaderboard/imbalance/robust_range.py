"""The range of imbalance factors in which a method is as good as the best, but for a margin.

At one factor, a method is within the margin where it is shown not to be inferior: the one-sided
95 % bound of the best less the method, paired, over test images and retrainings together, lies
below the margin. It is outside where the other bound lies above it, and else not known. So what
retrains unevenly is not known to be as good; it does not gain by its noise. The best is the highest
mean, and which method that is has noise of its own.

Paper: Piaggio and others, Reporting of noninferiority and equivalence randomized trials: extension
of the CONSORT 2010 statement, JAMA 2012. URL: https://doi.org/10.1001/jama.2012.87802
"""

from dataclasses import dataclass
from math import isnan, nan
from typing import Literal

from lmd_bench.leaderboard.imbalance.crossings import Paired
from lmd_bench.leaderboard.imbalance.curves import Curve, Curves, Point
from lmd_bench.stats.joint import Joint

Within = bool | None  # None: not known


@dataclass(frozen=True)
class RobustRange:
    """One method of one family, factor by factor."""

    family: str
    label: str
    names: tuple[str, ...]  # of all factors of the family, rising
    shortfall: tuple[float, ...]  # of the best mean, 0 for the best; NaN where not confirmed
    upper: tuple[float, ...]  # one-sided 95 % bound of the shortfall; NaN where not known
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


def within_margin(shortfall: Joint, margin: float) -> Within:
    """Return whether the best less a method is shown to be below a margin, or above it."""
    if isnan(shortfall.se):
        return None
    if shortfall.bound(upper=True) < margin:
        return True
    return False if shortfall.bound(upper=False) > margin else None


def robust_ranges(
    curves: Curves, better: Literal[1, -1], paired: Paired, margin: float
) -> list[RobustRange]:
    """Return the range of every method, in each family the one within at most factors first.

    Args:
        curves: Of any number of families.
        better: 1 where higher is better, else -1.
        paired: Gives the first less the other with its intervals, as the metric has it.
        margin: That a method may fall short of the best.
    """
    all_ranges: list[RobustRange] = []
    for family, methods in curves.items():
        points = {p.task: p for curve in methods.values() for p in curve}
        tasks = sorted(points, key=lambda task: points[task].factor)
        at: dict[str, list[tuple[float, float, Within]]] = {label: [] for label in methods}
        for task in tasks:
            of_task = {label: _at(curve, task) for label, curve in methods.items()}
            means = {name: better * p.spread.mean for name, p in of_task.items() if p is not None}
            known = {name: mean for name, mean in means.items() if not isnan(mean)}
            best = max(known, key=lambda name: known[name], default="")
            for label, point in of_task.items():
                at[label].append(_shortfall(of_task.get(best), point, better, paired, margin))
        names = tuple(points[task].name for task in tasks)
        ranges = [
            RobustRange(family, label, names, *(tuple(c) for c in zip(*lines, strict=True)))
            for label, lines in at.items()
        ]
        all_ranges += sorted(ranges, key=lambda robust: (-robust.n_within, robust.label))
    return all_ranges


def _at(curve: Curve, task: str) -> Point | None:
    return next((point for point in curve if point.task == task), None)


def _shortfall(
    best: Point | None, point: Point | None, better: int, paired: Paired, margin: float
) -> tuple[float, float, Within]:
    """Return by how much a method falls short of the best, its bound, and whether it is within."""
    if best is None or point is None or isnan(point.spread.mean):
        return nan, nan, None
    if point is best:
        return 0.0, nan, True
    found = paired(best, point) if better > 0 else paired(point, best)
    value = better * (best.spread.mean - point.spread.mean)
    return value, found.bound(upper=True), within_margin(found, margin)
