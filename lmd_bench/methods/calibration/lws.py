"""Learnable weight scaling (LWS): each class's logit gets a factor, the classifier stays.

    z'_j = s_j (w_j f + b_j),   only s is trained, with class-balanced sampling

Paper: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020,
section 4.4.
URL: https://arxiv.org/abs/1910.09217

Code it was compared with: https://github.com/facebookresearch/classifier-balancing, commit
f162adef63 (DotProduct_Classifier), and https://github.com/dvlab-research/MiSLAS, commit 0fc381e333
(LearnableWeightScaling). A test asserts equal logits, loss and gradient in s, and s = 1 at the
start. As there, weight and bias are both kept and both scaled.

What differs: features of the test view, computed once, instead of augmented images under moving
BatchNorm statistics, and smaller batches on small train sets, as with cRT (crt.py).
Defaults: lr .2, weight decay 5e-4 (of the factors), 5 epochs of n_max x K draws, batch 512: that
code.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._sgd import fit_head
from lmd_bench.methods.config import require_sgd
from lmd_bench.methods.models.heads import ScaledHead

VERSION = 2


@dataclass(frozen=True)
class Config:
    """How the factors are trained."""

    lr: float = 0.2
    weight_decay: float = 5.0e-4
    n_epochs: int = 5  # of n_max x K draws
    batch_size: int = 512  # at most; a small train set has smaller ones

    def __post_init__(self) -> None:
        """Refuse values that no training can run with."""
        require_sgd(self.lr, self.n_epochs, self.batch_size)


class Lws(Calibration):
    """Trains one factor a class."""

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the stage-1 classifier with its logits scaled."""
        config: Config = self.config
        head = ScaledHead(stage1.model.head, stage1.n_classes).to(stage1.features[0].device)
        optimiser = torch.optim.SGD(
            [head.scale], lr=config.lr, momentum=0.9, weight_decay=config.weight_decay
        )
        curve = fit_head(stage1, head, optimiser, config, F.cross_entropy)
        stage1.model.head = head
        return Calibrated(stage1.model, curve)
