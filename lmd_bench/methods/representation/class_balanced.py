"""Class-balanced cross-entropy: rare classes weigh more, from the start or deferred.

    L = mean_b w_y CE(z_b, y_b)
    effective_number  w_j = (1 - beta) / (1 - beta^n_j)      inverse  w_j = n_j^-gamma

both scaled to sum to K. Before `start` (a share of training) all weigh the same; with start = 0.8
this is deferred re-weighting (DRW).

Paper: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, Eq. 3;
deferred: Cao et al., NeurIPS 2019, Algorithm 1.
URL: https://arxiv.org/abs/1901.05555

What differs: softmax cross-entropy, where their code offers sigmoid as well; the mean is over
images, not over weights, so the gradient of a class keeps its weight in a batch without others.
Defaults: beta .9999, their best on long-tailed CIFAR; gamma 1.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.methods.class_weights import effective_number_weights, inverse_frequency_weights
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

VERSION = 1


@dataclass(frozen=True)
class Config:
    """The weights of classes."""

    scheme: Literal["effective_number", "inverse"] = "effective_number"
    beta: float = 0.9999
    gamma: float = 1.0
    start: float = 0.0  # share of training before the weights apply

    def __post_init__(self) -> None:
        """Refuse values for which the weights are not defined."""
        require(0 < self.beta < 1, f"beta={self.beta} must lie in (0, 1)")
        require(self.gamma >= 0, f"gamma={self.gamma} must not be negative")
        require(0 <= self.start < 1, f"start={self.start} must lie in [0, 1)")


class ClassBalanced(Criterion):
    """Cross-entropy with class weights."""

    def prepare(self) -> None:
        """Compute the weights once."""
        self.weights = (
            effective_number_weights(self.class_counts, self.config.beta)
            if self.config.scheme == "effective_number"
            else inverse_frequency_weights(self.class_counts, self.config.gamma)
        )

    @classmethod
    def deferral(cls, config: Any) -> float:
        """Return when the weights start."""
        return config.start

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean weighted cross-entropy."""
        losses = F.cross_entropy(logits, labels, reduction="none")
        if self.progress(step) < self.config.start:
            return losses.mean()
        return (self.weights[labels] * losses).mean()
