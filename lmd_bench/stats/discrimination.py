"""How well probabilities put the images of a class above the others: one-vs-rest AUC and AUPRC.

Both judge the order alone, at no threshold; pure NumPy. A class is judged by its own softmax
probability. NaN where a class has no image, or no image is of another class.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int64

from lmd_bench.stats.probabilities import log_probabilities

Labels = Int64[np.ndarray, " images"]
Logits = Float[np.ndarray, "images classes"]
PerClass = Float[np.ndarray, " classes"]


def per_class_auc(labels: Labels, logits: Logits) -> PerClass:
    """Return the area under the ROC curve of each class against the rest, 0 to 1.

    It is the chance that an image of the class has a higher probability than one of another class,
    ties counted half: U / (n_1 n_0) of Mann and Whitney.
    """
    return _one_vs_rest(labels, logits, _auc)


def per_class_auprc(labels: Labels, logits: Logits) -> PerClass:
    """Return the average precision of each class against the rest, 0 to 1.

    sum_t (R_t - R_{t-1}) P_t over the thresholds t, without interpolation. Its chance level is the
    class's share of the images, so it depends on the prevalence in the split.
    """
    return _one_vs_rest(labels, logits, _average_precision)


def macro_auc(labels: Labels, logits: Logits) -> float:
    """Return the mean AUC over the classes where it is defined; NaN if there are none."""
    return _mean(per_class_auc(labels, logits))


def macro_auprc(labels: Labels, logits: Logits) -> float:
    """Return the mean average precision over the classes where it is defined; NaN if none."""
    return _mean(per_class_auprc(labels, logits))


def _one_vs_rest(
    labels: Labels,
    logits: Logits,
    area: Callable[[Bool[np.ndarray, " images"], Float[np.ndarray, " images"]], float],
) -> PerClass:
    assert not np.isnan(logits).any(), "logits hold NaN"
    # log p orders as p does, and does not round small probabilities to equal ones
    scores = log_probabilities(logits)
    result = np.full(logits.shape[1], np.nan)
    for index in range(logits.shape[1]):
        positive = labels == index
        if 0 < positive.sum() < len(labels):
            result[index] = area(positive, scores[:, index])
    return result


def _auc(positive: Bool[np.ndarray, " images"], scores: Float[np.ndarray, " images"]) -> float:
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    _, level, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[level]  # from 1, the mean of ties
    u = rank[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(u / (n_positive * n_negative))


def _average_precision(
    positive: Bool[np.ndarray, " images"], scores: Float[np.ndarray, " images"]
) -> float:
    _, level, n_images = np.unique(-scores, return_inverse=True, return_counts=True)
    n_hits = np.bincount(level, weights=positive, minlength=len(n_images))
    precision = np.cumsum(n_hits) / np.cumsum(n_images)
    return float((n_hits * precision).sum() / n_hits.sum())


def _mean(values: PerClass) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
