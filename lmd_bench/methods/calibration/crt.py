"""Classifier re-training (cRT): a fresh linear head on frozen features, balanced sampling.

    min_{W, b}  E_{y ~ U(K), x ~ p(x|y)}  - log softmax(W f(x) + b)[y]

Paper: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020,
section 4.1.
URL: https://arxiv.org/abs/1910.09217

Code it was compared with: https://github.com/facebookresearch/classifier-balancing, commit
f162adef63 (ClassAwareSampler). A test asserts that an epoch has as many draws, steps, draws of each
class and draws of each image as there: n_max x K draws, the same number from each class.

What differs from that code: it trains on augmented images with the encoder in train mode, so that
a "frozen" encoder still moves its BatchNorm statistics; here the features of the test view are
computed once and the encoder does not move, as the paper's text says. The learning rate falls at
each step, there at each epoch. The order of the draws is another one. On small train sets a batch
is 1/32 of an epoch instead of 512 draws (_sgd.py): some 320 steps in all, never fewer.
Defaults: lr .2, weight decay 5e-4, 10 epochs, batch 512, cosine: that code's configuration.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lmd_bench.core.seeding import derive_seed
from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._sgd import fit_head, fresh_head
from lmd_bench.methods.config import require_sgd

VERSION = 2


@dataclass(frozen=True)
class Config:
    """How the head is trained."""

    lr: float = 0.2
    weight_decay: float = 5.0e-4
    n_epochs: int = 10  # of n_max x K draws
    batch_size: int = 512  # at most; a small train set has smaller ones

    def __post_init__(self) -> None:
        """Refuse values that no training can run with."""
        require_sgd(self.lr, self.n_epochs, self.batch_size)


class Crt(Calibration):
    """Trains a fresh linear head; keeps the epoch best on val."""

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the stage-1 encoder with the re-trained head."""
        config: Config = self.config
        features, _ = stage1.features
        head = fresh_head(
            features.shape[1], stage1.n_classes, derive_seed(stage1.seed, "head"), features.device
        )
        optimiser = torch.optim.SGD(
            head.parameters(), lr=config.lr, momentum=0.9, weight_decay=config.weight_decay
        )
        curve = fit_head(stage1, head, optimiser, config, F.cross_entropy)
        stage1.model.head = head
        return Calibrated(stage1.model, curve)
