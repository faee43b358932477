"""Prediction re-scaling (PRS) without test data: classes predicted too often are toned down.

    p'_ij ~ p_ij / s_j^power,   s_j = mean over classes c of the mean of p_ij over images of class c

The power is chosen on val by balanced accuracy over a grid, all of it at once; of equals, the
smallest.

Paper: Zhang et al., Gradient-Aware Logit Adjustment Loss for Long-tailed Classifier, ICASSP 2024.
URL: https://arxiv.org/abs/2403.09036

What differs: the authors sum p_ij over the test images, which makes it transductive, and choose the
power on them. Here s comes from training images, each class weighing the same, and val chooses.
Default: powers 0 to 2 in steps of .1, the range of their configurations.
"""

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._grid import best_by_balanced_accuracy
from lmd_bench.methods.config import require
from lmd_bench.methods.models.heads import class_means

VERSION = 1


@dataclass(frozen=True)
class Config:
    """The grid of powers."""

    power_max: float = 2.0
    power_steps: int = 21

    def __post_init__(self) -> None:
        """Refuse an empty grid."""
        require(self.power_max >= 0, f"power_max={self.power_max} must not be negative")
        require(self.power_steps >= 1, f"power_steps={self.power_steps} must be at least 1")


def class_shares(
    logits: Float[Tensor, "images classes"], labels: Int64[Tensor, " images"]
) -> Float[Tensor, " classes"]:
    """Return s_j, the mean probability of each class over class-balanced images."""
    return class_means(logits.softmax(dim=1), labels).mean(dim=0)


class Prs(Calibration):
    """Folds -power log s into the bias of the stage-1 head."""

    def fit(self, stage1: Stage1) -> Calibrated:
        """Choose the power on val and return the re-scaled classifier."""
        config: Config = self.config
        features, val_features = stage1.features
        head = copy.deepcopy(stage1.model.head)
        bias = head.bias
        assert isinstance(bias, Tensor)
        with torch.no_grad():
            shares = class_shares(head(features), stage1.train_set.labels).clamp_min(1e-12)
            powers = torch.linspace(0.0, config.power_max, config.power_steps, device=bias.device)
            shifts = powers[:, None] * shares.log()
            logits = head(val_features) - shifts[:, None]
            bias.sub_(shifts[best_by_balanced_accuracy(logits, stage1.val_set.labels)])
        stage1.model.head = head
        return Calibrated(stage1.model)
