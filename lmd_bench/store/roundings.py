"""Rounded logits: to multiples of a step, in files of earlier versions to so many bits, or to both.

A metric takes differences of logits, so what it feels of a rounding is the absolute error. Equal
steps have the same for all numbers; so many bits after the leading one spend the most on those near
zero. And it feels nothing of a constant that is added to all: each of them leads to another
rounding to the same step. Nor of one that is added to all logits of an image: that of the first
class is taken off, so that it is 0 and takes no room. All stay float32, whose last bits are then
zero and packed away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
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
    shift: int = 0  # step: so many sixteenths of it are added before; below a half, so that
    # what is rounded stays what it is
    after: "Rounding | None" = None  # step: of what had been rounded so before


STEPS = tuple(Rounding("step", n) for n in range(5, 17))  # coarsest first
_SHIFTS = sorted(range(-7, 8), key=abs)
SHIFTED = tuple(Rounding("step", step.n, shift) for step in STEPS for shift in _SHIFTS)
# What files of earlier versions hold, some of them gathered twice; nothing is rounded so any more.
_OF_BITS = tuple(Rounding("bits", n) for n in (10, 12, 14, 16))
_OF_BITS_TWICE = tuple(
    Rounding("bits", b.n, after=a) for a in _OF_BITS for b in _OF_BITS if b.n < a.n
)
_TO_BITS = (*_OF_BITS, *_OF_BITS_TWICE)
_OF_BOTH = tuple(Rounding("step", step.n, after=bits) for step in STEPS for bits in _TO_BITS)
_EARLIER = (*_TO_BITS, *STEPS, *_OF_BOTH)


def round_logits(logits: Logits, rounding: Rounding) -> Logits:
    """Return logits rounded, as float32."""
    if rounding.after is not None:
        logits = round_logits(logits, rounding.after)
    if rounding.kind == "step":
        scale = 2.0**rounding.n
        rounded = np.rint(logits.astype(np.float64) * scale + rounding.shift / 16) / scale
        return (rounded + 0.0).astype(np.float32)  # -0.0 becomes 0.0
    dropped = _BITS - rounding.n
    numbers = logits.astype(np.float32).view(np.uint32).astype(np.uint64)
    numbers = (numbers + (1 << dropped >> 1)) >> dropped << dropped
    return numbers.astype(np.uint32).view(np.float32)


def roundings_of(logits: Logits) -> Iterator[Rounding]:
    """Give the roundings that may have led to logits, steps first and the coarsest first.

    They leave the logits as they are, or the step that they end with does. Of logits as they come
    out of a training hardly ever any does.
    """
    steps = [step.n for step in STEPS if _leaves(step, logits)]
    yield from (way for way in SHIFTED if way.n in steps)
    for bits in _OF_BITS:
        if _leaves(bits, logits):
            yield bits
            yield from (twice for twice in _OF_BITS_TWICE if twice.n == bits.n)
    for n, earlier, shift in product(steps[:2], _EARLIER, _SHIFTS):
        if earlier.kind == "bits" or earlier.n > n:
            yield Rounding("step", n, shift, earlier)


def less_first(logits: Float[np.ndarray, "images classes"]) -> Float[np.ndarray, "images classes"]:
    """Return logits less that of the image's first class; of rounded ones this is exact."""
    return logits - logits[:, :1]


def are_less_first(logits: Float[np.ndarray, "images classes"]) -> bool:
    """Say whether logits are told from that of the first class."""
    return not logits[:, :1].any()


def are_rounded(logits: Logits) -> bool:
    """Say whether logits were rounded."""
    return any(_leaves(rounding, logits) for rounding in (*STEPS, *_OF_BITS))


def step_of(logits: Logits) -> int | None:
    """Return the n of the coarsest step 2^-n of which logits are multiples; None of none."""
    return next((rounding.n for rounding in STEPS if _leaves(rounding, logits)), None)


def _leaves(rounding: Rounding, logits: Logits) -> bool:
    return np.array_equal(round_logits(logits, rounding), logits)
