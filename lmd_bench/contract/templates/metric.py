"""The geometric mean of the classes' recalls: 0 as soon as one class is never found."""

import numpy as np

from lmd_bench.stats.metrics import Labels, Logits, per_class_recall
from lmd_bench.stats.own import OwnMetric
from lmd_bench.stats.probabilities import Weights


class TemplateName(OwnMetric):
    """exp(mean log recall) over the classes that have images."""

    title = "TemplateName"

    @staticmethod
    def value(labels: Labels, logits: Logits, weights: Weights) -> float:
        """Return the metric in [0, 1]; recalls need no weights of images."""
        recall = per_class_recall(labels, logits)
        recall = recall[~np.isnan(recall)]
        return float(np.prod(recall) ** (1.0 / len(recall)))
