"""Seesaw loss: a sample punishes classes rarer than its own less, unless they win.

    L = - mean_b log( e^{z_y} / (e^{z_y} + sum_{j != y} S_yj e^{z_j}) ),   S_yj = M_yj C_yj
    M_yj = min(1, N_j / N_y)^p      C_yj = max(1, p_j / max(p_y, .01))^q

N_j counts the images of class j seen so far; no gradient flows through S.

Paper: Wang et al., Seesaw Loss for Long-Tailed Instance Segmentation, CVPR 2021, Eqs. 4 to 7.
URL: https://arxiv.org/abs/2008.10032
Compared with https://github.com/open-mmlab/mmpretrain@ee7f2e8850 over two batches and on confident
mistakes: value and gradient. The bound .01 of p_y is that code's.

What differs: their normalised linear head and objectness branch belong to detection and are left
out. Counts start at the first image, as in the paper.
Defaults: p .8, q 2: the paper.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.methods.class_weights import class_counts
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import (
    Criterion,
    Features,
    Labels,
    Logits,
    PerClass,
)

VERSION = 2

EPSILON = 0.01  # below which p_y is not taken


@dataclass(frozen=True)
class Config:
    """Strength of mitigation and compensation."""

    p: float = 0.8
    q: float = 2.0

    def __post_init__(self) -> None:
        """Refuse negative exponents, which would punish rare classes more."""
        require(self.p >= 0, f"p={self.p} must not be negative")
        require(self.q >= 0, f"q={self.q} must not be negative")


def log_seesaw_factors(
    logits: Logits, labels: Labels, seen: PerClass, p: float, q: float
) -> Logits:
    """Return log S_yj of each image and class; 0 for its own class.

    Args:
        logits: of the batch.
        labels: y.
        seen: images of each class so far; a class unseen counts as 1.
        p: of the mitigation factor.
        q: of the compensation factor.
    """
    log_seen = seen.clamp_min(1.0).log()
    mitigation = p * (log_seen - log_seen[labels, None]).clamp_max(0.0)
    log_p = logits.detach().log_softmax(dim=1)
    log_own = log_p.gather(1, labels[:, None]).clamp_min(math.log(EPSILON))
    compensation = q * (log_p - log_own).clamp_min(0.0)
    return mitigation + compensation  # both are 0 at j = y


class Seesaw(Criterion):
    """Cross-entropy with seesaw factors on the negatives."""

    def prepare(self) -> None:
        """Start counting."""
        self.seen = torch.zeros_like(self.class_counts, dtype=torch.float32)

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Count the labels and return the mean seesaw loss."""
        if not self.uphill:
            self.seen += class_counts(labels, len(self.seen))
        factors = log_seesaw_factors(logits, labels, self.seen, self.config.p, self.config.q)
        return F.cross_entropy(logits + factors, labels)
