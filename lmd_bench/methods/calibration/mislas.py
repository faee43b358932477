"""MiSLAS, stage 2: label-aware smoothing on balanced draws; class factors, and a slow head.

    L = label-aware smoothed cross-entropy of s_j (w_j f + b_j)

s is trained at `lr`, the stage-1 weights w and b at `lr * head_lr_factor`.

Paper: Zhong et al., Improving Calibration for Long-Tailed Recognition, CVPR 2021, section 3.4.
URL: https://arxiv.org/abs/2104.00466
Code it was compared with: https://github.com/dvlab-research/MiSLAS, commit 0fc381e333. A test
asserts equal smoothing shares, and loss and gradient equal to theirs at shares of (K - 1) / K.

What differs: a label's share is spread over the other K - 1 classes, as the paper's Eq. 8 says;
their code spreads it over all K, so that at K = 2 the own class keeps .85 there and .70 here.
BatchNorm statistics are not re-estimated (their `shift_bn`, which their CIFAR-10 runs leave off):
features are those of the frozen encoder. Smaller batches on small train sets (_sgd.py). Their
stage 1 trains with mixup: `training.mixing` of the named method.
Defaults: smoothing .3 to 0, lr .1, factor .1: their configuration of CIFAR-100 at factor 50 (at 100
it is .4 to .1 and .2, on CIFAR-10 the factor is .5); weight decay 2e-4, 10 epochs of n_max x K
draws and batch 128: all their CIFAR configurations.
"""

from dataclasses import dataclass

import torch

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._sgd import fit_head
from lmd_bench.methods.class_weights import smoothed_cross_entropy, smoothing
from lmd_bench.methods.config import require
from lmd_bench.methods.models.heads import ScaledHead

VERSION = 2


@dataclass(frozen=True)
class Config:
    """Smoothing and training."""

    smooth_head: float = 0.3
    smooth_tail: float = 0.0
    lr: float = 0.1
    head_lr_factor: float = 0.1
    weight_decay: float = 2.0e-4
    n_epochs: int = 10  # of n_max x K draws
    batch_size: int = 128  # at most; a small train set has smaller ones

    def __post_init__(self) -> None:
        """Refuse values that no training can run with."""
        require(0 <= self.smooth_head < 1, f"smooth_head={self.smooth_head} must lie in [0, 1)")
        require(0 <= self.smooth_tail < 1, f"smooth_tail={self.smooth_tail} must lie in [0, 1)")
        require(self.lr > 0, f"lr={self.lr} must be above 0")
        require(self.head_lr_factor >= 0, "head_lr_factor must not be negative")
        require(self.n_epochs >= 1, f"n_epochs={self.n_epochs} must be at least 1")
        require(self.batch_size >= 1, f"batch_size={self.batch_size} must be at least 1")


class Mislas(Calibration):
    """Trains class factors and, slowly, the stage-1 head."""

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the stage-1 classifier, re-trained with smoothed labels."""
        config: Config = self.config
        head = ScaledHead(stage1.model.head, stage1.n_classes).to(stage1.features[0].device)
        head.head.requires_grad_(True)
        groups = [
            {"params": [head.scale], "lr": config.lr},
            {"params": list(head.head.parameters()), "lr": config.lr * config.head_lr_factor},
        ]
        optimiser = torch.optim.SGD(groups, momentum=0.9, weight_decay=config.weight_decay)
        shares = smoothing(stage1.class_counts, config.smooth_head, config.smooth_tail)
        curve = fit_head(
            stage1,
            head,
            optimiser,
            config,
            lambda logits, labels: smoothed_cross_entropy(logits, labels, shares),
        )
        stage1.model.head = head
        return Calibrated(stage1.model, curve)
