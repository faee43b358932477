"""Gradient-aware logit adjustment (GALA), our reading: margins from accumulated gradients.

    L = mean_b CE(z_j + positive_weight log g+_j - negative_weight log g-_y 1[j != y], y_b)
    G+_j: sum of 1 - p_j over the images of class j        (what class j was pulled)
    G-_y: sum of all p_j, j != y, over the images of class y (what its images pushed)

g+ and g- are G+ and G- over their mean, so that their growth in training is no margin of its own;
p is the softmax of the adjusted logits, without gradient. Prediction takes the raw logits; the
paper's re-scaling of predictions is the calibration `prs`.

Paper: Zhang et al., Gradient-Aware Logit Adjustment Loss for Long-tailed Classifier, ICASSP 2024.
URL: https://arxiv.org/abs/2403.09036
Compared with https://github.com/lt-project-repository/lt-project@1eea15d5af over 20 steps:
`negative_term: official` has that code's values and gradients.

What differs: in that code the negative term is one number for all K logits of an image, which the
softmax cancels, so its published figures stand on the positive term alone; here it is on the other
classes, as a margin is. That code adds its running sum of gradients to G at each step without
clearing it, so G+ is a sum of prefix sums in which early gradients count most, and takes
log(G+ + .001); here G is the plain sum, from 1 for each class. `official` does as that code does.
Defaults: 1.2 and .9: the paper's. The search chooses the form, and weights down to 0.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.methods.config import require
from lmd_bench.methods.representation._criterion import (
    Criterion,
    Features,
    Labels,
    Logits,
    PerClass,
)

VERSION = 2

EPSILON = 1e-3  # of the official form, within the logarithm


@dataclass(frozen=True)
class Config:
    """Weights of the two terms."""

    positive_weight: float = 1.2
    negative_weight: float = 0.9
    negative_term: Literal["off_target", "official"] = "off_target"

    def __post_init__(self) -> None:
        """Refuse negative weights, which would favour the head."""
        require(self.positive_weight >= 0, "positive_weight must not be negative")
        require(self.negative_weight >= 0, "negative_weight must not be negative")


def adjusted_logits(
    logits: Logits, labels: Labels, positive: PerClass, negative: PerClass, config: Config
) -> Logits:
    """Return the logits with both terms.

    Args:
        logits: z.
        labels: y.
        positive: G+ of each class.
        negative: G- of each class.
        config: weights and form.
    """
    if config.negative_term == "official":
        return logits + config.positive_weight * (positive + EPSILON).log()
    pulled = config.positive_weight * (positive / positive.mean()).log()
    pushed = config.negative_weight * (negative / negative.mean()).log()[labels, None]
    own = F.one_hot(labels, logits.shape[1])
    return logits + pulled - pushed * (1 - own)


class Gala(Criterion):
    """Cross-entropy with margins from accumulated gradients."""

    def prepare(self) -> None:
        """Start accumulating."""
        start = 0.0 if self.config.negative_term == "official" else 1.0
        self.positive = torch.full_like(self.class_counts, start, dtype=torch.float32)
        self.negative = self.positive.clone()
        self.running = self.positive.clone()  # what the official form adds at each step

    def criterion(
        self, features: Features, logits: Logits, labels: Labels, step: int
    ) -> Float[Tensor, ""]:
        """Return the mean loss, then add this batch's gradients."""
        adjusted = adjusted_logits(logits, labels, self.positive, self.negative, self.config)
        if not self.uphill:
            self._accumulate(adjusted.detach().softmax(dim=1), labels)
        return F.cross_entropy(adjusted, labels)

    def _accumulate(self, p: Float[Tensor, "batch classes"], labels: Labels) -> None:
        missing = 1.0 - p.gather(1, labels[:, None])[:, 0]
        if self.config.negative_term == "official":
            self.running = self.running.index_add(0, labels, missing / len(labels))
            self.positive = self.positive + self.running
            return
        self.positive = self.positive.index_add(0, labels, missing)
        # the other classes' share is what the own one misses
        self.negative = self.negative.index_add(0, labels, missing)
