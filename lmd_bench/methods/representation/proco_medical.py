"""ProCo for medical images, our reading: images against prototypes that an adversary has moved.

    L = CE(z, y) + contrast_weight mean_i -log( e^{q_i p~_y / T} / Z_i )
    Z_i = sum_j e^{q_i p~_j / T} + sum_{queue, other classes} e^{q_i k / T}

p_j is the moving average of the teacher's embeddings of class j, so each class moves on its own
images alone, however rare (recalibration). p~_j is p_j turned by the angle `adversary`: the own
class's away from q_i, the others' towards it, the worst within reach.

Paper: Yang et al., ProCo: Prototype-Aware Contrastive Learning for Long-Tailed Medical Image
Classification, MICCAI 2022.
URL: https://doi.org/10.1007/978-3-031-16452-1_17
Compared with https://github.com/skyz215/ProCo, which holds no loss: nothing to hold numbers to.

What differs: the form above is ours after the paper's description; results under this name are not
theirs. The teacher's horizon is a share of training, see paco.
Defaults: T .07, 128 dimensions, a queue of 1024: that repository's; contrast_weight 1, adversary
.1 rad, prototype_decay .9, SimAugment views: ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.core.schema import Scalar
from lmd_bench.data.views import Views
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._base import Targets, WantedView
from lmd_bench.methods.representation._momentum import KeyLabels, Keys, MomentumContrast, unit_rows

VERSION = 3

Queries = Float[Tensor, "batch dims"]
Prototypes = Float[Tensor, "classes dims"]


@dataclass(frozen=True)
class Config:
    """Weight, temperature and reach of the adversary; the momentum encoder."""

    contrast_weight: float = 1.0
    temperature: float = 0.07
    adversary: float = 0.1  # radians
    prototype_decay: float = 0.9
    n_dims: int = 128
    queue_size: int = 1024
    ema_horizon: float = 0.03  # share of training that the teacher averages over
    ema_decay: float = 0.0  # above 0: of every step, whatever the horizon

    def __post_init__(self) -> None:
        """Refuse values for which the loss is not defined."""
        require(self.contrast_weight >= 0, "contrast_weight must not be negative")
        require(self.temperature > 0, f"temperature={self.temperature} must be above 0")
        require(0 <= self.adversary < 1.5, f"adversary={self.adversary} must lie in [0, 1.5)")
        decay = self.prototype_decay
        require(0 <= decay < 1, f"prototype_decay={decay} must lie in [0, 1)")
        require(self.n_dims >= 2, f"n_dims={self.n_dims} must be at least 2")
        require(self.queue_size >= 1, f"queue_size={self.queue_size} must be at least 1")
        require(0 < self.ema_horizon <= 1, f"ema_horizon={self.ema_horizon} must lie in (0, 1]")
        require(0 <= self.ema_decay < 1, f"ema_decay={self.ema_decay} must lie in [0, 1)")


def adversarial_cosines(
    queries: Queries, labels: Int64[Tensor, " batch"], prototypes: Prototypes, angle: float
) -> Float[Tensor, "batch classes"]:
    """Return q_i . p~_ij: cos(theta + angle) for the own class, cos(theta - angle) for others.

    Neither passes the point opposite to the anchor, or the anchor itself.

    Args:
        queries: of length 1.
        labels: of the queries.
        prototypes: of length 1.
        angle: by which a prototype is turned, radians.
    """
    cosines = (queries @ prototypes.T).clamp(-1 + 1e-6, 1 - 1e-6)
    own = F.one_hot(labels, len(prototypes)).bool()
    turned = cosines.arccos() + torch.where(own, angle, -angle)
    return turned.clamp(0.0, torch.pi).cos()


def prototype_contrast(
    cosines: Float[Tensor, "batch classes"],
    queries: Queries,
    labels: Int64[Tensor, " batch"],
    keys: Keys,
    key_labels: KeyLabels,
    temperature: float,
) -> Float[Tensor, ""]:
    """Return the mean over the batch of -log of the own prototype's share.

    Args:
        cosines: q_i . p~_ij.
        queries: of length 1.
        labels: of the queries.
        keys: the queue's.
        key_labels: theirs; -1 leaves a key out.
        temperature: T.
    """
    left_out = (labels[:, None] == key_labels) | (key_labels < 0)
    others = (queries @ keys.T / temperature).masked_fill(left_out, -torch.inf)
    return F.cross_entropy(torch.cat([cosines / temperature, others], dim=1), labels)


def moved_prototypes(
    prototypes: Prototypes, keys: Keys, labels: Int64[Tensor, " batch"], decay: float
) -> Prototypes:
    """Return the prototypes after a batch; classes without an image stay where they are."""
    members = F.one_hot(labels, len(prototypes)).to(keys.dtype)
    counts = members.sum(dim=0)[:, None]
    means = (members.T @ keys) / counts.clamp_min(1.0)
    moved = F.normalize(decay * prototypes + (1.0 - decay) * means, dim=1)
    return torch.where(counts > 0, moved, prototypes)


class ProcoMedical(MomentumContrast):
    """Cross-entropy, and contrast with adversarial prototypes."""

    views: ClassVar[tuple[WantedView, ...]] = ("student", "student")
    cost: ClassVar[float] = 1.5
    training_defaults: ClassVar[Mapping[str, Scalar]] = {"augmentation": "simaugment"}

    def prepare(self) -> None:
        """Draw prototypes to start from."""
        super().prepare()
        rows = unit_rows(len(self.class_counts), self.config.n_dims, self.rng)
        self.prototypes = rows.to(self.class_counts.device)

    def loss(
        self,
        views: Sequence[Views],
        targets: Targets,
        step: int,
    ) -> Float[Tensor, ""]:
        """Return both losses of the first view; the second feeds the prototypes and the queue."""
        config: Config = self.config
        features, logits = self.model(views[0])
        new = self.keys(views[1])
        with torch.autocast(features.device.type, enabled=False):
            queries = self.projection(features)

            def both(labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
                cosines = adversarial_cosines(queries, labels, self.prototypes, config.adversary)
                contrast = prototype_contrast(
                    cosines, queries, labels, self.queue.keys, self.queue.labels, config.temperature
                )
                return F.cross_entropy(logits, labels) + config.contrast_weight * contrast

            loss = targets.loss(both)
        self.keep(new, targets.labels)
        return loss

    def take(self, keys: Keys, labels: KeyLabels) -> None:
        """Move the prototypes as well."""
        decay = self.config.prototype_decay
        self.prototypes = moved_prototypes(self.prototypes, keys, labels, decay)
        super().take(keys, labels)
