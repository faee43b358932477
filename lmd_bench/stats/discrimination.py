"""How well probabilities put the images of a class above the others: one-vs-rest AUC and AUPRC.

Both judge the order alone, at no threshold; pure NumPy. A class is judged by its own softmax
probability. NaN where a class has no image, or no image is of another class.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int64

from lmd_bench.stats.probabilities import Weights, log_probabilities

Labels = Int64[np.ndarray, " images"]
Logits = Float[np.ndarray, "images classes"]
PerClass = Float[np.ndarray, " classes"]
_Area = Callable[
    [Bool[np.ndarray, " images"], Float[np.ndarray, " images"], Float[np.ndarray, " images"]], float
]


def per_class_auc(labels: Labels, logits: Logits, weights: Weights = None) -> PerClass:
    """Return the area under the ROC curve of each class against the rest, 0 to 1.

    It is the chance that an image of the class has a higher probability than one of another class,
    ties counted half: U / (n_1 n_0) of Mann and Whitney. Weights set how frequent each of the other
    classes is among the rest.
    """
    return _one_vs_rest(labels, logits, weights, _auc)


def per_class_auprc(labels: Labels, logits: Logits, weights: Weights = None) -> PerClass:
    """Return the average precision of each class against the rest, 0 to 1.

    sum_t (R_t - R_{t-1}) P_t over the thresholds t, without interpolation. Its chance level is the
    class's share of the images, so it depends on the prevalence in the split, or on the weights.
    """
    return _one_vs_rest(labels, logits, weights, _average_precision)


def macro_auc(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the mean AUC over the classes where it is defined; NaN if there are none."""
    return _mean(per_class_auc(labels, logits, weights))


def macro_auprc(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the mean average precision over the classes where it is defined; NaN if none."""
    return _mean(per_class_auprc(labels, logits, weights))


def _one_vs_rest(labels: Labels, logits: Logits, weights: Weights, area: _Area) -> PerClass:
    assert not np.isnan(logits).any(), "logits hold NaN"
    # log p orders as p does, and does not round small probabilities to equal ones
    scores = log_probabilities(logits)
    w = np.ones(len(labels)) if weights is None else weights
    result = np.full(logits.shape[1], np.nan)
    for index in range(logits.shape[1]):
        positive = labels == index
        if 0 < positive.sum() < len(labels):
            result[index] = area(positive, scores[:, index], w)
    return result


def _auc(
    positive: Bool[np.ndarray, " images"],
    scores: Float[np.ndarray, " images"],
    weights: Float[np.ndarray, " images"],
) -> float:
    _, level = np.unique(scores, return_inverse=True)
    of_class, of_rest = (
        np.bincount(level, weights=weights * side, minlength=level.max() + 1)
        for side in (positive, ~positive)
    )
    below = np.cumsum(of_rest) - of_rest / 2  # of the rest, ties counted half
    return float((of_class * below).sum() / (of_class.sum() * of_rest.sum()))


def _average_precision(
    positive: Bool[np.ndarray, " images"],
    scores: Float[np.ndarray, " images"],
    weights: Float[np.ndarray, " images"],
) -> float:
    _, level = np.unique(-scores, return_inverse=True)
    of_all = np.bincount(level, weights=weights)
    hits = np.bincount(level, weights=weights * positive, minlength=len(of_all))
    precision = np.cumsum(hits) / np.cumsum(of_all)
    return float((hits * precision).sum() / hits.sum())


def _mean(values: PerClass) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
