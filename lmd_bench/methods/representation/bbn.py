"""BBN: one branch learns from images as they come, one from rare classes; the weight moves over.

    z = W [2 a f_c(x_c), 2 (1 - a) f_r(x_r)] + b,   a = 1 - t^2 (t: share of training that is over)
    L = a CE(z, y_c) + (1 - a) CE(z, y_r)

x_c are drawn naturally, x_r with class probabilities ~ 1 / n_j. The branches share all but their
last residual block. In use both branches see the same image, at a = 1/2.

Paper: Zhou et al., BBN: Bilateral-Branch Network with Cumulative Learning for Long-Tailed Visual
Recognition, CVPR 2020, Eqs. 1 to 4.
URL: https://arxiv.org/abs/1912.02413
Compared with https://github.com/Megvii-Nanjing/BBN@7992e90884: loss and gradient in epochs 1, 51
and 151 of 200, the weight a, and the draws by class.

What differs: t runs by step where theirs runs by epoch; the factor 2 is that code's. The two blocks
start as copies of one another, theirs apart. An image of class j weighs 1 / n_j^2, which gives the
class its 1 / n_j.
Defaults: the parabolic decay, power 2: the paper's best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.data.views import Views
from lmd_bench.methods.config import require
from lmd_bench.methods.models.branches import BranchedEncoder
from lmd_bench.methods.models.fixed import AnyEncoder
from lmd_bench.methods.representation._base import Representation, Targets, WantedView

VERSION = 1


@dataclass(frozen=True)
class Config:
    """How fast the weight moves over."""

    power: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a decay that is none."""
        require(self.power > 0, f"power={self.power} must be above 0")


def natural_weight(progress: float, power: float) -> float:
    """Return a, the weight of the branch of naturally drawn images: 1 at first, 0 at the end."""
    return 1.0 - progress**power


class Bbn(Representation):
    """Two branches whose features are weighed as training goes on."""

    views: ClassVar[tuple[WantedView, ...]] = ("student", "second")
    cost: ClassVar[float] = 2.0

    @staticmethod
    def make_encoder(config: Any, encoder: AnyEncoder) -> nn.Module:
        """Return the encoder with its last block twice."""
        return BranchedEncoder(encoder, 2, "block")

    @classmethod
    def deferral(cls, config: Any) -> float:
        """Return when half of the weight has moved to the branch of rare classes."""
        return 0.5 ** (1.0 / config.power)

    def second_weights(self) -> Float[Tensor, " classes"]:
        """Return 1 / n_j^2."""
        return self.counts_on_cpu.double().pow(-2)

    def loss(
        self,
        views: Sequence[Views],
        targets: Targets,
        step: int,
    ) -> Float[Tensor, ""]:
        """Return the weighted loss of the joint logits for both labels."""
        a = natural_weight(step / self.n_steps, self.config.power)
        encoder = self.model.encoder
        assert isinstance(encoder, BranchedEncoder)
        assert targets.second is not None
        natural, rare = (features.float() for features in encoder.each(views))
        with torch.autocast(natural.device.type, enabled=False):
            logits = self.model.head(torch.cat([2 * a * natural, 2 * (1 - a) * rare], dim=1))
        losses = [
            of.loss(lambda labels: F.cross_entropy(logits, labels))
            for of in (targets, targets.second)
        ]
        return a * losses[0] + (1 - a) * losses[1]
