"""SADE, stage 1: three experts for three test distributions: as in training, even, and inverted.

    L = CE(z_1, y) + CE(z_2 + log pi, y) + CE(z_3 + log pi - tau log pi_inv, y)

pi_inv gives the largest class's share to the smallest class, and so on. The mean of the logits is
the prediction.

Paper: Zhang et al., Self-Supervised Aggregation of Diverse Experts for Test-Agnostic Long-Tailed
Recognition, NeurIPS 2022, Eqs. 2 to 4.
URL: https://arxiv.org/abs/2107.09249
Compared with https://github.com/Vanint/SADE-AgnosticLT@cba11b8b0f: value, gradient and inverse
prior.

What differs: experts have a whole last stage each, where theirs also split the one before and are
thinner, and they start as copies of one another, theirs apart; the weights of the experts are not
learned on test images, which would be transductive.
Defaults: tau 2: that code; scale 30, as its cosine heads.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.methods.config import require
from lmd_bench.methods.representation._experts import EachLogits, Experts

VERSION = 2


@dataclass(frozen=True)
class Config:
    """The third expert's inversion, and the scale of the heads."""

    tau: float = 2.0
    scale: float = 30.0

    def __post_init__(self) -> None:
        """Refuse values for which the loss is not defined."""
        require(self.tau >= 0, f"tau={self.tau} must not be negative")
        require(self.scale > 0, f"scale={self.scale} must be above 0")


def inverse_prior(prior: Float[Tensor, " classes"]) -> Float[Tensor, " classes"]:
    """Return the prior with the largest share at the smallest class, the second at the next, ..."""
    values, order = prior.sort()
    inverse = prior.clone()
    inverse[order] = values.flip(0)
    return inverse


class Sade(Experts):
    """Cross-entropy, balanced softmax and inverse softmax, one expert each."""

    def prepare(self) -> None:
        """Compute what is added to the logits of the second and the third expert."""
        prior = self.class_counts / self.class_counts.sum()
        self.even = prior.log()
        self.inverted = prior.log() - self.config.tau * inverse_prior(prior).log()

    def criterion(
        self, each: EachLogits, labels: Int64[Tensor, " batch"], step: int
    ) -> Float[Tensor, ""]:
        """Return the sum of the three losses."""
        return (
            F.cross_entropy(each[0], labels)
            + F.cross_entropy(each[1] + self.even, labels)
            + F.cross_entropy(each[2] + self.inverted, labels)
        )
