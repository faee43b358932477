"""Plain cross-entropy on naturally sampled images: the baseline of every long-tail paper.

    L = - mean_b log softmax(z_b)[y_b]

Paper: Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020,
its "joint training" row and the stage 1 of classifier re-training.
URL: https://arxiv.org/abs/1910.09217
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.data.views import Views
from lmd_bench.methods.representation._base import Representation, Targets

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Nothing beyond the shared training config."""


class CrossEntropy(Representation):
    """Cross-entropy of the student view."""

    needs_encoder: ClassVar[bool] = False

    def loss(
        self,
        views: Sequence[Views],
        targets: Targets,
        step: int,
    ) -> Float[Tensor, ""]:
        """Return the mean cross-entropy."""
        _, logits = self.model(views[0])
        return targets.loss(lambda labels: F.cross_entropy(logits, labels))
