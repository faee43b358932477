"""k nearest neighbours on features, by cosine, with votes balanced by class if asked for.

    z_j = log( sum over the k nearest with label j of v_j ),   v_j = 1 or 1 / n_j

k is chosen on val by balanced accuracy over 1, 2, 4, ... up to `k_max`, all at once and within one
trial; of equals, the smallest.

Paper: Cover and Hart, Nearest Neighbor Pattern Classification, 1967; balanced votes as the weighted
rule of Tan, Neighbor-weighted K-nearest neighbor for unbalanced text corpus, 2005.
URL: https://doi.org/10.1109/TIT.1967.1053964

What differs: features are L2-normalised. A class without a vote gets log of a millionth vote.
Default: balanced votes, since with plain ones a rare class is outvoted at any larger k.
"""

from dataclasses import dataclass

import torch

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._grid import best_by_balanced_accuracy
from lmd_bench.methods.config import require
from lmd_bench.methods.models.heads import NeighboursHead

VERSION = 1


@dataclass(frozen=True)
class Config:
    """The grid of k, and how neighbours vote."""

    k_max: int = 64
    balanced_votes: bool = True

    def __post_init__(self) -> None:
        """Refuse an empty grid."""
        require(self.k_max >= 1, f"k_max={self.k_max} must be at least 1")


class Knn(Calibration):
    """Replaces the head by the training features."""

    @classmethod
    def n_swept(cls, config: Config) -> int:
        """Return how many k the grid has (fewer where train is smaller than `k_max`)."""
        return config.k_max.bit_length()

    def fit(self, stage1: Stage1) -> Calibrated:
        """Choose k on val and return the encoder with the neighbours' votes."""
        config: Config = self.config
        features, val_features = stage1.features
        labels = stage1.train_set.labels
        largest = min(config.k_max, len(labels))
        grid = [2**i for i in range(largest.bit_length())]
        weights = 1.0 / stage1.class_counts if config.balanced_votes else None
        with torch.no_grad():
            head = NeighboursHead.of(features, labels, stage1.n_classes, weights)
            votes = head.votes(val_features, grid)
            chosen = stage1.settled(
                "k", lambda: best_by_balanced_accuracy(votes, stage1.val_set.labels)
            )
            head.k = grid[chosen]
        stage1.model.head = head
        return Calibrated(stage1.model)
