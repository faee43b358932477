"""How values of pixels become grey levels: what `--intensity` asks for.

- `full`: the range that the type of a file can hold (0 to 255, 0 to 65,535).
- `auto`: the range that the files of more than 8 bits of a whole data set use. One range for all of
  them, so that images stay comparable. Files of 8 bits stay as they are.
- `window:LOW,HIGH`: LOW and what is below becomes black, HIGH and what is above white, in every
  file, of 8 bits too.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Num, UInt8

from lmd_bench.core.errors import UserError

FULL, AUTO = "full", "auto"
_WINDOW = "window:"
_USED = "auto:"  # and the range that was found


@dataclass(frozen=True)
class Levels:
    """The values that become black and white; in between they rise evenly."""

    low: float
    high: float
    wide_only: bool = False  # files of 8 bits stay as they are

    def __str__(self) -> str:
        """Return it as `parse_levels` reads it."""
        start = _USED if self.wide_only else _WINDOW
        return f"{start}{_number(self.low)},{_number(self.high)}"

    def grey(self, values: Num[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
        """Return values as levels 0 to 255; what is no number is black."""
        share = (values.astype(np.float64) - self.low) / (self.high - self.low)
        return np.rint(255 * np.clip(np.nan_to_num(share, nan=0.0), 0, 1)).astype(np.uint8)

    @property
    def narrow(self) -> "Levels | None":
        """Return what applies to files of 8 bits."""
        return None if self.wide_only else self


def checked(intensity: str) -> str:
    """Return what a person asked for in its one form.

    Raises:
        UserError: it is none of the three.
    """
    text = "".join(intensity.lower().split())
    if text in (FULL, AUTO):
        return text
    levels = parse_levels(text) if text.startswith(_WINDOW) else None
    if levels is None:
        raise UserError(
            f"--intensity {intensity} is not allowed; give full (the range of the files' type), "
            "auto (the range that the data set uses) or window:LOW,HIGH (two numbers, the lower "
            "first)."
        )
    return str(levels)


def parse_levels(text: str) -> Levels | None:
    """Return the levels that a text like `window:0,4095` or `auto:0,4095` names, else None."""
    start = _USED if text.startswith(_USED) else _WINDOW
    try:
        low, high = map(float, text.removeprefix(start).split(","))
    except ValueError:
        return None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return None
    return Levels(low, high, wide_only=start == _USED)


def used_levels(low: float, high: float, *, whole: bool) -> Levels:
    """Return the range of the values that a data set uses.

    Args:
        low: its smallest value.
        high: its largest.
        whole: there are whole numbers only. Those from 0 up take all values of the bits in use, so
            that a further image hardly ever changes the range.
    """
    if whole and low >= 0:
        return Levels(0.0, 2.0 ** bits_of(high) - 1, wide_only=True)
    if low >= 0 and high <= 1:
        return Levels(0.0, 1.0, wide_only=True)
    return Levels(low, high if high > low else low + 1, wide_only=True)


def bits_of(high: float) -> int:
    """Return the bits that whole numbers up to `high` take, 8 at the least."""
    return max(8, int(high).bit_length())


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
