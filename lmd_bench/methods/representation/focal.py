"""Focal loss: images that are right already weigh less.

    L = mean_b w_y (1 - p_y)^gamma CE(z_b, y_b)

w_j = 1, or the class-balanced weights (1 - beta) / (1 - beta^n_j) for beta > 0 (CB-Focal).

Paper: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, Eq. 4.
URL: https://arxiv.org/abs/1708.02002

What differs: softmax instead of K sigmoids, as long-tail benchmarks use it.
Defaults: gamma 2, the paper's best; beta 0.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.methods.class_weights import effective_number_weights
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Focus and class weights."""

    gamma: float = 2.0
    beta: float = 0.0  # 0: no class weights

    def __post_init__(self) -> None:
        """Refuse values for which the loss is not defined."""
        require(self.gamma >= 0, f"gamma={self.gamma} must not be negative")
        require(0 <= self.beta < 1, f"beta={self.beta} must lie in [0, 1)")


def focal_losses(logits: Logits, labels: Labels, gamma: float) -> Float[Tensor, " batch"]:
    """Return (1 - p_y)^gamma CE of each image, from log p, which never overflows."""
    losses = F.cross_entropy(logits, labels, reduction="none")
    # 1 - p_y = 1 - exp(-CE); expm1 keeps its digits where p_y is near 1
    return (-torch.expm1(-losses)).clamp_min(1e-12).pow(gamma) * losses


class Focal(Criterion):
    """The focal loss, class-balanced if asked for."""

    def prepare(self) -> None:
        """Compute the weights once."""
        self.weights = effective_number_weights(self.class_counts, self.config.beta)

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean focal loss."""
        return (self.weights[labels] * focal_losses(logits, labels, self.config.gamma)).mean()
