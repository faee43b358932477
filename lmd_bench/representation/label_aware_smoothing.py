"""Label-aware smoothing: labels of head classes are smoothed more than those of tail classes.

    L = - mean_b [ (1 - e_y) log p_y + e_y / (K - 1) sum_{j != y} log p_j ]
    e_y = e_tail + (e_head - e_tail) sin( pi (n_y - n_min) / (2 (n_max - n_min)) )

Paper: Zhong et al., Improving Calibration for Long-Tailed Recognition, CVPR 2021, Eqs. 7 to 9.
URL: https://arxiv.org/abs/2104.00466

What differs: there it trains the classifier of stage 2 (here `mislas`); as a stage-1 loss it is the
field's usage.
Defaults: head .3, tail 0: their CIFAR-100 settings at factor 10. Equal ones are label smoothing.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.representation._criterion import Criterion, Features, Labels, Logits
from lmd_bench.schema import require

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Smoothing of the largest and the smallest class."""

    head: float = 0.3
    tail: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        require(0 <= self.head < 1, f"head={self.head} must lie in [0, 1)")
        require(0 <= self.tail < 1, f"tail={self.tail} must lie in [0, 1)")


def smoothing(
    counts: Int64[Tensor, " classes"], head: float, tail: float
) -> Float[Tensor, " classes"]:
    """Return e_j of each class; all `head` where the classes are equally large."""
    n = counts.float()
    spread = n.max() - n.min()
    place = torch.where(spread > 0, (n - n.min()) / spread.clamp_min(1.0), torch.ones_like(n))
    return tail + (head - tail) * torch.sin(0.5 * math.pi * place)


def smoothed_cross_entropy(
    logits: Logits, labels: Labels, of_class: Float[Tensor, " classes"]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy with labels smoothed by e_y over the other classes."""
    log_p = logits.log_softmax(dim=1)
    own = log_p.gather(1, labels[:, None])[:, 0]
    others = (log_p.sum(dim=1) - own) / (logits.shape[1] - 1)
    share = of_class[labels]
    return -((1.0 - share) * own + share * others).mean()


class LabelAwareSmoothing(Criterion):
    """Cross-entropy with label-aware smoothing."""

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean smoothed cross-entropy."""
        config = self.config
        return smoothed_cross_entropy(
            logits, labels, smoothing(self.class_counts, config.head, config.tail)
        )
