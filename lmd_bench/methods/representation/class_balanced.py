"""Class-balanced cross-entropy: rare classes weigh more, from the start or deferred.

    L = mean_b w_y CE(z_b, y_b) / sum_j pi_j w_j
    effective_number  w_j = (1 - beta) / (1 - beta^n_j)      inverse  w_j = n_j^-gamma

pi_j = n_j / N, so the weights have the mean 1 over the training images. Before `start` (a share of
training) all weigh the same; with start = 0.8 this is deferred re-weighting (DRW).

Paper: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, Eq. 3;
deferred: Cao et al., NeurIPS 2019, Algorithm 1.
URL: https://arxiv.org/abs/1901.05555
Compared with https://github.com/richardaecn/class-balanced-loss@1d7857208a (its softmax branch)
and, deferred, https://github.com/kaidic/LDAM-DRW@2536330f2a: value and gradient are theirs but for
the factors below.

What differs: the first divides by the images of the batch alone, which leaves a loss of sum_j pi_j
w_j (.1 to .3) of the plain one's size; the second by the weights of the batch, which takes its
weight from a batch of one class. Ours divides by the constant that both come to in the mean.
Defaults: beta .9999, their best on long-tailed CIFAR; gamma 1.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.methods.class_weights import (
    effective_number_weights,
    inverse_frequency_weights,
    of_mean_one,
)
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

VERSION = 2


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
        weights = (
            effective_number_weights(self.class_counts, self.config.beta)
            if self.config.scheme == "effective_number"
            else inverse_frequency_weights(self.class_counts, self.config.gamma)
        )
        self.weights = of_mean_one(weights, self.class_counts)

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
