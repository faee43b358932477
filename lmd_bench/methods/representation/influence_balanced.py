"""Influence-balanced loss: images that bend the decision boundary most weigh less.

    L = mean_b lambda_y CE(z_b, y_b) alpha / (I_b + 0.001),   I_b = |p_b - e_y|_1 |f_b|_1

from `start` on; plain cross-entropy before. I is the influence, the L1 norm of the gradient in the
head's weights; alpha is its mean over the batch; lambda_j ~ 1 / n_j with mean 1 over the training
images. So every image pulls by the batch's mean influence, whatever its own, times its class's
weight, and the switch leaves the size of the loss and of its gradient about as they were.

Paper: Park et al., Influence-Balanced Loss for Imbalanced Visual Classification, ICCV 2021,
Eqs. 8 and 10.
URL: https://arxiv.org/abs/2110.02444
Compared with https://github.com/pseulki/IB-Loss@b29b8b005f: value and gradient are theirs with the
factor cut off the graph, but for the constant.

What differs: alpha is 1000 in their code, to be set so that the loss keeps its level when the
factors begin (their issue 1); the mean influence does that for any width. No gradient flows through
the factor, as the paper re-weights; in their code it does. Their learning rate falls to a hundredth
when the factors begin; here the schedule stays the shared one.
Default: start .5, half of training as in their code.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.methods.class_weights import inverse_frequency_weights, of_mean_one
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

EPSILON = 1e-3

VERSION = 2


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
        weights = inverse_frequency_weights(self.class_counts, 1.0)
        self.weights = of_mean_one(weights, self.class_counts)

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
            of_images = influence(features, logits, labels)
            factors = self.weights[labels] * of_images.mean() / (of_images + EPSILON)
        return (factors * losses).mean()
