"""Focal loss: images that are right already weigh less.

    softmax   L = mean_b w_y (1 - p_y)^gamma (-log p_y)
    sigmoid   L = mean_b w_y sum_j (1 - q_j)^gamma (-log q_j)
              q_j = sigma(z_j) for the own class, 1 - sigma(z_j) for the others

w_j = 1, or for beta > 0 (CB-Focal) (1 - beta) / (1 - beta^n_j) over its mean on the training set.

Paper: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, Eq. 4.
URL: https://arxiv.org/abs/1708.02002
Compared with https://github.com/kaidic/LDAM-DRW@2536330f2a (softmax) and, for CB-Focal, with
https://github.com/richardaecn/class-balanced-loss@1d7857208a (sigmoid): value and gradient.

What differs: the first puts class weights into p_y as well, (1 - e^(-w CE))^gamma w CE; the second
has weights that sum to K, so its loss is sum_j pi_j w_j (.1 to .3) of ours. The paper's alpha
weighs object against background, which classification has not.
Defaults: gamma 2, the paper's best; beta 0; softmax, as long-tail benchmarks use it. CB-Focal is
sigmoid, as its authors run it, and its head then starts at the odds of one class in K.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.methods.class_weights import effective_number_weights, of_mean_one
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

VERSION = 2


@dataclass(frozen=True)
class Config:
    """Focus and class weights."""

    gamma: float = 2.0
    beta: float = 0.0  # 0: no class weights
    form: Literal["softmax", "sigmoid"] = "softmax"

    def __post_init__(self) -> None:
        """Refuse values for which the loss is not defined."""
        require(self.gamma >= 0, f"gamma={self.gamma} must not be negative")
        require(0 <= self.beta < 1, f"beta={self.beta} must lie in [0, 1)")


def focal_losses(
    logits: Logits, labels: Labels, gamma: float, form: Literal["softmax", "sigmoid"] = "softmax"
) -> Float[Tensor, " batch"]:
    """Return the focal loss of each image."""
    if form == "softmax":
        return focused(F.cross_entropy(logits, labels, reduction="none"), gamma)
    own = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, own, reduction="none")
    return focused(losses, gamma).sum(dim=1)


def focused(losses: Float[Tensor, "..."], gamma: float) -> Float[Tensor, "..."]:
    """Return (1 - p)^gamma (-log p) for losses -log p."""
    # expm1 keeps the digits of 1 - p = 1 - exp(-loss) where p is near 1
    return (-torch.expm1(-losses)).clamp_min(1e-12).pow(gamma) * losses


class Focal(Criterion):
    """The focal loss, class-balanced if asked for."""

    def prepare(self) -> None:
        """Compute the weights once."""
        weights = effective_number_weights(self.class_counts, self.config.beta)
        self.weights = of_mean_one(weights, self.class_counts)

    @staticmethod
    def make_head(config: Any, n_features: int, n_classes: int) -> nn.Module:
        """Return a linear head; for sigmoids its biases start at the odds of one class in K."""
        head = nn.Linear(n_features, n_classes)
        if config.form == "sigmoid":
            nn.init.constant_(head.bias, -math.log(n_classes - 1))
        return head

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean focal loss."""
        config: Config = self.config
        losses = focal_losses(logits, labels, config.gamma, config.form)
        return (self.weights[labels] * losses).mean()
