"""What each lesion of the test set adds to a mean recall, and the variance that follows from it.

The influence of a lesion (or patient, or single image) is how far its images pull a score from what
the other images say. Scores are weighted sums of the recalls of classes, so influences of models
and of retrainings may be added and subtracted like the scores themselves, and the variance over
test sets is the sum of their squares. It is what the stratified and clustered bootstrap of
`stats.bootstrap` tends to with ever more resamples, without the noise of drawing, and it also heeds
lesions whose images are of several classes.

Paper: Rao and Wu, Resampling inference with complex survey data, 1988, section 3; the linearised
variance of a ratio in Cochran, Sampling Techniques, 1977, section 6.
URL: https://doi.org/10.1080/01621459.1988.10478591
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.stats.bootstrap import Labels
from lmd_bench.stats.proportions import jeffreys

FEW = 3.0  # of n p (1 - p), in a class; below, its variance says too little
Z = 1.959964  # of two-sided 95 %
N_PARTS = 50  # of the test set, for scores that are no sum over images
Values = Float[np.ndarray, "images columns"]  # of each image, such as 1 where a model is right


@dataclass(frozen=True, eq=False)
class Influence:
    """How test lesions move some scores; columns are models, retrainings or their differences."""

    of_units: Float[np.ndarray, "lesions columns"]
    df: float  # degrees of freedom: lesions, counted in each class, less classes
    # standard errors of the mean over columns to either side, where they differ
    sides: tuple[float, float] | None = None

    def variance(self) -> Float[np.ndarray, " columns"]:
        """Return the variance of each column over test sets."""
        return (self.of_units**2).sum(axis=0)


def recall_influence(
    labels: Labels,
    values: Values,
    weights: Float[np.ndarray, " classes"],
    clusters: Int64[np.ndarray, " images"] | None = None,
) -> Influence:
    """Return what each lesion adds to the weighted sum of the mean values of classes.

    sqrt(G / (G - 1)) w_k sum_i (x_i - mean_k) / n_k over the images i of class k in a lesion, with
    G lesions in the class; then the sum over the classes. A class of one lesion shows no spread.

    Args:
        labels: Index of the true class of each image.
        values: Of each image and column: 1 where a model is right, or a difference of two.
        weights: Of each class; those of classes without images do not count.
        clusters: Lesion or patient of each image; None: each image is its own.
    """
    ids = np.arange(len(labels)) if clusters is None else clusters
    units, unit = np.unique(ids, return_inverse=True)
    pulls = np.zeros((len(units), values.shape[1]))
    df = 0
    for index, weight in enumerate(weights.tolist()):
        inside = labels == index
        if weight == 0 or not inside.any():
            continue
        n_lesions = len(np.unique(unit[inside]))
        df += n_lesions - 1
        of_class = values[inside]
        scale = weight / len(of_class) * np.sqrt(n_lesions / max(n_lesions - 1, 1))
        np.add.at(pulls, unit[inside], scale * (of_class - of_class.mean(axis=0)))
    return Influence(pulls, float(max(df, 1)))


def with_tails(
    influence: Influence,
    labels: Labels,
    right: Float[np.ndarray, " images"],
    weights: Float[np.ndarray, " classes"],
    clusters: Int64[np.ndarray, " images"] | None = None,
) -> Influence:
    """Return an influence that knows how far a score may lie to either side of what was seen.

    A class of which nearly all or nearly no images are right shows too little variance: none at all
    at recall 0. Where `n p (1 - p)` is below 3, Jeffreys' limits stand for the class, with n the
    number of independent images that have its variance (lesions where there is none). Distances to
    the limits add up as squares: the recovery of variances (MOVER).

    Args:
        influence: Of the weighted sum of the classes' recalls.
        labels: Index of the true class of each image.
        right: How right the model is on each image, mean over retrainings.
        weights: Of each class.
        clusters: Lesion or patient of each image; None: each image is its own.

    Papers: Zou and Donner, Construction of confidence limits about effect measures, 2008; Korn and
    Graubard, Confidence intervals for proportions with small expected number of positive counts,
    1998 (effective numbers). URL: https://doi.org/10.1002/sim.3095
    """
    below, above = 0.0, 0.0
    for index, weight in enumerate(weights.tolist()):
        inside = labels == index
        if weight == 0 or not inside.any():
            continue
        p, n, variance = _class_spread(
            right[inside], None if clusters is None else clusters[inside]
        )
        if n * p * (1 - p) < FEW:
            low, high = jeffreys(np.array(p * n), np.array(n))
            below += (weight * (p - float(low)) / Z) ** 2
            above += (weight * (float(high) - p) / Z) ** 2
        else:
            below += weight**2 * variance
            above += weight**2 * variance
    return replace(influence, sides=(sqrt(below), sqrt(above)))


def quiet_classes(
    labels: Labels,
    right: Float[np.ndarray, " images"],
    n_classes: int,
    clusters: Int64[np.ndarray, " images"] | None = None,
) -> list[int]:
    """Return the classes with n p (1 - p) below 3, in which little can show; see `with_tails`."""
    quiet: list[int] = []
    for index in range(n_classes):
        inside = labels == index
        if inside.any():
            of_class = None if clusters is None else clusters[inside]
            p, n, _ = _class_spread(right[inside], of_class)
            quiet += [index] if n * p * (1 - p) < FEW else []
    return quiet


def _class_spread(
    right: Float[np.ndarray, " images"], clusters: Int64[np.ndarray, " images"] | None
) -> tuple[float, float, float]:
    """Return the recall of a class, its effective number of images, and its variance."""
    p = float(right.mean())
    alone = np.zeros(len(right), dtype=np.int64)
    found = recall_influence(alone, right[:, None], np.ones(1), clusters)
    variance = float(found.variance()[0])
    if variance <= 0:
        return p, float(len(found.of_units)), variance
    return p, float(np.clip(p * (1 - p) / variance, 1, len(right))), variance


def jackknife_influence(
    labels: Labels,
    score: Callable[[Int64[np.ndarray, " kept"]], float],
    clusters: Int64[np.ndarray, " images"] | None = None,
    n_parts: int = N_PARTS,
) -> Influence:
    """Return how parts of the test set move any score: the jackknife that deletes a part at a time.

    Lesions are dealt to the parts class by class, so each part has its share of every class; with
    fewer lesions than parts, each is a part of its own. sqrt((J - 1) / J) (mean of all theta_(j) -
    theta_(j)), with theta_(j) the score without part j. It asks for a score that changes little
    with a few images: means, AUC, F1, calibration, and less so a minimum over classes.

    Args:
        labels: Index of the true class of each image.
        score: Of the images with these indices.
        clusters: Lesion or patient of each image; None: each image is its own.
        n_parts: At most so many.

    Returns:
        One column; NaN where the score is undefined without some part.

    Paper: Kott, The delete-a-group jackknife, Journal of Official Statistics, 2001.
    """
    ids = np.arange(len(labels)) if clusters is None else clusters
    units, first, unit = np.unique(ids, return_index=True, return_inverse=True)
    # a class of one lesion shows no spread, and the mean over classes would jump without it
    lone = np.array([len(np.unique(unit[labels == labels[place]])) < 2 for place in first])
    order = np.argsort(labels[first], kind="stable")
    dealt = order[~lone[order]]
    part = np.full(len(units), -1)
    part[dealt] = np.arange(len(dealt)) % n_parts
    names = np.unique(part[part >= 0])
    if len(names) < 2:
        return Influence(np.zeros((1, 1)), 1.0)
    without = np.array([score(np.flatnonzero(part[unit] != name)) for name in names])
    scale = np.sqrt((len(names) - 1) / len(names))
    return Influence(scale * (without.mean() - without)[:, None], float(len(names) - 1))


def mean_weights(
    labels: Labels, n_classes: int, classes: np.ndarray | None = None
) -> Float[np.ndarray, " classes"]:
    """Return the weight of each class in a mean over the chosen classes that have images.

    Args:
        labels: Index of the true class of each image.
        n_classes: Also those without images.
        classes: True for those to average; None: all. All weights are 0 if none has images.
    """
    chosen = np.bincount(labels, minlength=n_classes) > 0
    chosen = chosen if classes is None else chosen & classes
    return chosen / max(int(chosen.sum()), 1)


def class_means(
    labels: Labels, values: Values, n_classes: int
) -> Float[np.ndarray, "columns classes"]:
    """Return the mean value of each class and column; NaN where a class has no image."""
    n_images = np.bincount(labels, minlength=n_classes)
    sums = np.array([np.bincount(labels, column, n_classes) for column in values.T])
    return np.where(n_images > 0, sums / np.maximum(n_images, 1), np.nan)
