"""Vector-scaling loss: logits of rare classes are scaled down and shifted in training.

    L = mean_b CE(Delta_j z_j + tau log pi_j, y_b),   Delta_j = (n_j / n_max)^gamma

Prediction takes the raw logits. gamma = 0 is the logit-adjusted loss, tau = 0 is CDT.

Paper: Kini et al., Label-Imbalanced and Group-Sensitive Classification under Overparameterization,
NeurIPS 2021, Eq. 1.
URL: https://arxiv.org/abs/2103.01550
Compared with https://github.com/orparask/VS-Loss@7ade9c9959 and, at tau 0, with CDT of
https://github.com/zhangyongshun/BagofTricks-LT@ce7859a930: value and gradient.

What differs: nothing in the loss.
Defaults: gamma .3, tau 1: that code.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Exponent of the scale and weight of the shift."""

    gamma: float = 0.3
    tau: float = 1.0

    def __post_init__(self) -> None:
        """Refuse negative values, which would favour the head."""
        require(self.gamma >= 0, f"gamma={self.gamma} must not be negative")
        require(self.tau >= 0, f"tau={self.tau} must not be negative")


class VsLoss(Criterion):
    """Cross-entropy of scaled and shifted logits."""

    prior_in_loss: ClassVar[bool] = True

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean VS loss."""
        counts, config = self.class_counts.float(), self.config
        scale = (counts / counts.max()) ** config.gamma
        return F.cross_entropy(logits * scale + config.tau * self.log_prior(), labels)
