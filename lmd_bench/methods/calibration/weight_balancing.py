"""Weight balancing, stage 2: class-balanced loss, weight decay and a bound on class weights.

    L = mean_b w_y CE(W f + b, y),   then  w_j <- w_j min(1, delta / |w_j|)  (MaxNorm)

from the stage-1 head, on naturally drawn images.

Paper: Alshammari et al., Long-Tailed Recognition via Weight Balancing, CVPR 2022, section 3.
URL: https://arxiv.org/abs/2203.14197
Code it was compared with: https://github.com/ShadeAlsha/LTR-weight-balancing

What differs: delta is a multiple of the mean length of the stage-1 head's class weights, since the
published .1 belongs to one data set's scale. Their stage 1 has a tuned weight decay:
`training.weight_decay` of the named method.
Defaults: beta .9999, decay .1, lr .01, 10 epochs: that code; delta 1.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._sgd import fit_head
from lmd_bench.methods.class_weights import effective_number_weights
from lmd_bench.methods.config import require

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Loss, decay and bound."""

    beta: float = 0.9999
    lr: float = 0.01
    weight_decay: float = 0.1
    max_norm: float = 1.0  # delta, in mean lengths of the stage-1 class weights
    n_epochs: int = 10
    batch_size: int = 512

    def __post_init__(self) -> None:
        """Refuse values that no training can run with."""
        require(0 <= self.beta < 1, f"beta={self.beta} must lie in [0, 1)")
        require(self.lr > 0, f"lr={self.lr} must be above 0")
        require(self.max_norm > 0, f"max_norm={self.max_norm} must be above 0")
        require(self.n_epochs >= 1, f"n_epochs={self.n_epochs} must be at least 1")
        require(self.batch_size >= 1, f"batch_size={self.batch_size} must be at least 1")


class WeightBalancing(Calibration):
    """Trains the stage-1 head on with bounded class weights."""

    needs_linear_head: ClassVar[bool] = True

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the stage-1 classifier with balanced weights."""
        config: Config = self.config
        head = stage1.model.head
        optimiser = torch.optim.SGD(
            head.parameters(), lr=config.lr, momentum=0.9, weight_decay=config.weight_decay
        )
        weights = effective_number_weights(stage1.class_counts, config.beta)
        weights = weights.to(stage1.class_counts.device)
        weight = head.get_parameter("weight")
        bound = config.max_norm * float(weight.detach().norm(dim=1).mean())
        curve = fit_head(
            stage1,
            head,
            optimiser,
            config,
            lambda logits, labels: (
                weights[labels] * F.cross_entropy(logits, labels, reduction="none")
            ).mean(),
            balanced=False,
            after_step=lambda: bound_norms(weight, bound),
        )
        return Calibrated(stage1.model, curve)


@torch.no_grad()
def bound_norms(weight: nn.Parameter, bound: float) -> None:
    """Shorten each row to `bound` where it is longer, in place."""
    norms = weight.norm(dim=1, keepdim=True)
    weight.mul_((bound / norms.clamp_min(1e-12)).clamp_max(1.0))
