"""Gaussian clouded logits: noise blurs the logits, that of rare classes the most.

    L = mean_b CE(s (cos theta_bj - |e_bj| strength r_j), y_b),   e ~ clip(N(0, 1/3^2), -1, 1)
    r_j = (log n_max - log n_j) / max_i (log n_max - log n_i)

The head is cosine; the stored head gives s cos theta without noise.

Paper: Li et al., Long-Tailed Visual Recognition via Gaussian Clouded Logit Adjustment, CVPR 2022,
Eqs. 6 to 9.
URL: https://arxiv.org/abs/2305.11733
Compared with https://github.com/Keke921/GCLLoss@c2a62338eb: value and gradient under given noise.

What differs: their stage 2 (balanced re-training of the head) is a calibration of its own here, and
their mixup is `training.mixing`. The method `gcl_crt` has both, as published; `gcl` neither.
Defaults: s 30, strength .5: that code.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.methods.config import require
from lmd_bench.methods.models.heads import CosineHead
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

VERSION = 3


@dataclass(frozen=True)
class Config:
    """Scale of the logits and strength of the cloud."""

    scale: float = 30.0
    strength: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values for which the loss is not defined."""
        require(self.scale > 0, f"scale={self.scale} must be above 0")
        require(self.strength >= 0, f"strength={self.strength} must not be negative")


def cloud_sizes(counts: Int64[Tensor, " classes"]) -> Float[Tensor, " classes"]:
    """Return r_j: 0 for the largest class, 1 for the smallest; all 0 where they are equal."""
    gaps = counts.max().log() - counts.log()
    return gaps / gaps.max().clamp_min(1e-12)


def clouded(
    logits: Logits, noise: Float[Tensor, "batch classes"], sizes: Float[Tensor, " classes"]
) -> Logits:
    """Return the logits less |clip(noise, -1, 1)| times each class's cloud."""
    return logits - noise.clamp(-1.0, 1.0).abs() * sizes


class Gcl(Criterion):
    """Cross-entropy of clouded cosine logits."""

    cosine_head: ClassVar[bool] = True

    @staticmethod
    def make_head(config: Any, n_features: int, n_classes: int) -> nn.Module:
        """Return a cosine head."""
        return CosineHead(n_features, n_classes, config.scale)

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean loss under fresh noise."""
        noise = torch.randn(logits.shape, generator=self.rng) / 3.0
        noise = noise.to(logits.device, non_blocking=True)
        sizes = self.config.scale * self.config.strength * cloud_sizes(self.class_counts)
        return F.cross_entropy(clouded(logits, noise, sizes), labels)
