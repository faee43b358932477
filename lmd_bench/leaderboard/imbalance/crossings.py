"""Where the order of two methods changes between imbalance factors, and whether it is noise.

Between two factors at which both are known, the difference of means is taken as linear in the
logarithm of the factor. A change of order is `beyond` the spread only where the difference on
either side is: its 95 % interval over test images and retrainings together leaves 0 out. Intervals
are not corrected for the number of pairs and factors looked at.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, isnan, log
from typing import Literal, get_args

from lmd_bench.leaderboard.imbalance.curves import Curves, Point
from lmd_bench.stats.joint import Joint

Verdict = Literal["beyond", "within", "not known"]
ORDER: tuple[Verdict, ...] = get_args(Verdict)
Paired = Callable[[Point, Point], Joint]  # the first less the other, on the seeds of both


@dataclass(frozen=True)
class Gap:
    """The difference of two methods at one factor: the first less the other."""

    factor: float
    name: str
    value: float  # of the means over all seeds of each
    joint: Joint  # on the seeds of both

    @property
    def verdict(self) -> Verdict:
        """Say whether the difference is beyond the spread over images and retrainings."""
        interval = self.joint.interval
        if isnan(interval.low):
            return "not known"
        return "within" if interval.low <= 0 <= interval.high else "beyond"


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


def crossings(curves: Curves, better: Literal[1, -1], paired: Paired) -> list[Crossing]:
    """Return every change of order between two methods of one family, those beyond noise first.

    Args:
        curves: Of any number of families.
        better: 1 where higher is better, else -1; differences are turned so that above 0 the first
            is better.
        paired: Gives the first less the other with its intervals, as the metric has it.
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
                below, above = (_gap(first, other, better, paired) for first, other in sides)
                found.append(Crossing(family, *names, below, above, at))
    return sorted(found, key=lambda one: (one.family, ORDER.index(one.verdict), one.at, one.first))


def _pairs(one: Sequence[Point], two: Sequence[Point]) -> list[tuple[Point, Point]]:
    tasks = {point.task: point for point in two}
    return [(point, tasks[point.task]) for point in one if point.task in tasks]


def _gap(first: Point, other: Point, better: Literal[1, -1], paired: Paired) -> Gap:
    value = better * (first.spread.mean - other.spread.mean)
    found = paired(first, other) if better > 0 else paired(other, first)
    return Gap(first.factor, first.name, value, found)
