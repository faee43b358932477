"""Influence-balanced loss: images that bend the decision boundary most weigh less.

    L = mean_b lambda_y CE(z_b, y_b) alpha / (|p_b - e_y|_1 |f_b|_1 + 0.001),   lambda_j ~ 1 / n_j

from `start` on; plain cross-entropy before. The denominator is the L1 norm of the gradient in the
head's weights. No gradient flows through the factor.

Paper: Park et al., Influence-Balanced Loss for Imbalanced Visual Classification, ICCV 2021,
Eqs. 8 and 10.
URL: https://arxiv.org/abs/2110.02444

What differs: the factors are scaled to mean 1 within the batch, so that alpha, which only scales
the learning rate in theirs, is not a second learning rate here; lambda sums to K.
Default: start .5, half of training as in their code.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.methods.class_weights import inverse_frequency_weights
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

EPSILON = 1e-3

VERSION = 1


@dataclass(frozen=True)
class Config:
    """When the factors begin."""

    start: float = 0.5  # share of training

    def __post_init__(self) -> None:
        """Refuse a start outside training."""
        require(0 <= self.start < 1, f"start={self.start} must lie in [0, 1)")


def influence(features: Features, logits: Logits, labels: Labels) -> Float[Tensor, " batch"]:
    """Return |p - e_y|_1 |f|_1, the L1 norm of the loss's gradient in the head (Eq. 7)."""
    residual = logits.softmax(dim=1) - F.one_hot(labels, logits.shape[1])
    return residual.abs().sum(dim=1) * features.abs().sum(dim=1)


class InfluenceBalanced(Criterion):
    """Cross-entropy over each image's influence."""

    def prepare(self) -> None:
        """Compute the class weights once."""
        self.weights = inverse_frequency_weights(self.class_counts, 1.0)

    @classmethod
    def deferral(cls, config: Any) -> float:
        """Return when the factors begin."""
        return config.start

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean influence-balanced loss."""
        losses = F.cross_entropy(logits, labels, reduction="none")
        if self.progress(step) < self.config.start:
            return losses.mean()
        with torch.no_grad():
            factors = 1.0 / (influence(features, logits, labels) + EPSILON)
            factors = self.weights[labels] * factors / factors.mean()
        return (factors * losses).mean()
