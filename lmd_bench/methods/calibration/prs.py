"""Prediction re-scaling (PRS) without test data: classes predicted too often are toned down.

    p'_ij ~ p_ij / s_j^power,   s_j = mean over classes c of the mean of p_ij over val images of c

The power is chosen on val by balanced accuracy over a grid, all of it at once; of equals, the
smallest.

Paper: Zhang et al., Gradient-Aware Logit Adjustment Loss for Long-tailed Classifier, ICASSP 2024.
URL: https://arxiv.org/abs/2403.09036

Code it was compared with: https://github.com/lt-project-repository/lt-project, commit 1eea15d5af. A
test asserts equal re-scaled probabilities and decisions from equal class sums.

What differs: the authors sum p_ij over the test images, which makes it transductive, and fix the
power at 1. Here s comes from val, each class weighing the same, and val chooses the power too.
Training images would not do: a head that has fitted them predicts each class as often as it occurs,
all shares are equal, and no power changes a decision.
Default: powers 0 to 2 in steps of .1. It judges that many settings on val within one trial.
"""

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._grid import best_by_balanced_accuracy
from lmd_bench.methods.config import require

VERSION = 2


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
    """Return s_j, the mean probability of each class over images of which each class weighs alike.

    A class without images has no say in the shares.
    """
    weights = 1.0 / torch.bincount(labels)[labels].to(logits.dtype)
    return (weights @ logits.softmax(dim=1)) / weights.sum()


def rescaled(
    logits: Float[Tensor, "images classes"],
    shares: Float[Tensor, " classes"],
    powers: Float[Tensor, " powers"],
) -> Float[Tensor, "powers images classes"]:
    """Return z - power log s for each power."""
    return logits - (powers[:, None] * shares.log())[:, None]


class Prs(Calibration):
    """Folds -power log s into the bias of the stage-1 head."""

    @classmethod
    def n_swept(cls, config: Config) -> int:
        """Return the powers of the grid."""
        return config.power_steps

    def fit(self, stage1: Stage1) -> Calibrated:
        """Choose the power on val and return the re-scaled classifier."""
        config: Config = self.config
        _, val_features = stage1.features
        head = copy.deepcopy(stage1.model.head)
        bias = head.bias
        assert isinstance(bias, Tensor)
        with torch.no_grad():
            logits = head(val_features)
            labels = stage1.val_set.labels
            settled = stage1.settled("shares", lambda: class_shares(logits, labels).tolist())
            shares = torch.tensor(settled, device=bias.device).clamp_min(1e-12)
            powers = torch.linspace(0.0, config.power_max, config.power_steps, device=bias.device)
            judged = rescaled(logits, shares, powers)
            chosen = stage1.settled("power", lambda: best_by_balanced_accuracy(judged, labels))
            bias.sub_(powers[chosen] * shares.log())
        stage1.model.head = head
        return Calibrated(stage1.model)
