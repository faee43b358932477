"""Mean recalls over some classes on two sets of images, and their gap, with intervals."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from lmd_bench.leaderboard.studies.predictions import Judged, clusters_of
from lmd_bench.stats.bootstrap import mean_recall
from lmd_bench.stats.influence import (
    Influence,
    class_means,
    mean_weights,
    recall_influence,
    with_tails,
)
from lmd_bench.stats.intervals import over_images
from lmd_bench.stats.joint import Joint, joint

Classes = Bool[np.ndarray, " classes"]


def with_images(judged: Judged) -> Classes:
    """Return which classes have images."""
    return np.bincount(judged.labels, minlength=len(judged.class_names)) > 0


def score(judged: Judged, classes: Classes) -> Joint:
    """Return the mean recall of some classes, over images and retrainings."""
    lesions = clusters_of(judged)
    by_seed, influence, weights = _parts(judged, classes)
    mean = judged.right.mean(axis=1)
    tailed = with_tails(influence, judged.labels, mean, weights, lesions)
    return joint(by_seed, tailed, over_images(lesions))


def gap(there: Judged, here: Judged, classes: Classes) -> Joint:
    """Return the mean recall on other images less that on own ones, of the same trained models.

    The two sets of images are drawn apart, so their variances add up; retrainings are paired.

    Args:
        there: On the other images.
        here: On the own ones, by the same seeds in the same order.
        classes: Those to average.
    """
    far, far_moved, _ = _parts(there, classes)
    near, near_moved, _ = _parts(here, classes)
    units = np.vstack([far_moved.of_units, -near_moved.of_units])
    moved = Influence(units, far_moved.df + near_moved.df)
    lesions = None if clusters_of(there) is None and clusters_of(here) is None else there.labels
    over = f"{over_images(lesions)} of both sets"
    return joint((np.array(far) - np.array(near)).tolist(), moved, over)


def _parts(
    judged: Judged, classes: Classes
) -> tuple[Sequence[float], Influence, Float[np.ndarray, " classes"]]:
    n = len(judged.class_names)
    values = judged.right.astype(np.float64)
    weights = mean_weights(judged.labels, n, classes)
    influence = recall_influence(judged.labels, values, weights, clusters_of(judged))
    by_seed = mean_recall(class_means(judged.labels, values, n), classes)
    return by_seed.tolist(), influence, weights
