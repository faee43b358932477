"""Supervised contrastive learning: images of one class attract, all others repel.

    L = SupCon(z of two student views) + CE(W stop(f) + b, y)

The encoder is trained by the contrastive loss on a projection alone; the head learns on features
that pass no gradient on, so that val can choose the epoch and stage 2 finds a classifier.

Paper: Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, Eq. 2; as the encoder of
long-tail pipelines: Kang et al., Exploring Balanced Feature Spaces, ICLR 2021.
URL: https://arxiv.org/abs/2004.11362
Compared with https://github.com/HobbitLong/SupContrast@66a8fe5388: value and gradient of the loss.

What differs: their code multiplies the loss by T / .07, the paper does not. Their linear classifier
is trained afterwards; here it is trained alongside, on the same views.
Defaults: temperature .1, 128 dimensions, SimAugment views: the paper.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.core.schema import Scalar
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.views import Views
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._base import Representation, Targets, WantedView
from lmd_bench.methods.representation._contrastive import Projection, supervised_contrastive

VERSION = 2


@dataclass(frozen=True)
class Config:
    """Temperature and projection."""

    temperature: float = 0.1
    n_dims: int = 128

    def __post_init__(self) -> None:
        """Refuse values for which the loss is not defined."""
        require(self.temperature > 0, f"temperature={self.temperature} must be above 0")
        require(self.n_dims >= 2, f"n_dims={self.n_dims} must be at least 2")


class SupCon(Representation):
    """The contrastive loss of two views, and a head beside it."""

    views: ClassVar[tuple[WantedView, ...]] = ("student", "student")
    cost: ClassVar[float] = 2.0
    training_defaults: ClassVar[Mapping[str, Scalar]] = {"augmentation": "simaugment"}

    def prepare(self) -> None:
        """Make the projection."""
        width = self.model.head.get_parameter("weight").shape[1]
        seed = derive_seed(self.seed, "projection")
        self.projection = Projection(width, self.config.n_dims, seed).to(self.class_counts.device)
        self.extra.append(self.projection)

    def loss(
        self,
        views: Sequence[Views],
        targets: Targets,
        step: int,
    ) -> Float[Tensor, ""]:
        """Return the contrastive loss plus the head's cross-entropy on detached features."""
        features, _ = self.model(torch.cat(list(views)))
        with torch.autocast(features.device.type, enabled=False):
            embeddings = self.projection(features)
            logits = self.model.head(features.detach())

            def both(labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
                twice = labels.repeat(len(views))
                contrast = supervised_contrastive(embeddings, twice, self.config.temperature)
                return contrast + F.cross_entropy(logits, twice)

            return targets.loss(both)
