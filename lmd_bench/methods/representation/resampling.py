"""Re-sampling: classes are drawn more evenly than they occur.

    P(class j) ~ n_j^q     q = 1 natural, 0.5 square root, 0 class-balanced

`constant` keeps q for all of training, `deferred` draws naturally before the epoch that `start`
lies in, and `progressive` moves from natural to class-balanced,
P_t(j) = (1 - t) n_j / N + t / K with t the share of training.
An epoch has as many draws as there are training images, with replacement.

Paper: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020,
section 3, Eqs. 1 and 2; deferred: Cao et al., NeurIPS 2019, Algorithm 1.
URL: https://arxiv.org/abs/1910.09217
Compared with https://github.com/facebookresearch/classifier-balancing@f162adef63: the probabilities
of every epoch of trainings of 10 and 90.

What differs from their code: t rises by epoch as there, from 0 in the first to 1 in the last.
Defaults: q 0, the class-balanced row of their Table 1; start .8 as LDAM-DRW defers.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.methods.best_epoch import first_judged
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

VERSION = 2


@dataclass(frozen=True)
class Config:
    """How classes are drawn."""

    power: float = 0.0  # q; progressive sampling has none
    schedule: Literal["constant", "deferred", "progressive"] = "constant"
    start: float = 0.8  # share of training before `deferred` re-samples

    def __post_init__(self) -> None:
        """Refuse shares and powers outside [0, 1]."""
        require(0 <= self.power <= 1, f"power={self.power} must lie in [0, 1]")
        require(0 <= self.start < 1, f"start={self.start} must lie in [0, 1)")


def power_weights(counts: Int64[Tensor, " classes"], power: float) -> Float[Tensor, " classes"]:
    """Return the weight of an image of each class, n_j^(q - 1): class j then has n_j^q in all."""
    return counts.double().pow(power - 1.0)


def progressive_weights(
    counts: Int64[Tensor, " classes"], progress: float
) -> Float[Tensor, " classes"]:
    """Return the weight of an image, ((1 - t) n_j / N + t / K) / n_j."""
    natural, balanced = 1.0 / counts.sum().double(), 1.0 / (len(counts) * counts.double())
    return (1.0 - progress) * natural + progress * balanced


class Resampling(Criterion):
    """Cross-entropy on re-sampled images."""

    @classmethod
    def deferral(cls, config: Any) -> float:
        """Return when deferred sampling starts, or progressive sampling is half way."""
        return {"constant": 0.0, "deferred": config.start, "progressive": 0.5}[config.schedule]

    def draw_weights(self, epoch: int, n_epochs: int) -> Float[Tensor, " classes"] | None:
        """Return the weight of an image of each class in an epoch, from 1."""
        config: Config = self.config
        counts = self.class_counts.cpu()
        if config.schedule == "progressive":
            return progressive_weights(counts, (epoch - 1) / max(1, n_epochs - 1))
        # Every epoch that may be judged or kept is re-sampled, and none before.
        if config.schedule == "deferred" and epoch < first_judged(config.start, n_epochs):
            return None
        return power_weights(counts, config.power)

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean cross-entropy."""
        return F.cross_entropy(logits, labels)
