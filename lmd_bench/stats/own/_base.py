"""The base of a metric from outside the package."""

from abc import ABC, abstractmethod
from typing import ClassVar

from lmd_bench.stats.metrics import Labels, Logits
from lmd_bench.stats.probabilities import Weights


class OwnMetric(ABC):
    """A number of labels and logits; the name of its file is its name.

    It is computed from stored logits where it is asked for, so no trial is run again for it.
    """

    title: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    percent: ClassVar[bool] = True  # tables show 100 times the value

    @staticmethod
    @abstractmethod
    def value(labels: Labels, logits: Logits, weights: Weights) -> float:
        """Return the metric; NaN where it is not defined.

        Args:
            labels: Index of the true class of each image.
            logits: Scores; the predicted class is the first of the highest.
            weights: Of the images, by which every class counts the same; None: all count the same.
        """
