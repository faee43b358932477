"""Tests and power of two models judged on the same images, and of several such comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from scipy.special import bdtr

LEVEL, POWER = 0.05, 0.80


@dataclass(frozen=True)
class Discordant:
    """The images that one of two models gets right and the other wrong, and McNemar's p."""

    only_a: int
    only_b: int
    p: float


def mcnemar(
    right_a: Bool[np.ndarray, " images"], right_b: Bool[np.ndarray, " images"]
) -> Discordant:
    """Return McNemar's test of equal accuracy, exact at any number of discordant images.

    Under equal accuracy only_a is binomial(only_a + only_b, 1/2); p is two-sided and 1 where no
    image is discordant. It compares accuracy, in which the frequent classes of test weigh most.

    Paper: McNemar, Note on the sampling error of the difference between correlated proportions or
    percentages, 1947. URL: https://doi.org/10.1007/BF02295996
    """
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    n = only_a + only_b
    p = 1.0 if n == 0 else min(1.0, 2 * float(bdtr(min(only_a, only_b), n, 0.5)))
    return Discordant(only_a, only_b, p)


def combined_p(p_values: Sequence[float]) -> float:
    """Return (n / k) p_(k), k = n // 2 + 1, capped at 1: valid however p-values depend.

    Tests of several seeds on the same images are far from independent, so they cannot be pooled as
    if each image came anew. Of one p-value, itself; of two, the larger; of three, 1.5 times the
    median.

    Paper: Ruschendorf, Random variables with maximum sums, 1982.
    URL: https://doi.org/10.2307/1426677
    """
    n = len(p_values)
    k = n // 2 + 1
    return min(1.0, n / k * sorted(p_values)[k - 1])


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values: below a level, at most that chance of any false finding.

    In rising order, p_(i) times the number of tests left, never below the one before, at most 1.
    NaN, a test that was not possible, counts as no test and stays.

    Paper: Holm, A simple sequentially rejective multiple test procedure, 1979.
    URL: https://www.jstor.org/stable/4615733
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    order = [index for index in np.argsort(p) if not np.isnan(p[index])]
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, float(p[index]) * (len(order) - place)))
        adjusted[index] = largest
    return adjusted.tolist()
