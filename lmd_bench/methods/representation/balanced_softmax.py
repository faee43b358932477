"""Balanced softmax: the softmax of the training distribution, removed at test time.

    L = - mean_b log( n_y e^{z_y} / sum_j n_j e^{z_j} )

Prediction takes the raw logits, which estimate a class-balanced posterior.

Paper: Ren et al., Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS 2020, Eq. 3.
URL: https://arxiv.org/abs/2007.10740
Compared with https://github.com/jiawei-ren/BalancedMetaSoftmax-Classification@34a61e4328: value and
gradient.

What differs: nothing in the loss; their meta sampler is not part of it. It equals the
logit-adjusted loss with tau = 1 and is kept under its own name, as the field does.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Nothing beyond the shared training config."""


class BalancedSoftmax(Criterion):
    """Cross-entropy of z + log n."""

    prior_in_loss: ClassVar[bool] = True

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean balanced-softmax loss."""
        return F.cross_entropy(logits + self.class_counts.log(), labels)
