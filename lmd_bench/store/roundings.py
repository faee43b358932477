"""Rounded logits: to multiples of a step, in files of earlier versions to so many bits, or to both.

A metric takes differences of logits, so what it feels of a rounding is the absolute error. Equal
steps have the same for all numbers; so many bits after the leading one spend the most on those near
zero. All stay float32, whose last bits are then zero and packed away.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Logits = Float[np.ndarray, "..."]
_BITS = 23  # of float32, after the leading one


@dataclass(frozen=True)
class Rounding:
    """One way to round."""

    kind: Literal["step", "bits"]
    n: int  # step: to multiples of 2^-n; bits: so many after the leading one
    after_bits: int | None = None  # step: of what had been rounded to so many bits before


STEPS = tuple(Rounding("step", n) for n in range(5, 17))  # coarsest first
# What files of earlier versions hold; nothing is rounded so any more.
_OF_BITS = tuple(Rounding("bits", n) for n in (10, 12, 14, 16))
# And what such files hold once they are rounded to a step too.
_OF_BOTH = tuple(Rounding("step", step.n, bits.n) for step in STEPS for bits in _OF_BITS)


def round_logits(logits: Logits, rounding: Rounding) -> Logits:
    """Return logits rounded, as float32."""
    if rounding.after_bits is not None:
        logits = round_logits(logits, Rounding("bits", rounding.after_bits))
    if rounding.kind == "step":
        scale = 2.0**rounding.n
        rounded = np.rint(logits.astype(np.float64) * scale) / scale
        return (rounded + 0.0).astype(np.float32)  # -0.0 becomes 0.0
    dropped = _BITS - rounding.n
    numbers = logits.astype(np.float32).view(np.uint32).astype(np.uint64)
    numbers = (numbers + (1 << dropped >> 1)) >> dropped << dropped
    return numbers.astype(np.uint32).view(np.float32)


def roundings_of(logits: Logits) -> list[Rounding]:
    """Return the roundings that leave logits as they are, steps first and the coarsest first.

    Of logits as they come out of a training hardly ever any does.
    """
    return [rounding for rounding in (*STEPS, *_OF_BITS, *_OF_BOTH) if _leaves(rounding, logits)]


def are_rounded(logits: Logits) -> bool:
    """Say whether logits were rounded."""
    return any(_leaves(rounding, logits) for rounding in (*STEPS, *_OF_BITS))


def step_of(logits: Logits) -> int | None:
    """Return the n of the coarsest step 2^-n of which logits are multiples; None of none."""
    return next((rounding.n for rounding in STEPS if _leaves(rounding, logits)), None)


def _leaves(rounding: Rounding, logits: Logits) -> bool:
    return np.array_equal(round_logits(logits, rounding), logits)
