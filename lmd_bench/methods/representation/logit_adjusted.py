"""Logit-adjusted loss: the log prior is added to the logits in training, and only there.

    L = mean_b CE(z_b + tau log pi, y_b),   pi_j = n_j / N

Prediction takes the raw logits.

Paper: Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, Eq. 10.
URL: https://arxiv.org/abs/2007.07314
Compared with https://github.com/google-research/google-research@1d4d2f1aa6 (logit_adjustment):
value and gradient at tau .5, 1 and 1.5.

What differs: nothing beyond their 1e-12 within the logarithm. (A benchmark in use subtracts the
prior in training, which favours the head.)
Default: tau 1, for which the loss is consistent for the balanced error.
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
    """How much of the log prior is added."""

    tau: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a negative tau, which would favour the head."""
        require(self.tau >= 0, f"tau={self.tau} must not be negative")


class LogitAdjusted(Criterion):
    """Cross-entropy of z + tau log pi."""

    prior_in_loss: ClassVar[bool] = True

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean logit-adjusted loss."""
        return F.cross_entropy(logits + self.config.tau * self.log_prior(), labels)
