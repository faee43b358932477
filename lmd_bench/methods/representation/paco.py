"""PaCo: contrast with a queue and with the classes' own centres, which evens out the rare ones.

    L_i = - sum_a w_ia log p_ia / sum_a w_ia,   p_i = softmax over [z_i + log pi, q_i . k / T]
    w: centre_weight for the own class's logit, sample_weight for each key of the own class

The class logits z = W f + b are the parametric centres. Keys are the batch's own embeddings (but
the anchor), the teacher's of the second view, and the queue's.

Paper: Cui et al., Parametric Contrastive Learning, ICCV 2021, Eq. 3 and section 3.3.
URL: https://arxiv.org/abs/2107.12028
Compared with https://github.com/dvlab-research/Parametric-Contrastive-Learning@fe56535ecd: loss and
gradient, sample_weight .05 and 1.

What differs: the teacher is a copy of the student at first and follows it faster in the first
steps; its horizon is a share of training, 3 % as their decay .999 has in 34,000 steps. An empty
queue is left out, theirs starts with random keys. Both views are SimAugment's by default, where
theirs has RandAugment in one.
Defaults: weights 1 and .05, T .2, 128 dimensions: that code; a queue of 1024 instead of 8192, which
is more than many of these training sets.
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
from lmd_bench.methods.representation._momentum import KeyLabels, Keys, MomentumContrast

VERSION = 3


@dataclass(frozen=True)
class Config:
    """Weights of the positives, temperature, and the momentum encoder."""

    centre_weight: float = 1.0
    sample_weight: float = 0.05
    temperature: float = 0.2
    n_dims: int = 128
    queue_size: int = 1024
    ema_horizon: float = 0.03  # share of training that the teacher averages over
    ema_decay: float = 0.0  # above 0: of every step, whatever the horizon

    def __post_init__(self) -> None:
        """Refuse values for which the loss is not defined."""
        require(self.centre_weight > 0, f"centre_weight={self.centre_weight} must be above 0")
        require(self.sample_weight >= 0, "sample_weight must not be negative")
        require(self.temperature > 0, f"temperature={self.temperature} must be above 0")
        require(self.n_dims >= 2, f"n_dims={self.n_dims} must be at least 2")
        require(self.queue_size >= 1, f"queue_size={self.queue_size} must be at least 1")
        require(0 < self.ema_horizon <= 1, f"ema_horizon={self.ema_horizon} must lie in (0, 1]")
        require(0 <= self.ema_decay < 1, f"ema_decay={self.ema_decay} must lie in [0, 1)")


def parametric_contrastive(
    adjusted: Float[Tensor, "batch classes"],
    queries: Float[Tensor, "batch dims"],
    labels: Int64[Tensor, " batch"],
    keys: Keys,
    key_labels: KeyLabels,
    config: Config,
) -> Float[Tensor, ""]:
    """Return the mean of L_i.

    Args:
        adjusted: z + log pi.
        queries: of length 1.
        labels: of the queries.
        keys: of the teacher and the queue, of length 1; the queries themselves are keys as well.
        key_labels: theirs; -1 leaves a key out.
        config: weights and temperature.
    """
    all_keys, all_labels = torch.cat([queries, keys]), torch.cat([labels, key_labels])
    similarities = queries @ all_keys.T / config.temperature
    left_out = torch.eye(*similarities.shape, dtype=torch.bool, device=labels.device)
    left_out |= all_labels < 0
    logits = torch.cat([adjusted, similarities.masked_fill(left_out, -torch.inf)], dim=1)
    log_p = logits - logits.logsumexp(dim=1, keepdim=True)
    same = (labels[:, None] == all_labels) & ~left_out
    centres = F.one_hot(labels, adjusted.shape[1])
    weights = torch.cat([config.centre_weight * centres, config.sample_weight * same], dim=1)
    sums = (weights * log_p.masked_fill(weights == 0, 0.0)).sum(dim=1)
    return -(sums / weights.sum(dim=1)).mean()


class Paco(MomentumContrast):
    """Parametric contrastive learning."""

    views: ClassVar[tuple[WantedView, ...]] = ("student", "student")
    cost: ClassVar[float] = 1.5
    training_defaults: ClassVar[Mapping[str, Scalar]] = {"augmentation": "simaugment"}
    prior_in_loss: ClassVar[bool] = True

    def loss(
        self,
        views: Sequence[Views],
        targets: Targets,
        step: int,
    ) -> Float[Tensor, ""]:
        """Return the loss of the first view against the keys of the second and the queue."""
        features, logits = self.model(views[0])
        new = self.keys(views[1])
        keys = torch.cat([new, self.queue.keys])
        prior = (self.class_counts / self.class_counts.sum()).log()
        with torch.autocast(features.device.type, enabled=False):
            queries = self.projection(features)

            def contrast(labels: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
                of_keys = torch.cat([labels, self.queue.labels])
                adjusted = logits + prior
                return parametric_contrastive(adjusted, queries, labels, keys, of_keys, self.config)

            loss = targets.loss(contrast)
        self.keep(new, targets.labels)
        return loss
