"""Cross-entropy with smoothed labels. Put your own loss here.

    L = (1 - s) CE(z, y) + s / K sum_j CE(z, j)

Paper: Szegedy et al., Rethinking the Inception Architecture, CVPR 2016, section 7.
URL: https://arxiv.org/abs/1512.00567
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from lmd_bench.methods.representation import Criterion

VERSION = 1


@dataclass(frozen=True)
class Config:
    """The settings, each with its default; template_name.yaml holds their ranges."""

    smoothing: float = 0.1  # s


class TemplateName(Criterion):
    """A loss of features, logits and labels. For more, see the hooks of `Representation`."""

    def criterion(self, features: Tensor, logits: Tensor, labels: Tensor, step: int) -> Tensor:
        """Return the loss of a batch."""
        return F.cross_entropy(logits, labels, label_smoothing=self.config.smoothing)
