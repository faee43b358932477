"""The headline interval: over test images and retrainings together.

An interval over images alone holds for these trained models; two equally good methods then differ
in 10 to 28 % of cases, as retraining moves each. The variance of a mean over S retrainings is

    V = V_images + max(0, s^2 / S - V_both),    V_both = (V_1 - V_images) / (S - 1)

with V_images the variance over images of that mean, s the standard deviation over retrainings, and
V_1 the mean variance over images of a single retraining. V_both is the part in which images and
retrainings act together: both V_images and s^2 / S hold it, and it counts once. Degrees of freedom
are Satterthwaite's, of V_images and of s^2 / S in full, so a lucky small s does not promise many.

Papers: Satterthwaite, An approximate distribution of estimates of variance components, 1946;
Owen, The pigeonhole bootstrap, 2007 (two-way data, and what is counted twice).
URL: https://doi.org/10.2307/3002019, https://doi.org/10.1214/07-AOAS122
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan, nan, sqrt
from typing import Literal

import numpy as np
from scipy.special import nctdtr, stdtr, stdtrit

from lmd_bench.stats.influence import Influence
from lmd_bench.stats.intervals import Interval, seed_interval
from lmd_bench.stats.paired import LEVEL, POWER


@dataclass(frozen=True)
class Joint:
    """A score or a difference of scores, a mean over retrainings, with what is known of its spread.

    `interval` is over images and retrainings together; NaN below two retrainings or without
    predictions, as one of the two spreads is then unknown.
    """

    value: float
    n_seeds: int
    se: float
    df: float
    interval: Interval
    images: Interval  # of these trained models; NaN without predictions
    seeds: Interval  # on these images, by Student's t
    p: float  # that the true value is 0, two-sided
    images_se: float = nan  # standard error of the mean over images alone

    def detectable(self, n_tests: int = 1, power: float = POWER) -> float:
        """Return the true difference that such a comparison shows with that power.

        It is tested at 5 % / n_tests, the level at which Holm's first step finds any difference.
        """
        if isnan(self.se):
            return nan
        bound = float(stdtrit(self.df, 1 - LEVEL / (2 * n_tests)))
        low, high = 0.0, 4 * bound + 10
        for _ in range(60):  # the noncentral t rises in its noncentrality: bisection
            middle = (low + high) / 2
            beyond = 1 - float(nctdtr(self.df, middle, bound))
            low, high = (middle, high) if beyond < power else (low, middle)
        return high * self.se

    def bound(self, *, upper: bool) -> float:
        """Return a one-sided 95 % bound, as a claim of non-inferiority takes it; NaN if unknown."""
        if isnan(self.se):
            return nan
        half = float(stdtrit(self.df, 1 - LEVEL)) * self.se
        return self.value + half if upper else self.value - half


Verdict = Literal[
    "equivalent", "not inferior", "not superior", "inferior", "not shown", "not known"
]


def within(difference: Joint, margin: float) -> Verdict:
    """Return what a difference shows at a margin, by two one-sided tests of 5 %.

    Equivalent: both one-sided 95 % bounds lie within the margin. Not inferior: the lower one lies
    above -margin. "Not shown" is none of them, and no statement of a difference either.

    Papers: Schuirmann, A comparison of the two one-sided tests procedure, 1987; Piaggio and others,
    CONSORT extension for noninferiority, JAMA 2012. URL: https://doi.org/10.1001/jama.2012.87802
    """
    if isnan(difference.se):
        return "not known"
    low, high = difference.bound(upper=False), difference.bound(upper=True)
    if high < -margin:
        return "inferior"
    if low > -margin:
        return "equivalent" if high < margin else "not inferior"
    return "not superior" if high < margin else "not shown"


def joint(
    by_seed: Sequence[float],
    influence: Influence | None,
    over: str,
    repeats: str = "retraining seeds",
) -> Joint:
    """Return a mean over retrainings with its intervals of 95 %.

    Args:
        by_seed: The score, or the paired difference, of each retraining.
        influence: How test lesions move each of them; None: predictions were not kept.
        over: What the units of the influence are, such as `test lesions`.
        repeats: What each value is of, in words.
    """
    n = len(by_seed)
    value = float(np.mean(by_seed)) if n else nan
    seeds = seed_interval(by_seed)
    if influence is None or not n:
        unknown = Interval(nan, nan, over)
        return Joint(value, n, nan, nan, unknown, unknown, seeds, nan)
    of_mean = float((influence.of_units.mean(axis=1) ** 2).sum())
    sides = influence.sides or (sqrt(of_mean), sqrt(of_mean))
    images = t_interval(value, sides, influence.df, f"{over}, same trained models")
    both = f"{over} and {n} {repeats}"
    if n < 2 or isnan(value):
        none = Interval(nan, nan, both)
        return Joint(value, n, nan, nan, none, images, seeds, nan, sqrt(of_mean))
    of_one = float(influence.variance().mean())
    of_seeds = float(np.var(by_seed, ddof=1)) / n
    twice = max(0.0, (of_one - of_mean) / (n - 1))
    of_seeds_alone = max(0.0, of_seeds - twice)
    variance = of_mean + of_seeds_alone
    se = sqrt(variance)
    parts = of_seeds**2 / (n - 1) + of_mean**2 / influence.df
    df = max(1.0, variance**2 / parts) if parts > 0 else inf
    p = 2 * float(stdtr(df, -abs(value) / se)) if se > 0 else nan
    widened = sqrt(sides[0] ** 2 + of_seeds_alone), sqrt(sides[1] ** 2 + of_seeds_alone)
    interval = t_interval(value, widened, df, both)
    return Joint(value, n, se or nan, df, interval, images, seeds, p, sqrt(of_mean))


def joint_columns(joint: Joint, prefix: str = "") -> dict[str, float]:
    """Return all of it but the value as columns of a frame: bounds of each interval, SE, df, p."""
    return {
        f"{prefix}low": joint.interval.low,
        f"{prefix}high": joint.interval.high,
        f"{prefix}se": joint.se,
        f"{prefix}df": joint.df,
        f"{prefix}p": joint.p,
        f"{prefix}images_low": joint.images.low,
        f"{prefix}images_high": joint.images.high,
        f"{prefix}seeds_low": joint.seeds.low,
        f"{prefix}seeds_high": joint.seeds.high,
    }


def t_interval(value: float, sides: tuple[float, float], df: float, over: str) -> Interval:
    """Return the t interval; NaN where nothing varies, as that is ignorance and no certainty.

    Args:
        value: Of the score.
        sides: Standard errors below and above it.
        df: Degrees of freedom.
        over: What it is over.
    """
    if max(sides) == 0 or isnan(value):
        return Interval(nan, nan, over)
    bound = float(stdtrit(df, 1 - LEVEL / 2))
    return Interval(value - bound * sides[0], value + bound * sides[1], over)
