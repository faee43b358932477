"""Intervals of a score, each labelled with what it is over.

An interval over the test images says what other images of the same kind might have shown of these
trained models; one over the seeds what other retrainings might have shown on these images. Neither
holds the other's spread, nor that of the search, the split or the data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from scipy.special import stdtrit

from lmd_bench.stats.proportions import LEVEL


@dataclass(frozen=True)
class Interval:
    """Two bounds, and what they hold the spread over."""

    low: float  # NaN where there is too little to see a spread
    high: float
    over: str


def seed_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Return Student's t interval of the mean over retraining seeds; NaN below two.

    mean -+ t_{n-1} s / sqrt(n). It takes the scores of retrainings as normal; with two seeds t is
    12.7, and the interval is as wide as that says. Scores move in steps of a test image, so that
    all are equal happens by chance and says nothing of the spread: NaN then, never a width of 0.

    Paper: Student, The probable error of a mean, 1908. URL: https://doi.org/10.1093/biomet/6.1.1
    """
    n = len(values)
    over = f"{n} retraining seeds, same test images"
    if n < 2 or max(values) - min(values) < 1e-12:
        return Interval(float("nan"), float("nan"), over)
    half = float(stdtrit(n - 1, 0.5 + level / 2) * np.std(values, ddof=1) / np.sqrt(n))
    mean = float(np.mean(values))
    return Interval(mean - half, mean + half, over)


def over_images(clusters: Int64[np.ndarray, " images"] | None) -> str:
    """Return what is drawn anew where the spread over test sets is meant, in words."""
    drawn = "images as if each were of its own lesion" if clusters is None else "lesions"
    return f"test {drawn}"
