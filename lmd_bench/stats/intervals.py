"""Intervals of a score, each labelled with what it is over.

An interval over the test images says what other images of the same kind might have shown of these
trained models; one over the seeds what other retrainings might have shown on these images. Neither
holds the other's spread, nor that of the search, the split or the data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from scipy.special import stdtrit

from lmd_bench.stats.bootstrap import N_RESAMPLES, Labels, Right, mean_recall, resampled_recall
from lmd_bench.stats.proportions import LEVEL

TOO_FEW = 10  # test images of a class: below, bootstrap intervals over images are too narrow


@dataclass(frozen=True)
class Interval:
    """Two bounds, and what they hold the spread over."""

    low: float  # NaN where there is too little to see a spread
    high: float
    over: str


def seed_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Return Student's t interval of the mean over retraining seeds; NaN below two.

    mean -+ t_{n-1} s / sqrt(n). It takes the scores of retrainings as normal; with two seeds t is
    12.7, and the interval is as wide as that says.

    Paper: Student, The probable error of a mean, 1908. URL: https://doi.org/10.1093/biomet/6.1.1
    """
    n = len(values)
    over = f"{n} retraining seeds, same test images"
    if n < 2:
        return Interval(float("nan"), float("nan"), over)
    half = float(stdtrit(n - 1, 0.5 + level / 2) * np.std(values, ddof=1) / np.sqrt(n))
    mean = float(np.mean(values))
    return Interval(mean - half, mean + half, over)


def percentile_interval(
    samples: Float[np.ndarray, " resamples"], over: str, level: float = LEVEL
) -> Interval:
    """Return the bounds that leave (1 - level) / 2 of the bootstrap samples on either side."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), over)


def image_interval(
    labels: Labels,
    right: Right,
    n_classes: int,
    generator: np.random.Generator,
    clusters: Int64[np.ndarray, " images"] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """Return the 95 % bootstrap interval of one model's balanced accuracy, over the test images.

    Args:
        labels: Index of the true class of each image.
        right: One column: share of the model's seeds that are right on each image.
        n_classes: Classes, also those without images.
        generator: Draws the samples.
        clusters: Lesion or patient of each image; None: each image is its own.
        n_resamples: Samples to draw.
    """
    samples = resampled_recall(labels, right, n_classes, generator, clusters, n_resamples)
    return percentile_interval(mean_recall(samples[:, 0]), over_images(clusters))


def few_images_note(labels: Labels) -> str:
    """Return a warning where a class has so few test images that the bootstrap is too sure.

    A class of 2 images that are both right shows no spread at all. With 60, 40, 20, 8, 4 and 2
    images in six classes the 95 % interval held the truth in 87 % of simulated leaderboards; with
    30 or more in each, in 95 %.
    """
    counts = np.bincount(labels)
    n_small = int(((counts > 0) & (counts < TOO_FEW)).sum())
    if not n_small:
        return ""
    classes = "1 class has" if n_small == 1 else f"{n_small} classes have"
    return (
        f"{classes} fewer than {TOO_FEW} test images, so intervals over images are too narrow: "
        "those of 95 % hold nearer to 87 % of the time (lmd-bench intervals --by-class is exact)"
    )


def over_images(clusters: Int64[np.ndarray, " images"] | None) -> str:
    """Return what a test-set bootstrap is over, in words."""
    drawn = "images as if each were of its own lesion" if clusters is None else "lesions"
    return f"test {drawn}, stratified by class, same trained models"
