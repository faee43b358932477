"""A mean and its spread, never apart; and which of some means come first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import fsum, isnan, nan, sqrt


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


def places(
    values: Sequence[float],
    shown: Callable[[float], str] = lambda value: f"{100 * value:.1f}",
    higher_is_better: bool = True,
) -> list[int]:
    """Return 1 for the best value, 2 for the next, and so on; 0 for NaN.

    Values that are equal as shown, in percent with one decimal unless said otherwise, share a
    place, and the next value has the next place.
    """
    numbers = [None if isnan(value) else float(shown(value)) for value in values]
    distinct = {number for number in numbers if number is not None}
    ranked = sorted(distinct, reverse=higher_is_better)
    return [0 if number is None else ranked.index(number) + 1 for number in numbers]
