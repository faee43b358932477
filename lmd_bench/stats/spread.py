"""A mean and its spread, never apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, nan, sqrt
from statistics import fmean


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation and count of some values."""

    mean: float  # NaN of nothing
    sd: float  # divided by n - 1; NaN below two values, where there is no spread to see
    n: int


def spread(scores: Sequence[float | None]) -> Spread:
    """Return mean, standard deviation (ddof=1) and count; one NaN or None makes both NaN."""
    values = [nan if score is None else score for score in scores]
    n = len(values)  # a few seeds: for so few values NumPy takes ten times as long
    mean = fsum(values) / n if n > 0 else nan
    sd = sqrt(fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else nan
    return Spread(mean, sd, n)


def pooled(spreads: Sequence[Spread], weights: Sequence[float] | None = None) -> Spread:
    """Return the mean of means, the SD that groups have in common, and the count of all values.

    Args:
        spreads: Of each group.
        weights: Of each group in the mean; None: all count the same.
    """
    if len(spreads) == 1:
        return spreads[0]
    weights = weights or [1.0] * len(spreads)
    mean = sum(w * s.mean for w, s in zip(weights, spreads, strict=True)) / sum(weights)
    within = [s.sd**2 for s in spreads if s.n > 1]
    return Spread(mean, sqrt(fmean(within)) if within else nan, sum(s.n for s in spreads))
