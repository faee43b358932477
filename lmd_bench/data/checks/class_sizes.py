"""How finely a test set can judge: images of each class, and the smallest difference it can show.

The recall of a class with n test images moves in steps of 1/n. Two methods with balanced accuracies
d apart are told apart with power 1 - b at level a (two-sided) where

    d = (z_{1-a/2} + z_{1-b}) * sqrt(2 * sum_k p (1 - p) / n_k) / K,

the usual sample size of two proportions (Fleiss, Levin, Paik: Statistical Methods for Rates and
Proportions, 3rd ed. 2003, chapter 4) for a mean of K of them, each class judged on its own images.
p = 1/2 is the worst case. Two methods that err on the same images are told apart earlier; images of
one lesion count for less than as many lesions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.split import Split

FEWEST = 10  # val or test images; below, one image moves the class's recall by over 10 points
LEVEL, POWER = 0.05, 0.80


@dataclass(frozen=True)
class ClassSize:
    """The images of one class in each split."""

    name: str
    n_train: int
    n_val: int
    n_test: int

    @property
    def recall_step(self) -> float:
        """Return what one test image changes in the class's recall, 0 to 1; infinite for none."""
        return 1 / self.n_test if self.n_test else math.inf

    @property
    def too_small(self) -> bool:
        """Return whether val or test holds fewer than `FEWEST` images of the class."""
        return min(self.n_val, self.n_test) < FEWEST


def class_sizes(table: ImageTable, split: Split) -> tuple[ClassSize, ...]:
    """Return the size of every class, in class order."""
    n_classes = len(table.class_names)
    counts = [
        np.bincount(table.labels[rows], minlength=n_classes).tolist()
        for rows in (split.train, split.val, split.test)
    ]
    return tuple(ClassSize(name, *n) for name, *n in zip(table.class_names, *counts, strict=True))


def smallest_difference(test_counts: Sequence[int]) -> float:
    """Return the smallest difference of balanced accuracy that is shown at 80 % power.

    Args:
        test_counts: test images of each class; of one class alone, its recall is judged.

    Returns:
        0 to 1 and above; infinite where a class has no image.
    """
    if not all(test_counts):
        return math.inf
    normal = NormalDist()
    z = normal.inv_cdf(1 - LEVEL / 2) + normal.inv_cdf(POWER)
    return z * math.sqrt(2 * sum(0.25 / n for n in test_counts)) / len(test_counts)
