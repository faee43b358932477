"""Weight balancing, stage 2: class-balanced loss, weight decay and a bound on class weights.

    L = mean_{b,j} w_{y_b} BCE(p_bj, [y_b = j]),   p = softmax(W f + b)
    after each epoch  w_j <- w_j min(1, delta / |w_j|)  (MaxNorm)
    delta = min_j |w_j| + t (max_j |w_j| - min_j |w_j|)  of the stage-1 head

from the stage-1 head, on naturally drawn images; w are the weights of the effective numbers.

Paper: Alshammari et al., Long-Tailed Recognition via Weight Balancing, CVPR 2022, section 3.
URL: https://arxiv.org/abs/2203.14197
Code it was compared with: https://github.com/ShadeAlsha/LTR-weight-balancing, commit e89f29273d. A
test asserts equal loss, gradient, bounds and projected weights. The loss is that code's: binary
cross-entropy of the softmax probabilities; the paper's text has weighted cross-entropy.

What differs: smaller batches on small train sets (_sgd.py); the learning rate falls at each step,
there at each epoch. Their stage 1 has a tuned weight decay: `training.weight_decay` of the named
method.
Defaults: beta .9999, decay .1, t .1, lr .01, 10 epochs, batch 64: that code.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._sgd import fit_head
from lmd_bench.methods.class_weights import effective_number_weights
from lmd_bench.methods.config import require

VERSION = 2


@dataclass(frozen=True)
class Config:
    """Loss, decay and bound."""

    beta: float = 0.9999
    lr: float = 0.01
    weight_decay: float = 0.1
    max_norm: float = 0.1  # t: 0 bounds all lengths by the shortest, 1 binds none
    n_epochs: int = 10  # passes over train
    batch_size: int = 64  # at most; a small train set has smaller ones

    def __post_init__(self) -> None:
        """Refuse values that no training can run with."""
        require(0 <= self.beta < 1, f"beta={self.beta} must lie in [0, 1)")
        require(self.lr > 0, f"lr={self.lr} must be above 0")
        require(0 <= self.max_norm <= 1, f"max_norm={self.max_norm} must lie in [0, 1]")
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
        bound = norm_bound(weight, config.max_norm)
        curve = fit_head(
            stage1,
            head,
            optimiser,
            config,
            lambda logits, labels: class_balanced_bce(logits, labels, weights),
            balanced=False,
            after_epoch=lambda: bound_norms(weight, bound),
        )
        return Calibrated(stage1.model, curve)


def class_balanced_bce(
    logits: Float[Tensor, "batch classes"],
    labels: Int64[Tensor, " batch"],
    weights: Float[Tensor, " classes"],
) -> Float[Tensor, ""]:
    """Return the mean over images and classes of w_y BCE(softmax(z)_j, [y = j])."""
    targets = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    of_image = weights.to(logits.dtype)[labels, None].expand_as(logits)
    return F.binary_cross_entropy(logits.softmax(dim=1), targets, weight=of_image)


def norm_bound(weight: Float[Tensor, "classes features"], threshold: float) -> float:
    """Return min + threshold (max - min) of the rows' lengths."""
    norms = weight.detach().norm(dim=1)
    return float(torch.lerp(norms.min(), norms.max(), threshold))


@torch.no_grad()
def bound_norms(weight: nn.Parameter, bound: float) -> None:
    """Shorten each row to `bound` where it is longer, in place."""
    norms = weight.norm(dim=1, keepdim=True)
    weight.mul_((bound / norms.clamp_min(1e-12)).clamp_max(1.0))
