"""Metrics of a classifier's logits: pure NumPy functions; each metric knows its direction.

Where val and test hold as many images of a class as could be had, and not as many as are met in
practice, `equal_prior` weights the images so that all classes count the same. An undefined value is
NaN, never a number: the recall of a class without images, the mean recall of a group without such
classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64

from lmd_bench.stats.discrimination import macro_auc, macro_auprc
from lmd_bench.stats.probabilities import (
    Weights,
    brier_score,
    calibration_error_by_chance,
    classwise_calibration_error,
    classwise_error_by_chance,
    expected_calibration_error,
    negative_log_likelihood,
)

Labels = Int64[np.ndarray, " images"]
Logits = Float[np.ndarray, "images classes"]
Recall = Float[np.ndarray, " classes"]
Group = Literal["many", "medium", "few"]


@dataclass(frozen=True)
class Metric:
    """A named number of labels and logits, and where it is shown.

    `function` takes labels, logits and the weight of each image, or None. A metric of a group is
    the mean recall of its classes.
    """

    name: str
    title: str
    function: Callable[[Labels, Logits, Weights], float] | None
    higher_is_better: bool = True
    percent: bool = True  # tables show 100 times the value
    on_val: bool = True  # rows hold it of val and of test, else of test alone
    scaled: bool = False  # rows also hold it of test after temperature scaling
    in_board: bool = False  # a column of the leaderboard and of ablations without being asked for
    headline: bool = False  # also shown of the default configuration, and judged by `reproduce`
    objective: bool = False  # a search can optimise it on val
    group: Group | None = None
    short: str = ""  # the title in the head of a narrow column; empty: the title
    note: str = ""  # what a reader must know of it, below a table

    @property
    def is_of_logits(self) -> bool:
        """Return whether labels and logits give it; one after scaling stands in rows alone."""
        return self.function is not None or self.group is not None

    def value(
        self,
        labels: Labels,
        logits: Logits,
        groups: Sequence[str] = (),
        weights: Weights = None,
    ) -> float:
        """Return the metric; a metric of a group needs the group of each class."""
        if self.function is not None:
            return self.function(labels, logits, weights)
        assert self.group is not None, f"{self.name} has neither a function nor a group"
        return group_recall(per_class_recall(labels, logits), groups, self.group)


def equal_prior(labels: Labels) -> Float[np.ndarray, " images"]:
    """Return the weights of images by which every class counts the same."""
    return 1.0 / np.bincount(labels)[labels]


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


def balanced_accuracy(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the mean recall over the classes that have images, in [0, 1]."""
    recall = per_class_recall(labels, logits)
    return float(recall[~np.isnan(recall)].mean())


def macro_f1(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the mean F1 over the classes that have images, in [0, 1].

    F1 = 2 TP / (2 TP + FP + FN). It is defined for every class with images: one that is never
    predicted has F1 = 0, although its precision is undefined.
    """
    confusion = _confusion(labels, logits, weights)
    n_images, n_predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    present = n_images > 0
    f1 = 2 * confusion.diagonal()[present] / (n_images + n_predicted)[present]
    return float(f1.mean())


def accuracy(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the share of images that are predicted right, in [0, 1]."""
    confusion = _confusion(labels, logits, weights)
    return float(confusion.trace() / confusion.sum())


def worst_class_recall(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return the lowest recall among the classes that have images, in [0, 1]."""
    return float(np.nanmin(per_class_recall(labels, logits)))


def mcc(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return Matthews' correlation of true and predicted class, in [-1, 1], for K classes.

    (c s - sum_k t_k p_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2)), with s images, c of them
    right, t_k truly and p_k predicted as class k. NaN where either is one class alone.

    Paper: Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient,
    Computational Biology and Chemistry 2004. URL: https://doi.org/10.1016/j.compbiolchem.2004.09.006
    """
    confusion = _confusion(labels, logits, weights)
    s, c = confusion.sum(), confusion.trace()
    t, p = confusion.sum(axis=1), confusion.sum(axis=0)
    scale = (s**2 - (p**2).sum()) * (s**2 - (t**2).sum())
    return float((c * s - t @ p) / np.sqrt(scale)) if scale > 0 else float("nan")


def kappa(labels: Labels, logits: Logits, weights: Weights = None) -> float:
    """Return Cohen's kappa, unweighted as the classes have no order, in [-1, 1].

    (p_o - p_e) / (1 - p_e), with p_o the observed agreement and p_e that of chance. NaN where
    chance agrees always: one and the same class alone, truly and predicted.

    Paper: Cohen, A coefficient of agreement for nominal scales, 1960.
    URL: https://doi.org/10.1177/001316446002000104
    """
    confusion = _confusion(labels, logits, weights)
    s, c = confusion.sum(), confusion.trace()
    chance = confusion.sum(axis=1) @ confusion.sum(axis=0)  # s^2 p_e
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


def _recall_of(group: Group, short: str) -> Metric:
    title = f"Recall of {group}"
    return Metric(
        f"{group}_recall", title, None, in_board=True, objective=True, group=group, short=short
    )


# The one list of metrics, in the order of tables. Every other list of metrics is made of it. Rows
# of earlier versions lack those that are not `on_val`, which are then computed from stored logits.
METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "balanced_accuracy",
            "Balanced accuracy",
            balanced_accuracy,
            in_board=True,
            headline=True,
            objective=True,
            short="Bal. acc.",
        ),
        Metric(
            "macro_f1",
            "Macro-F1",
            macro_f1,
            in_board=True,
            headline=True,
            objective=True,
            short="Macro F1",
        ),
        _recall_of("many", "Many"),
        _recall_of("medium", "Med."),
        _recall_of("few", "Few"),
        Metric(
            "worst_class_recall",
            "Worst class recall",
            worst_class_recall,
            on_val=False,
            note="Worst class recall: a minimum over noisy recalls, so it is low by construction.",
        ),
        Metric("mcc", "MCC", mcc, percent=False, on_val=False),
        Metric("macro_auc", "Macro AUC", macro_auc, on_val=False),
        Metric("macro_auprc", "Macro AUPRC", macro_auprc, on_val=False),
        Metric("accuracy", "Accuracy", accuracy, objective=True),
        Metric("kappa", "Kappa", kappa, percent=False, on_val=False),
        Metric(
            "nll",
            "NLL",
            negative_log_likelihood,
            higher_is_better=False,
            percent=False,
            scaled=True,
        ),
        Metric("brier", "Brier", brier_score, higher_is_better=False, percent=False, scaled=True),
        Metric("ece", "ECE", expected_calibration_error, higher_is_better=False, scaled=True),
        Metric(
            "classwise_ece",
            "Class-wise ECE",
            classwise_calibration_error,
            higher_is_better=False,
            on_val=False,
        ),
    )
}

# What tables also show if asked: no column of the rows has these names, or none of `METRICS`.
_BESIDE = {
    "ece": Metric(
        "ece_by_chance",
        "ECE by chance",
        calibration_error_by_chance,
        higher_is_better=False,
        on_val=False,
        note="By chance: the ECE that probabilities as these would have on as many images if they "
        "were perfectly calibrated; what lies near it is not shown to be miscalibrated.",
    ),
    "classwise_ece": Metric(
        "classwise_ece_by_chance",
        "Class-wise ECE by chance",
        classwise_error_by_chance,
        higher_is_better=False,
        on_val=False,
    ),
}
BESIDE = {name: metric.name for name, metric in _BESIDE.items()}  # always shown beside the other
PRIMARY = METRICS["balanced_accuracy"]  # what methods are ranked by


def shown_metrics() -> dict[str, Metric]:
    """Return all metrics that a table may show, by name: also those that no row is asked for."""
    named: dict[str, Metric] = {}
    for name, metric in METRICS.items():
        named[name] = metric
        if name in _BESIDE:
            named[BESIDE[name]] = _BESIDE[name]
    return named | {f"scaled_{m.name}": _scaled(m) for m in METRICS.values() if m.scaled}


def _scaled(metric: Metric) -> Metric:
    return replace(
        metric,
        name=f"scaled_{metric.name}",
        title=f"{metric.title}, scaled",
        function=None,
        objective=False,
        note="Scaled: after temperature scaling on val.",
    )


def evaluate(
    labels: Labels, logits: Logits, groups: tuple[str, ...], weights: Weights = None
) -> dict[str, float]:
    """Return every metric that rows hold of val and of test, by name."""
    stored = [metric for metric in METRICS.values() if metric.on_val]
    return {metric.name: metric.value(labels, logits, groups, weights) for metric in stored}


def evaluate_further(labels: Labels, logits: Logits, weights: Weights = None) -> dict[str, float]:
    """Return the metrics that rows hold of test alone, by name."""
    further = [metric for metric in METRICS.values() if not metric.on_val]
    return {metric.name: metric.value(labels, logits, weights=weights) for metric in further}


def evaluate_scaled(
    labels: Labels, logits: Logits, temperature: float, weights: Weights = None
) -> dict[str, float]:
    """Return the metrics that rows hold of test after temperature scaling, by name."""
    scaled = logits.astype(np.float64) / temperature
    metrics = [metric for metric in METRICS.values() if metric.scaled]
    return {metric.name: metric.value(labels, scaled, weights=weights) for metric in metrics}


def _confusion(
    labels: Labels, logits: Logits, weights: Weights = None
) -> Float[np.ndarray, "classes classes"]:
    # argmax would quietly name NaN the winner and turn a diverged run into a result
    assert not np.isnan(logits).any(), "logits hold NaN"
    assert len(labels) > 0, "there are no images to judge"
    n_classes = logits.shape[1]
    cells = labels * n_classes + logits.argmax(axis=1)
    # whole numbers without weights, which a float64 holds exactly
    counts = np.bincount(cells, weights=weights, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes).astype(np.float64)
