"""Prediction sets that hold the right class with a stated probability, in each class.

Split conformal prediction with the score s(x, y) = 1 - p_y(x) (LAC), its threshold taken of each
class's own val images, so that rare classes are covered as often as frequent ones:

    q_j = the ceil((n_j + 1) coverage)-th smallest score of val images of class j
    set(x) = {j: s(x, j) <= q_j}

Where class j has fewer than coverage / (1 - coverage) val images there is no such score; q_j is
infinite then, and the class belongs to every set.

The coverage holds for new images that are drawn as those of val. Val has also chosen the epoch and
the configuration, so it is a little optimistic; on test it can be looked at (`coverage_by_class`).

Papers: Sadinle et al., Least Ambiguous Set-Valued Classifiers with Bounded Error Levels, JASA 114,
2019 (the score); Vovk, Conditional validity of inductive conformal predictors, ACML 2012 (the
threshold of each class). URL: https://arxiv.org/abs/1609.00451 and https://arxiv.org/abs/1209.2673
"""

from math import ceil

import numpy as np
from jaxtyping import Bool, Float, Int64

Probabilities = Float[np.ndarray, "images classes"]
Labels = Int64[np.ndarray, " images"]


def class_thresholds(
    labels: Labels, probabilities: Probabilities, coverage: float
) -> Float[np.ndarray, " classes"]:
    """Return q_j of each class; infinite where it has too few images.

    Args:
        labels: of the val images.
        probabilities: theirs.
        coverage: share of new images whose set holds the right class, in (0, 1).
    """
    n_classes = probabilities.shape[1]
    scores = 1.0 - probabilities[np.arange(len(labels)), labels]
    thresholds = np.full(n_classes, np.inf)
    for label in range(n_classes):
        own = np.sort(scores[labels == label])
        # 0.9 * 10 is a little above 9 in binary: without the tolerance an image too many
        rank = ceil((len(own) + 1) * coverage - 1e-9)
        if rank <= len(own):
            thresholds[label] = own[rank - 1]
    return thresholds


def prediction_sets(
    probabilities: Probabilities, thresholds: Float[np.ndarray, " classes"]
) -> Bool[np.ndarray, "images classes"]:
    """Return which classes belong to the set of each image; there may be none or several."""
    return 1.0 - probabilities <= thresholds


def coverage_by_class(
    labels: Labels, sets: Bool[np.ndarray, "images classes"]
) -> Float[np.ndarray, " classes"]:
    """Return the share of each class's images whose set holds it; NaN for a class without one."""
    held = sets[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=sets.shape[1])
    with np.errstate(invalid="ignore"):
        return np.bincount(labels, weights=held, minlength=sets.shape[1]) / counts
