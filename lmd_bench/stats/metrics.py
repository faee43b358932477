"""Metrics of a classifier's logits: pure NumPy functions; each metric knows its direction.

An undefined value is NaN, never a number: the recall of a class without images, the mean recall of
a group without such classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.stats.discrimination import macro_auc, macro_auprc
from lmd_bench.stats.probabilities import (
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
)

Labels = Int64[np.ndarray, " images"]
Logits = Float[np.ndarray, "images classes"]
Recall = Float[np.ndarray, " classes"]
Group = Literal["many", "medium", "few"]


@dataclass(frozen=True)
class Metric:
    """A named number of labels and logits."""

    name: str
    higher_is_better: bool
    function: Callable[[Labels, Logits], float]
    in_percent: bool = True  # tables show 100 times the value


def per_class_recall(labels: Labels, logits: Logits) -> Recall:
    """Return the share of each class's images that are predicted as that class.

    Args:
        labels: Index of the true class of each image.
        logits: Scores; the predicted class is the first of the highest.

    Returns:
        Recall in [0, 1], one for each column of `logits`; NaN where a class has no image.
    """
    confusion = _confusion(labels, logits)
    n_images = confusion.sum(axis=1)
    recall = np.full(len(n_images), np.nan)
    return np.divide(confusion.diagonal(), n_images, out=recall, where=n_images > 0)


def images_of_classes(labels: Labels, logits: Logits) -> Int64[np.ndarray, " classes"]:
    """Return how many images each class has."""
    return np.bincount(labels, minlength=logits.shape[1]).astype(np.int64)


def balanced_accuracy(labels: Labels, logits: Logits) -> float:
    """Return the mean recall over the classes that have images, in [0, 1]."""
    recall = per_class_recall(labels, logits)
    return float(recall[~np.isnan(recall)].mean())


def macro_f1(labels: Labels, logits: Logits) -> float:
    """Return the mean F1 over the classes that have images, in [0, 1].

    F1 = 2 TP / (2 TP + FP + FN). It is defined for every class with images: one that is never
    predicted has F1 = 0, although its precision is undefined.
    """
    confusion = _confusion(labels, logits)
    n_images, n_predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    present = n_images > 0
    f1 = 2 * confusion.diagonal()[present] / (n_images + n_predicted)[present]
    return float(f1.mean())


def accuracy(labels: Labels, logits: Logits) -> float:
    """Return the share of images that are predicted right, in [0, 1]."""
    confusion = _confusion(labels, logits)
    return float(confusion.trace() / confusion.sum())


def worst_class_recall(labels: Labels, logits: Logits) -> float:
    """Return the lowest recall among the classes that have images, in [0, 1]."""
    return float(np.nanmin(per_class_recall(labels, logits)))


def mcc(labels: Labels, logits: Logits) -> float:
    """Return Matthews' correlation of true and predicted class, in [-1, 1], for K classes.

    (c s - sum_k t_k p_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2)), with s images, c of them
    right, t_k truly and p_k predicted as class k. NaN where either is one class alone.

    Paper: Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient,
    Computational Biology and Chemistry 2004. URL: https://doi.org/10.1016/j.compbiolchem.2004.09.006
    """
    confusion = _confusion(labels, logits).astype(np.float64)
    s, c = confusion.sum(), confusion.trace()
    t, p = confusion.sum(axis=1), confusion.sum(axis=0)
    scale = (s**2 - (p**2).sum()) * (s**2 - (t**2).sum())
    return float((c * s - t @ p) / np.sqrt(scale)) if scale > 0 else float("nan")


def kappa(labels: Labels, logits: Logits) -> float:
    """Return Cohen's kappa, unweighted as the classes have no order, in [-1, 1].

    (p_o - p_e) / (1 - p_e), with p_o the observed agreement and p_e that of chance. NaN where
    chance agrees always: one and the same class alone, truly and predicted.

    Paper: Cohen, A coefficient of agreement for nominal scales, 1960.
    URL: https://doi.org/10.1177/001316446002000104
    """
    confusion = _confusion(labels, logits).astype(np.float64)
    s, c = confusion.sum(), confusion.trace()
    chance = confusion.sum(axis=1) @ confusion.sum(axis=0)  # s^2 p_e, exact as it counts images
    return float((s * c - chance) / (s**2 - chance)) if chance < s**2 else float("nan")


def group_recall(recall: Recall, groups: Sequence[str], group: Group) -> float:
    """Return the mean recall over a group's classes that have images; NaN if there are none.

    Args:
        recall: Recall of each class, NaN where a class has no image.
        groups: Group of each class.
        group: The group to average.
    """
    inside = np.array([name == group for name in groups], dtype=bool) & ~np.isnan(recall)
    return float(recall[inside].mean()) if inside.any() else float("nan")


METRICS = {
    metric.name: metric
    for metric in (
        Metric("balanced_accuracy", higher_is_better=True, function=balanced_accuracy),
        Metric("macro_f1", higher_is_better=True, function=macro_f1),
        Metric("accuracy", higher_is_better=True, function=accuracy),
        Metric("nll", False, negative_log_likelihood, in_percent=False),
        Metric("brier", False, brier_score, in_percent=False),
        Metric("ece", higher_is_better=False, function=expected_calibration_error),
    )
}

# Rows hold METRICS of val and of test, the others of test alone; earlier versions left these out,
# and they are computed from stored logits when they are asked for.
FROM_LOGITS = METRICS | {
    metric.name: metric
    for metric in (
        Metric("mcc", True, mcc, in_percent=False),
        Metric("kappa", True, kappa, in_percent=False),
        Metric("worst_class_recall", higher_is_better=True, function=worst_class_recall),
        Metric("macro_auc", higher_is_better=True, function=macro_auc),
        Metric("macro_auprc", higher_is_better=True, function=macro_auprc),
        Metric("classwise_ece", higher_is_better=False, function=classwise_calibration_error),
    )
}


def evaluate(labels: Labels, logits: Logits, groups: tuple[str, ...]) -> dict[str, float]:
    """Return every stored metric by name, and the mean recall of each group as `<group>_recall`."""
    recall = per_class_recall(labels, logits)
    return {name: metric.function(labels, logits) for name, metric in METRICS.items()} | {
        "many_recall": group_recall(recall, groups, "many"),
        "medium_recall": group_recall(recall, groups, "medium"),
        "few_recall": group_recall(recall, groups, "few"),
    }


def evaluate_further(labels: Labels, logits: Logits) -> dict[str, float]:
    """Return the metrics that rows hold of test alone, by name."""
    further = [metric for name, metric in FROM_LOGITS.items() if name not in METRICS]
    return {metric.name: metric.function(labels, logits) for metric in further}


def _confusion(labels: Labels, logits: Logits) -> Int64[np.ndarray, "classes classes"]:
    # argmax would quietly name NaN the winner and turn a diverged run into a result
    assert not np.isnan(logits).any(), "logits hold NaN"
    assert len(labels) > 0, "there are no images to judge"
    n_classes = logits.shape[1]
    cells = labels * n_classes + logits.argmax(axis=1)
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes).astype(np.int64)
