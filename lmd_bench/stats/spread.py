"""A mean and its spread, never apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, nan, sqrt


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation and count of some values."""

    mean: float  # NaN of nothing
    sd: float  # divided by n - 1; NaN below two values, where there is no spread to see
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation (ddof=1) and count; one NaN makes mean and SD NaN."""
    n = len(values)  # a few seeds: for so few values NumPy takes ten times as long
    mean = fsum(values) / n if n > 0 else nan
    sd = sqrt(fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else nan
    return Spread(mean, sd, n)
