"""Learnable weight scaling (LWS): each class's logit gets a factor, the classifier stays.

    z'_j = s_j (w_j f + b_j),   only s is trained, with class-balanced sampling

Paper: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020,
section 4.4.
URL: https://arxiv.org/abs/1910.09217

What differs from their code: features of the test view, computed once, instead of augmented images
under moving BatchNorm statistics (as with cRT). Weight and bias are both kept and both scaled.
Defaults: lr .2, 5 epochs, batch 512: that code.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._sgd import fit_head
from lmd_bench.methods.config import require
from lmd_bench.methods.models.heads import ScaledHead

VERSION = 1


@dataclass(frozen=True)
class Config:
    """How the factors are trained."""

    lr: float = 0.2
    n_epochs: int = 5
    batch_size: int = 512

    def __post_init__(self) -> None:
        """Refuse values that no training can run with."""
        require(self.lr > 0, f"lr={self.lr} must be above 0")
        require(self.n_epochs >= 1, f"n_epochs={self.n_epochs} must be at least 1")
        require(self.batch_size >= 1, f"batch_size={self.batch_size} must be at least 1")


class Lws(Calibration):
    """Trains one factor a class."""

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the stage-1 classifier with its logits scaled."""
        config: Config = self.config
        head = ScaledHead(stage1.model.head, stage1.n_classes).to(stage1.features[0].device)
        optimiser = torch.optim.SGD([head.scale], lr=config.lr, momentum=0.9)
        curve = fit_head(stage1, head, optimiser, config, F.cross_entropy)
        stage1.model.head = head
        return Calibrated(stage1.model, curve)
