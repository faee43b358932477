"""A mean and its spread, never apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation and count of some values."""

    mean: float  # NaN of nothing
    sd: float  # divided by n - 1; NaN below two values, where there is no spread to see
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation (ddof=1) and count; one NaN makes mean and SD NaN."""
    n = len(values)
    mean = float(np.mean(values)) if n > 0 else float("nan")
    sd = float(np.std(values, ddof=1)) if n > 1 else float("nan")
    return Spread(mean, sd, n)
