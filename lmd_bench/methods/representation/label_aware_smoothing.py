"""Label-aware smoothing: labels of head classes are smoothed more than those of tail classes.

    L = - mean_b [ (1 - e_y) log p_y + e_y / (K - 1) sum_{j != y} log p_j ]
    e_y = e_tail + (e_head - e_tail) sin( pi (n_y - n_min) / (2 (n_max - n_min)) )

Paper: Zhong et al., Improving Calibration for Long-Tailed Recognition, CVPR 2021, Eqs. 7 to 9.
URL: https://arxiv.org/abs/2104.00466
Compared with https://github.com/dvlab-research/MiSLAS@0fc381e333: value and gradient at its concave
shape, but for the factor below.

What differs: there it trains the classifier of stage 2 (here `mislas`); as a stage-1 loss it is the
field's usage. The smoothed share goes to the other K - 1 classes, as in the paper; their code
spreads it over all K, so that ours at e (K - 1) / K is theirs at e.
Defaults: head .3, tail 0: their settings for CIFAR-100 at factor 50 and CIFAR-10 at 100. Equal ones
are label smoothing.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from lmd_bench.methods.class_weights import smoothed_cross_entropy, smoothing
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import Criterion, Features, Labels, Logits

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
