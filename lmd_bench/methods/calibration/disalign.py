"""DisAlign: the classifier's logits are re-aligned to a balanced class distribution.

    z'_j = sigma(f) (a_j z_j + b_j) + (1 - sigma(f)) z_j,   sigma(f) = sigmoid(v f + c)
    L = sum_i w_{y_i} CE(z'_i, y_i) / sum_i w_{y_i},   w_j ~ pi_j^-rho

The stage-1 head stays; a, b, v and c are trained on naturally drawn images.

Paper: Zhang et al., Distribution Alignment: A Unified Framework for Long-tail Visual Recognition,
CVPR 2021, Eqs. 5 to 8.
URL: https://arxiv.org/abs/2103.16370

Code it was compared with: https://github.com/Megvii-BaseDetection/DisAlign, commit a2fc3500a1
(segmentation), and https://github.com/Megvii-BaseDetection/cvpods, commit 2deea5dc65
(classification). A test asserts equal logits to the former, logits, loss and gradients equal to the
latter with its a raised by 1, and equal weights w.

What differs: this is the form of the paper and of the segmentation code; the classification code
has (1 + sigma a) z + sigma b, the same function with a - 1 in place of a. With a = 1, b = 0 ours
starts from the stage-1 classifier, theirs from up to twice its logits. v starts at 0, there at .1.
Linear, not cosine, stage-1 heads are as stage 1 left them. Smaller batches on small train sets
(_sgd.py).
Defaults: rho 1.2, lr .1, 10 epochs, batch 256: the classification code's for ImageNet-LT.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._sgd import fit_head
from lmd_bench.methods.config import require, require_sgd
from lmd_bench.methods.models.heads import AlignedHead

VERSION = 2


@dataclass(frozen=True)
class Config:
    """Re-weighting and training."""

    rho: float = 1.2
    lr: float = 0.1
    weight_decay: float = 5.0e-4
    n_epochs: int = 10  # passes over train
    batch_size: int = 256  # at most; a small train set has smaller ones

    def __post_init__(self) -> None:
        """Refuse values that no training can run with."""
        require(self.rho >= 0, f"rho={self.rho} must not be negative")
        require_sgd(self.lr, self.n_epochs, self.batch_size)


def class_weights(counts: Int64[Tensor, " classes"], rho: float) -> Float[Tensor, " classes"]:
    """Return pi_j^-rho; the weighted mean of the loss divides their scale out."""
    return (counts / counts.sum()) ** -rho


class DisAlign(Calibration):
    """Trains the alignment of the stage-1 logits."""

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the stage-1 classifier with aligned logits."""
        config: Config = self.config
        features, _ = stage1.features
        head = AlignedHead(stage1.model.head, features.shape[1], stage1.n_classes)
        head.to(features.device)
        optimiser = torch.optim.SGD(
            [p for p in head.parameters() if p.requires_grad],
            lr=config.lr,
            momentum=0.9,
            weight_decay=config.weight_decay,
        )
        weights = class_weights(stage1.class_counts, config.rho)
        curve = fit_head(
            stage1,
            head,
            optimiser,
            config,
            lambda logits, labels: F.cross_entropy(logits, labels, weight=weights),
            balanced=False,
        )
        stage1.model.head = head
        return Calibrated(stage1.model, curve)
