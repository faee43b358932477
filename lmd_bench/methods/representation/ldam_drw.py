"""LDAM: larger margins for rarer classes, and deferred re-weighting.

    L = mean_b w_y CE(s (cos theta_b - m_y 1[j = y]), y_b)
    m_j = max_margin n_j^-1/4 / max_i n_i^-1/4

The head is cosine: features and class weights are normalised. w_j are class-balanced weights
(effective number) from `start` on, 1 before; start = 1 is LDAM without re-weighting.

Paper: Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss,
NeurIPS 2019, Eqs. 10 to 13 and Algorithm 1.
URL: https://arxiv.org/abs/1906.07413
Compared with https://github.com/kaidic/LDAM-DRW@2536330f2a: margins, weights, value and gradient
before and after the switch, and the length of the class weights at the start.

What differs: the stored head gives s cos theta, where theirs gives cos theta; the order of classes
is the same. The weighted mean is over weights, as in that code.
Defaults: max_margin .5, s 30, start .8 (160 of 200 epochs), beta .9999: that code.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.methods.class_weights import effective_number_weights, ldam_margins
from lmd_bench.methods.config import require
from lmd_bench.methods.models.heads import CosineHead
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

VERSION = 2


@dataclass(frozen=True)
class Config:
    """Margins, scale and deferred weights."""

    max_margin: float = 0.5
    scale: float = 30.0
    start: float = 0.8  # share of training before the weights apply; 1: never
    beta: float = 0.9999

    def __post_init__(self) -> None:
        """Refuse values for which the loss is not defined."""
        require(self.max_margin >= 0, f"max_margin={self.max_margin} must not be negative")
        require(self.scale > 0, f"scale={self.scale} must be above 0")
        require(0 <= self.start <= 1, f"start={self.start} must lie in [0, 1]")
        require(0 <= self.beta < 1, f"beta={self.beta} must lie in [0, 1)")


class LdamDrw(Criterion):
    """Cross-entropy on cosine logits less the margin of the own class."""

    cosine_head: ClassVar[bool] = True

    def prepare(self) -> None:
        """Compute margins and weights once."""
        self.margins = ldam_margins(self.class_counts, self.config.max_margin)
        self.weights = effective_number_weights(self.class_counts, self.config.beta)

    @staticmethod
    def make_head(config: Any, n_features: int, n_classes: int) -> nn.Module:
        """Return a cosine head."""
        return CosineHead(n_features, n_classes, config.scale)

    @classmethod
    def deferral(cls, config: Any) -> float:
        """Return when re-weighting starts; 0 where it never does."""
        return config.start if config.start < 1 else 0.0

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the margin loss; `logits` are s cos theta."""
        own = F.one_hot(labels, logits.shape[1])
        margin = self.config.scale * self.margins[labels, None] * own
        weights = self.weights if self.progress(step) >= self.config.start else None
        return F.cross_entropy(logits - margin, labels, weight=weights)
