"""Scores on several splits of one data set, whose test sets share images.

What follows is for scores that are no sum over images; of recalls, `stats.joint` knows how each
lesion moves the score on each split. With V_images the variance over images of the score on one
split, s the standard deviation over J splits, and r the share that the test sets of two splits have
in common, the mean over splits has

    V = s^2 / J + r V_images

s holds what images of its own, the trained models and the searches do on each split. What two
splits share moves both scores alike, so s does not hold it. That their train sets share images too
is in no estimate from one data set: the interval holds for methods trained on these images.

Papers: Nadeau and Bengio, Inference for the generalization error, 2003 (what splits share); Bengio
and Grandvalet, No unbiased estimator of the variance of k-fold cross-validation, 2004.
URL: https://doi.org/10.1023/A:1024068626366, https://www.jmlr.org/papers/v5/grandvalet04a.html
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import inf, isnan, nan, sqrt

import numpy as np
from jaxtyping import Int64
from scipy.special import stdtr

from lmd_bench.stats.intervals import Interval, seed_interval
from lmd_bench.stats.joint import Joint, t_interval

_NOTHING = 1e-24  # variance of equal scores, whose sums may round otherwise
_MOST_DF = 1e6  # beyond it Student's t is the normal one


def over_splits(of_splits: Sequence[Joint], shared: float) -> Joint:
    """Return the mean of a score over splits, with its interval of 95 % over all that varies.

    Args:
        of_splits: The score on each split, with its spread over images.
        shared: Of the test sets of two splits, 0 to 1; NaN: unknown.

    Returns:
        As `joint` gives it, splits in the place of retrainings; NaN bounds where the spread over
        images is unknown, or nothing varies.
    """
    values = [one.value for one in of_splits]
    n, value = len(values), float(np.mean(values))
    over = f"test lesions and {n} splits, each with its searches and runs"
    unknown, images = Interval(nan, nan, over), Interval(nan, nan, "")
    of_splits_alone = float(np.var(values, ddof=1)) / n if n > 1 else nan
    seeds = replace(seed_interval(values), over=f"{n} splits as if they shared no test image")
    of_images = shared * float(np.mean([one.images_se**2 for one in of_splits]))
    variance = of_splits_alone + of_images
    if isnan(variance) or variance < _NOTHING:
        return Joint(value, n, nan, nan, unknown, images, seeds, nan)
    se = sqrt(variance)
    df = (n - 1) * (variance / of_splits_alone) ** 2 if of_splits_alone > 0 else inf
    df = min(df, _MOST_DF)
    p = 2 * float(stdtr(df, -abs(value) / se))
    return Joint(value, n, se, df, t_interval(value, (se, se), df, over), images, seeds, p)


def shared_images(
    of_splits: Sequence[tuple[Sequence[str], Int64[np.ndarray, " _"]]], n_classes: int
) -> float:
    """Return the share of the images of a test set that another split has in its test set too.

    The mean over pairs of splits and over classes, each class by the variance of its recall, which
    goes with one over its images.

    Args:
        of_splits: Ids and labels of the test images of each split.
        n_classes: Also those without images.
    """
    held = [
        [{ids[n] for n in np.flatnonzero(labels == c).tolist()} for c in range(n_classes)]
        for ids, labels in of_splits
    ]
    common, total = 0.0, 0.0
    for one, other in combinations(held, 2):
        for a, b in zip(one, other, strict=True):
            if a and b:
                n_images = sqrt(len(a) * len(b))
                common += len(a & b) / n_images / n_images
                total += 1 / n_images
    return common / total if total else nan
