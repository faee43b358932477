"""Where the order of two methods changes between imbalance factors, and whether it is noise.

Between two factors at which both are known, the difference of means is taken as linear in the
logarithm of the factor. A change of order is `beyond` the spread only where the difference on
either side is: no known 95 % interval of it, over seeds or over test images, holds 0. Intervals are
not corrected for the number of pairs and factors looked at.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, isnan, log
from typing import Literal

from lmd_bench.leaderboard.imbalance.curves import Curves, Point
from lmd_bench.stats.intervals import Interval, seed_interval

Verdict = Literal["beyond", "within", "not known"]
OverImages = Callable[[Point, Point], Interval | None]


@dataclass(frozen=True)
class Gap:
    """The difference of two methods at one factor: the first less the other."""

    factor: float
    name: str
    value: float
    over_seeds: Interval  # Student's t over pairs of one seed
    over_images: Interval | None  # paired bootstrap; None where no logits were kept

    @property
    def verdict(self) -> Verdict:
        """Say whether the difference is beyond every spread that is known of it."""
        intervals = [
            interval
            for interval in (self.over_seeds, self.over_images)
            if interval and not isnan(interval.low)
        ]
        if not intervals:
            return "not known"
        holds_zero = any(interval.low <= 0 <= interval.high for interval in intervals)
        return "within" if holds_zero else "beyond"


@dataclass(frozen=True)
class Crossing:
    """Two methods whose order changes."""

    family: str
    first: str  # the better one below
    other: str  # the better one above
    below: Gap
    above: Gap
    at: float  # factor

    @property
    def verdict(self) -> Verdict:
        """Say whether the change of order is beyond the spread on both of its sides."""
        sides = {self.below.verdict, self.above.verdict}
        if "within" in sides:
            return "within"
        return "not known" if "not known" in sides else "beyond"


def sign_changes(
    factors: Sequence[float], differences: Sequence[float]
) -> Iterator[tuple[int, int, float]]:
    """Yield where differences change their sign: the places on both sides, and the factor.

    A difference of 0 has no side: from + over 0 to - is one change, at the 0; from + over 0 to +
    none. What is NaN is passed over, so the sides may lie further apart.

    Args:
        factors: Rising.
        differences: One at each factor.
    """
    sides = [place for place, value in enumerate(differences) if value != 0 and not isnan(value)]
    for low, high in zip(sides, sides[1:], strict=False):
        before, after = differences[low], differences[high]
        if before * after > 0:
            continue
        equal = [log(factors[i]) for i in range(low + 1, high) if differences[i] == 0]
        if equal:
            yield low, high, exp((equal[0] + equal[-1]) / 2)
            continue
        share = before / (before - after)
        yield low, high, exp(log(factors[low]) + share * log(factors[high] / factors[low]))


def crossings(curves: Curves, better: Literal[1, -1], over_images: OverImages) -> list[Crossing]:
    """Return every change of order between two methods of one family, those beyond noise first.

    Args:
        curves: Of any number of families.
        better: 1 where higher is better, else -1; differences are turned so that above 0 the first
            is better.
        over_images: Gives the interval of the first less the other over the test images, if known.
    """
    found: list[Crossing] = []
    for family, methods in curves.items():
        for one, two in combinations(methods, 2):
            pairs = _pairs(methods[one], methods[two])
            differences = [better * (a.spread.mean - b.spread.mean) for a, b in pairs]
            for low, high, at in sign_changes([a.factor for a, _ in pairs], differences):
                ahead = differences[low] > 0
                names = (one, two) if ahead else (two, one)
                sides = [pair if ahead else pair[::-1] for pair in (pairs[low], pairs[high])]
                below, above = (_gap(first, other, better, over_images) for first, other in sides)
                found.append(Crossing(family, *names, below, above, at))
    order = ("beyond", "within", "not known")
    return sorted(found, key=lambda one: (one.family, order.index(one.verdict), one.at, one.first))


def _pairs(one: Sequence[Point], two: Sequence[Point]) -> list[tuple[Point, Point]]:
    tasks = {point.study.task: point for point in two}
    return [(point, tasks[point.study.task]) for point in one if point.study.task in tasks]


def _gap(first: Point, other: Point, better: int, over_images: OverImages) -> Gap:
    shared = [seed for seed in first.scores if seed in other.scores]
    paired = [better * (first.scores[seed] - other.scores[seed]) for seed in shared]
    value = better * (first.spread.mean - other.spread.mean)
    images = over_images(first, other)
    return Gap(first.factor, first.name, value, seed_interval(paired), images)
