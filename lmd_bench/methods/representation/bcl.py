"""Balanced contrastive learning: every class is in every batch and pushes with one voice.

    L = ce_weight CE(z + log pi, y) + contrast_weight BSCL(two more views, class centres)

The classifier's branch sees one student view with the logit-adjusted loss; the contrastive branch
sees two. Class centres are projections of the head's normalised weights.

Paper: Zhu et al., Balanced Contrastive Learning for Long-Tailed Visual Recognition, CVPR 2022,
Eqs. 5 and 6.
URL: https://arxiv.org/abs/2207.09052
Compared with https://github.com/FlamieZhu/Balanced-Contrastive-Learning@f72d070379: both losses,
values and gradients in embeddings, centres and logits.

What differs: all three views are of one kind, SimAugment by default; theirs are RandAugment for the
classifier and SimAugment twice. Centres are projected from normalised class weights, theirs from
the raw ones. An anchor counts itself out of its own class's average, as in the paper.
Defaults: weights 1 and .35: that code's main script; temperature .1: its loss class and the paper's
CIFAR runs (its main script has .07); 128 dimensions instead of 1024, enough for eight classes;
scale 30, as its head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.core.schema import Scalar
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.views import Views
from lmd_bench.methods.config import require
from lmd_bench.methods.models.heads import CosineHead
from lmd_bench.methods.representation._base import Representation, Targets, WantedView
from lmd_bench.methods.representation._contrastive import Projection, balanced_contrastive

VERSION = 3


@dataclass(frozen=True)
class Config:
    """Weights of the branches, temperature, projection and scale."""

    ce_weight: float = 1.0
    contrast_weight: float = 0.35
    temperature: float = 0.1
    n_dims: int = 128
    scale: float = 30.0

    def __post_init__(self) -> None:
        """Refuse values for which the loss is not defined."""
        require(self.ce_weight > 0, f"ce_weight={self.ce_weight} must be above 0")
        require(self.contrast_weight >= 0, "contrast_weight must not be negative")
        require(self.temperature > 0, f"temperature={self.temperature} must be above 0")
        require(self.n_dims >= 2, f"n_dims={self.n_dims} must be at least 2")
        require(self.scale > 0, f"scale={self.scale} must be above 0")


class Bcl(Representation):
    """Logit-adjusted classifier and balanced contrastive branch."""

    views: ClassVar[tuple[WantedView, ...]] = ("student", "student", "student")
    cost: ClassVar[float] = 3.0
    training_defaults: ClassVar[Mapping[str, Scalar]] = {"augmentation": "simaugment"}
    prior_in_loss: ClassVar[bool] = True
    cosine_head: ClassVar[bool] = True

    def prepare(self) -> None:
        """Make the projections of features and of centres."""
        width = self.model.head.get_parameter("weight").shape[1]
        self.of_features, self.of_centres = (
            Projection(width, self.config.n_dims, derive_seed(self.seed, "projection", part)).to(
                self.class_counts.device
            )
            for part in ("features", "centres")
        )
        self.extra.extend([self.of_features, self.of_centres])
        self.log_prior = (self.class_counts / self.class_counts.sum()).log()

    @staticmethod
    def make_head(config: Any, n_features: int, n_classes: int) -> nn.Module:
        """Return a cosine head."""
        return CosineHead(n_features, n_classes, config.scale)

    def loss(
        self,
        views: Sequence[Views],
        targets: Targets,
        step: int,
    ) -> Float[Tensor, ""]:
        """Return the weighted sum of both branches."""
        config: Config = self.config
        features, logits = self.model(torch.cat(list(views)))
        n = len(views[0])
        with torch.autocast(features.device.type, enabled=False):
            embeddings = self.of_features(features[n:])
            weight = F.normalize(self.model.head.get_parameter("weight"), dim=1)
            centres = self.of_centres(weight)

            def both(labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
                twice = labels.repeat(len(views) - 1)
                contrast = balanced_contrastive(embeddings, twice, centres, config.temperature)
                adjusted = F.cross_entropy(logits[:n] + self.log_prior, labels)
                return config.ce_weight * adjusted + config.contrast_weight * contrast

            return targets.loss(both)
