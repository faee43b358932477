"""Relation-aware Representation Learning (RRL), stage 1 of LMD.

A student sees the strong view, its EMA teacher the weak one. Beside cross-entropy the student
matches the teacher's predictions and two relation matrices of a batch of features F [N, C]:

    L_prob  = mean_b KL(softmax(z_t) || softmax(z_s))
    L_batch = mean_i || S_i/|S_i| - S'_i/|S'_i| ||^2,  S = F F^T   (N x N, sample relations)
    L_chan  = mean_i || Q_i/|Q_i| - Q'_i/|Q'_i| ||^2,  Q = F^T F   (C x C, channel relations)
    L = L_cls + r(t) (w_prob L_prob + w_batch L_batch + w_chan L_chan)

r(t) is 0 in the warm-up and then 1 (hard), or rises as exp(-5 (1-t)^2) over it (sigmoid).

Paper: Pan et al., Long-tailed Medical Diagnosis with Relation-aware Representation Learning and
Iterative Classifier Calibration, 2025; first as MRC in MRC-VFC, MICCAI 2023.
URL: https://arxiv.org/abs/2502.03238
Compared with https://github.com/peterlipan/LMD@0d632d31e4: the three losses, values and gradients,
and the teacher's steps.

What differs from that code, and why:
- L_prob is computed in log space; the code takes log(softmax) and gives inf on saturated logits.
- L_chan is divided by C, not by N, so that its weight does not depend on the batch size; the two
  agree at the published 4 x 128 images and C = 512. `channel_norm: batch` gives theirs.
- The gradient of their gathered loss is 1/4 of the single-process one on 4 GPUs, so the published
  weights 10 and 10 act as 2.5 and 2.5, which are the defaults here.
- The teacher starts as a copy of the student. Its BatchNorm uses batch statistics, as theirs does;
  `teacher_bn` offers the EMA of the student's buffers, or their copy, in eval mode.
- The warm-up is a share of training (21 of 100 epochs there), and so is the horizon of the teacher
  (decay .999 is 8 % of their training on one GPU and 32 % on four); `ema_decay` sets it absolutely.

Defaults: batch and channel weights 2.5, warm-up .21, hard, lr .01: that code, one GPU. L_prob
weighs 1, not the published 5, at which a short training from random weights follows its teacher's
soft, majority-shaped answers and not the labels; `lmd_paper` has 5. Horizon .1.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.core.schema import Scalar
from lmd_bench.data.views import Views
from lmd_bench.methods.config import require
from lmd_bench.methods.representation._base import Representation, Targets, WantedView
from lmd_bench.methods.representation._momentum import ema_alpha, ema_decay, move_towards

VERSION = 2

Features = Float[Tensor, "batch features"]
Logits = Float[Tensor, "batch classes"]


def probability_loss(student: Logits, teacher: Logits) -> Float[Tensor, ""]:
    """Return the mean over the batch of KL(teacher || student), from logits."""
    return F.kl_div(
        F.log_softmax(student.float(), dim=1),
        F.log_softmax(teacher.float(), dim=1),
        reduction="batchmean",
        log_target=True,
    )


def batch_relation_loss(student: Features, teacher: Features) -> Float[Tensor, ""]:
    """Return the mean squared distance of the rows of the two sample-relation matrices."""
    difference = _row_normalised(student @ student.T) - _row_normalised(teacher @ teacher.T)
    return difference.square().sum() / len(student)


def channel_relation_loss(
    student: Features, teacher: Features, norm: Literal["channels", "batch"] = "channels"
) -> Float[Tensor, ""]:
    """Return the squared distance of the two channel-relation matrices, over C or over N."""
    difference = _row_normalised(student.T @ student) - _row_normalised(teacher.T @ teacher)
    n_samples, n_channels = student.shape
    return difference.square().sum() / (n_channels if norm == "channels" else n_samples)


def ramp_weight(progress: float, warmup: float, ramp: Literal["hard", "sigmoid"]) -> float:
    """Return the weight in [0, 1] of the relation losses at `progress` in [0, 1] of training."""
    if progress >= warmup:
        return 1.0
    return 0.0 if ramp == "hard" else math.exp(-5.0 * (1.0 - progress / warmup) ** 2)


@dataclass(frozen=True)
class Config:
    """Weights and schedule of the relation losses."""

    ema_horizon: float = 0.1  # share of training that the teacher averages over
    ema_decay: float = 0.0  # above 0: of every step, whatever the horizon
    warmup_fraction: float = 0.21  # 21 of 100 epochs
    ramp: Literal["hard", "sigmoid"] = "hard"
    probability_loss_weight: float = 1.0
    batch_loss_weight: float = 2.5
    channel_loss_weight: float = 2.5
    channel_norm: Literal["channels", "batch"] = "channels"
    teacher_bn: Literal["batch", "ema", "copy"] = "batch"

    def __post_init__(self) -> None:
        """Refuse values for which the losses are not defined."""
        require(0 < self.ema_horizon <= 1, f"ema_horizon={self.ema_horizon} must lie in (0, 1]")
        require(0 <= self.ema_decay < 1, f"ema_decay={self.ema_decay} must lie in [0, 1)")
        warmup = self.warmup_fraction
        require(0 <= warmup < 1, f"warmup_fraction={warmup} must lie in [0, 1)")


class Rrl(Representation):
    """Cross-entropy, and agreement with an EMA teacher in predictions and relations."""

    views: ClassVar[tuple[WantedView, ...]] = ("student", "weak")
    cost: ClassVar[float] = 1.4  # the teacher's forward and two views
    # the published one; at .05 the relation losses drive all images into the largest class
    training_defaults: ClassVar[Mapping[str, Scalar]] = {"lr": 0.01}

    @classmethod
    def deferral(cls, config: Any) -> float:
        """Return when the relation losses have their full weight."""
        return config.warmup_fraction

    def prepare(self) -> None:
        """Make the teacher, a copy of the student that takes no gradient."""
        self.teacher = copy.deepcopy(self.model).requires_grad_(False)
        self.teacher.train(self.config.teacher_bn == "batch")

    def loss(
        self,
        views: Sequence[Views],
        targets: Targets,
        step: int,
    ) -> Float[Tensor, ""]:
        """Return cross-entropy plus the ramped agreement losses."""
        features, logits = self.model(views[0])
        loss = targets.loss(lambda labels: F.cross_entropy(logits, labels))
        config: Config = self.config
        weight = ramp_weight(step / self.n_steps, config.warmup_fraction, config.ramp)
        if weight == 0.0:  # the teacher's forward would change nothing that is ever read
            return loss
        with torch.no_grad():
            teacher_features, teacher_logits = self.teacher(views[1])
        return loss + weight * self._agreement(features, logits, teacher_features, teacher_logits)

    def after_step(self, step: int) -> None:
        """Move the teacher towards the student."""
        alpha = ema_alpha(step, ema_decay(self.config, self.n_steps))
        move_towards(self.teacher.parameters(), self.model.parameters(), 1.0 - alpha)
        if self.config.teacher_bn != "batch":
            share = 1.0 if self.config.teacher_bn == "copy" else 1.0 - alpha
            move_towards(_float_buffers(self.teacher), _float_buffers(self.model), share)

    def _agreement(
        self,
        features: Features,
        logits: Logits,
        teacher_features: Features,
        teacher_logits: Logits,
    ) -> Float[Tensor, ""]:
        config: Config = self.config
        # Gram matrices of features overflow half precision
        with torch.autocast(features.device.type, enabled=False):
            f_s, f_t = features.float(), teacher_features.float()
            return (
                config.probability_loss_weight * probability_loss(logits, teacher_logits)
                + config.batch_loss_weight * batch_relation_loss(f_s, f_t)
                + config.channel_loss_weight * channel_relation_loss(f_s, f_t, config.channel_norm)
            )


def _row_normalised(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    return F.normalize(matrix, dim=1)


def _float_buffers(module: nn.Module) -> list[Tensor]:
    return [buffer for buffer in module.buffers() if buffer.is_floating_point()]
