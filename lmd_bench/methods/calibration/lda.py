"""Shrinkage linear discriminant analysis with equal priors: a closed-form floor.

    z_j = mu_j^T S^-1 f - mu_j^T S^-1 mu_j / 2
    S = (1 - s) S_w + s tr(S_w)/C I,   S_w = 1/K sum_j cov of class j

Every class's covariance weighs the same. s is chosen on val by balanced accuracy over a grid, all
of it from one eigendecomposition; of equals, the largest.

Paper: Friedman, Regularized Discriminant Analysis, JASA 84, 1989, Eq. 18.
URL: https://doi.org/10.1080/01621459.1989.10478752

Defaults: s from .01 to 1, 13 values evenly spaced in logarithm, all judged on val within one trial.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._gaussians import class_moments
from lmd_bench.methods.calibration._grid import best_by_balanced_accuracy
from lmd_bench.methods.config import require

VERSION = 1


@dataclass(frozen=True)
class Config:
    """The grid of s."""

    shrinkage_min: float = 0.01
    shrinkage_steps: int = 13

    def __post_init__(self) -> None:
        """Refuse an empty grid, and no shrinkage at all: S_w may be singular."""
        require(
            0 < self.shrinkage_min <= 1, f"shrinkage_min={self.shrinkage_min} must lie in (0, 1]"
        )
        require(self.shrinkage_steps >= 1, "shrinkage_steps must be at least 1")


def discriminants(
    mean: Float[Tensor, "classes features"],
    within: Float[Tensor, "features features"],
    shrinkages: Float[Tensor, " grid"],
) -> tuple[Float[Tensor, "grid classes features"], Float[Tensor, "grid classes"]]:
    """Return weights S^-1 mu_j and biases -mu_j^T S^-1 mu_j / 2 for each shrinkage."""
    values, vectors = torch.linalg.eigh(within)
    values = values.clamp_min(0.0)
    spread = torch.lerp(values, values.mean(), shrinkages[:, None])
    rotated = mean @ vectors
    weight = (rotated / spread[:, None].clamp_min(1e-12)) @ vectors.T
    return weight, -0.5 * (weight * mean).sum(dim=2)


class Lda(Calibration):
    """Replaces the head by the linear discriminants."""

    @classmethod
    def n_swept(cls, config: Config) -> int:
        """Return the shrinkages of the grid."""
        return config.shrinkage_steps

    def fit(self, stage1: Stage1) -> Calibrated:
        """Choose the shrinkage on val and return the discriminant classifier."""
        config: Config = self.config
        features, val_features = stage1.features
        moments = class_moments(features, stage1.train_set.labels, stage1.n_classes)
        powers = torch.linspace(0.0, 1.0, config.shrinkage_steps, dtype=torch.float64)
        grid = config.shrinkage_min ** powers.to(features.device)
        weights, biases = discriminants(moments.mean, moments.covariance.mean(dim=0), grid)
        logits = torch.einsum("nc,gkc->gnk", val_features.double(), weights) + biases[:, None]
        chosen = stage1.settled(
            "shrinkage", lambda: best_by_balanced_accuracy(logits, stage1.val_set.labels)
        )
        head = nn.Linear(features.shape[1], stage1.n_classes, device=features.device)
        with torch.no_grad():
            head.weight.copy_(weights[chosen])
            head.bias.copy_(biases[chosen])
        stage1.model.head = head
        return Calibrated(stage1.model)
