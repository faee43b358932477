"""From numbers to places on a drawing, and which numbers an axis names."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

Number = int | float  # a check of types takes `float` at its word
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` mapped to places from `start` to `end`."""

    low: Number
    high: Number
    start: Number
    end: Number
    log: bool = False

    def __call__(self, value: Number) -> Number:
        """Return the place of a number."""
        low, high, at = (
            (log10(self.low), log10(self.high), log10(value))
            if self.log
            else (self.low, self.high, value)
        )
        share = 0.5 if high == low else (at - low) / (high - low)
        return self.start + share * (self.end - self.start)


def nice_ticks(low: Number, high: Number, n_most: int = 6) -> list[float]:
    """Return round numbers from at or below `low` to at or above `high`, `n_most` at most.

    Their step is 1, 2, 2.5 or 5 times a power of ten.
    """
    if not (isfinite(low) and isfinite(high)) or high <= low:
        low, high = (low - 0.5, low + 0.5) if isfinite(low) else (0.0, 1.0)
    power = 10.0 ** floor(log10((high - low) / n_most))
    for step in (power * factor for factor in (*_STEPS, *(10 * f for f in _STEPS[1:]))):
        first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
        if last - first < n_most:
            return [round(number * step, 12) for number in range(first, last + 1)]
    raise AssertionError("the largest step always suffices")


def tick_text(value: Number) -> str:
    """Return a number as an axis names it: without needless zeros."""
    return f"{value:.4g}".replace("-", "−")


def extent(values: Sequence[Number]) -> tuple[Number, Number] | None:
    """Return the least and largest of the values that are finite; None where there is none."""
    known = [value for value in values if isfinite(value)]
    return (min(known), max(known)) if known else None
