"""Iterative Classifier Calibration (ICC), stage 2 of LMD: an EM loop on a stage-1 encoder.

Each EM epoch, from the features of all training images:
    statistics  mu_k, Sigma_k of each class (and their average over EM epochs)
    M-step      classifier <- argmin 1/K sum_k E_{f ~ N(mu_k, Sigma_k)} CE(W f + b, k)   (vfc.py)
    E-step      encoder <- some steps over train with the classifier's parameters frozen, on
                L_E = GCE_q(z, y) + w FDC(f, y)
    evaluation  of the new encoder with the new classifier on val; the best epoch is kept

Paper: Pan et al., Long-tailed Medical Diagnosis with Relation-aware Representation Learning and
Iterative Classifier Calibration, 2025.
URL: https://arxiv.org/abs/2502.03238
Code it was compared with: https://github.com/peterlipan/LMD, commit 0d632d31e4. Tests assert equal
moments, averages of them, distances, FDC, GCE and E-step loss, in value and gradient (FDC as
`official`; `signed` is its negative), equal optimiser steps of the M-step, and as many of them.

What differs from that code, and why (each has a switch; `lmd_official` sets them all back):
- GCE's gradient flows through the frozen classifier; there the logits are under no_grad, and the
  encoder is trained by FDC alone (`estep_gce_grad`).
- FDC is attraction - repulsion; there it is the negative, which drives features away from their own
  class (`fdc_form`). Distances are divided by C, without which they grow with the width
  (`fdc_normalise`), and the repulsion may end at `fdc_clip`: distances to a rare class reach 659
  where the median is 1.9 (HAM10000, 32 px), and without a floor the loss diverges there in the
  first EM epoch once BatchNorm is frozen. With a floor of 2 its gradient is a tenth. The weight is
  the published 1e-4 times the 512 of ResNet-18: without that factor FDC's gradient would be a
  thousandth of GCE's.
- Features are evaluated after the E-step, with the encoder that is kept (`evaluation`); there they
  are those of before it, and the encoder that is saved was never evaluated.
- The epoch is chosen on val; there the last one is kept, and the classifier is not saved.
- Statistics come from all real features (`stats_source`); there from one balanced draw.
- Both schedulers of that code are never stepped: the learning rates are constant here;
  `schedule: multistep` steps them as its YAML means (x .1 at a quarter, half, three quarters).
- Its virtual features come from the present statistics and its FDC uses their running mean;
  `virtual_stats` and `fdc_stats` choose each.
- The loop is short: 3 EM epochs of 42 encoder steps instead of 200 passes, at learning rates that
  keep lr x steps (encoder 1e-6 x 25,200 steps; classifier: see vfc.py), and the M-step minimises
  the expectation (_m_step.py) with its own weight decay (vfc.py) instead of taking 50,000 K / 352
  sampled steps.

How far the E-step moves the features is recorded after each EM epoch: |F' - F| / |F| over train.
BatchNorm's statistics alone may do it (`estep_bn: train`): an encoder trained under the strong view
meets the test view here, and at a learning rate of 0 the drift was .80 of the .79 at the default.

Defaults: q .7, FDC weight 1e-4 x 512, eps 1e-2 and encoder weight decay 1e-4: that code's YAML. Its
batch is 128; 32 is what a train set of 1,000 images bears.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import epoch_batches, generator, steps_per_epoch
from lmd_bench.data.views import View, make_view
from lmd_bench.methods.best_epoch import BestOnVal
from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._gaussians import (
    ClassGaussians,
    ClassMoments,
    CovarianceModel,
    class_moments,
    fit_gaussians,
)
from lmd_bench.methods.calibration._losses import (
    FdcForm,
    feature_distribution_consistency,
    generalised_cross_entropy,
)
from lmd_bench.methods.calibration._m_step import expected_m_step, sampled_m_step, sgd_of
from lmd_bench.methods.calibration._sgd import balanced_draws, fresh_head
from lmd_bench.methods.config import require
from lmd_bench.methods.draws import own_draws
from lmd_bench.methods.limits import n_parts
from lmd_bench.methods.models.model import Model, predict
from lmd_bench.methods.models.precision import autocast, grad_scaler, sgd
from lmd_bench.methods.models.recomputing import recomputing

VERSION = 4

Statistics = Literal["running_mean", "current"]


@dataclass(frozen=True)
class Config:
    """The EM loop; see the module's card for where each default comes from."""

    em_epochs: int = 3
    # statistics
    stats_source: Literal["all_real", "balanced_bootstrap"] = "all_real"
    covariance: CovarianceModel = "eps"
    eps: float = 1.0e-2
    shrinkage: float = 0.5
    n_neighbours: int = 2  # tail_borrow: head classes that a tail class borrows from
    fdc_stats: Statistics = "running_mean"
    virtual_stats: Statistics = "current"
    schedule: Literal["constant", "multistep"] = "constant"  # of both learning rates
    # M-step
    m_step: Literal["expected", "sampled"] = "expected"
    lbfgs_iterations: int = 30
    classifier_lr: float = 2.0e-3  # sampled
    n_steps: int = 379  # sampled: in each EM epoch; 0: those of 50,000 features of each class
    virtual_batch: int = 352  # sampled: virtual features of each step
    weight_decay: float = 1.0e-2  # of the classifier
    # E-step
    estep_steps: int = 42  # in each EM epoch, over as many passes as it takes; 0: one pass
    batch_size: int = 32
    encoder_lr: float = 2.0e-4
    encoder_weight_decay: float = 1.0e-4
    gce_q: float = 0.7
    estep_gce_grad: bool = True
    fdc_weight: float = 0.05
    fdc_form: FdcForm = "signed"
    fdc_normalise: bool = True
    fdc_clip: float = 0.0  # of the distances that are made larger; 0: none
    margin: float = 1.0  # hinge: in the units of the distances
    estep_bn: Literal["train", "frozen"] = "train"
    estep_balanced: bool = False
    estep_view: View = "test"
    evaluation: Literal["post", "official"] = "post"
    keep: Literal["best", "last"] = "best"

    def __post_init__(self) -> None:
        """Refuse values for which the loop is not defined."""
        positive = ("em_epochs", "lbfgs_iterations", "virtual_batch", "batch_size", "n_neighbours")
        for name in positive:
            require(getattr(self, name) >= 1, f"{name}={getattr(self, name)} must be at least 1")
        for name in ("n_steps", "estep_steps", "weight_decay", "encoder_weight_decay"):
            require(getattr(self, name) >= 0, f"{name}={getattr(self, name)} must not be negative")
        require(0 < self.gce_q <= 1, f"gce_q={self.gce_q} must lie in (0, 1]")
        require(self.eps > 0, f"eps={self.eps} must be above 0")
        require(0 <= self.shrinkage <= 1, f"shrinkage={self.shrinkage} must lie in [0, 1]")


class Icc(Calibration):
    """Alternates fitting the head to virtual features and moving the encoder towards it."""

    moves_encoder: ClassVar[bool] = True

    @classmethod
    def views(cls, config: Config) -> Sequence[View]:
        """Return the view of the E-step."""
        return (config.estep_view,)

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the encoder and classifier of the EM epoch best on val."""
        loop = _EmLoop(self.config, stage1)
        n_epochs, keep = self.config.em_epochs, self.config.keep
        best = BestOnVal("calibration", n_epochs, stage1.val_set.labels, stage1.on_epoch, keep=keep)
        for epoch in range(self.config.em_epochs):
            loss, judged, logits = loop.epoch(epoch)
            best.update(epoch + 1, loss, logits, judged)
        best.restore(loop.model)
        return Calibrated(loop.model, tuple(best.curve), tuple(loop.drifts))


class _EmLoop:
    """The state of one EM loop: model, optimisers, present features and averaged statistics."""

    def __init__(self, config: Config, stage1: Stage1) -> None:
        self.config = config
        self.stage1 = stage1
        self.model: Model = stage1.model
        self.features, self.val_features = stage1.features
        device = self.features.device
        head = fresh_head(
            self.features.shape[1], stage1.n_classes, derive_seed(stage1.seed, "head"), device
        )
        self.head = self.model.head = head
        self.rng = generator(derive_seed(stage1.seed, "virtual"), device)
        self.classifier_optimiser = sgd_of(head, config.classifier_lr, config.weight_decay)
        self.encoder_optimiser = sgd(
            self.model.encoder.parameters(),
            config.encoder_lr,
            0.9,
            config.encoder_weight_decay,
            device,
        )
        self.scaler = grad_scaler(device)
        self.drifts: list[float] = []
        self.average: ClassMoments | None = None
        self.start_lrs = (config.classifier_lr, config.encoder_lr)

    def epoch(self, epoch: int) -> tuple[float, Model, Tensor]:
        """Run one EM epoch; return its E-step loss, the model to judge and its val logits."""
        config = self.config
        self._set_learning_rates(epoch)
        moments = self._moments(epoch)
        self.average = average = running_mean(self.average, moments, epoch)
        of = {"current": moments, "running_mean": average}
        # Not kept beyond their use: each is a K x C x C.
        virtual = self._gaussians(of[config.virtual_stats])
        self._m_step(virtual)
        same = epoch == 0 or config.fdc_stats == config.virtual_stats
        consistent = virtual if same else self._gaussians(of[config.fdc_stats])
        del virtual, moments, of
        before = self._judged_before() if config.evaluation == "official" else None
        loss = self._e_step(consistent, epoch)
        del consistent
        moved = predict(self.model, self.stage1.train_set)[0]
        self.drifts.append(float((moved - self.features).norm() / self.features.norm()))
        self.features = moved
        if before is not None:
            self.val_features = predict(self.model, self.stage1.val_set)[0]
            return loss, *before
        return loss, self.model, predict(self.model, self.stage1.val_set)[1]

    def _set_learning_rates(self, epoch: int) -> None:
        if self.config.schedule == "constant":
            return
        scale = multistep_scale(epoch, self.config.em_epochs)
        optimisers = (self.classifier_optimiser, self.encoder_optimiser)
        for optimiser, start in zip(optimisers, self.start_lrs, strict=True):
            optimiser.param_groups[0]["lr"] = start * scale

    def _moments(self, epoch: int) -> ClassMoments:
        labels = self.stage1.train_set.labels
        features = self.features
        if self.config.stats_source == "balanced_bootstrap":
            seed = derive_seed(self.stage1.seed, "bootstrap", epoch)
            draws = balanced_draws(labels, len(labels), seed).to(labels.device)
            features, labels = features[draws], labels[draws]
        return class_moments(features, labels, self.stage1.n_classes)

    def _gaussians(self, moments: ClassMoments) -> ClassGaussians:
        config = self.config
        return fit_gaussians(
            moments, config.covariance, config.eps, config.shrinkage, config.n_neighbours
        )

    def _m_step(self, gaussians: ClassGaussians) -> float:
        config = self.config
        if config.m_step == "expected":
            return expected_m_step(
                self.head, gaussians, config.weight_decay, config.lbfgs_iterations
            )
        return sampled_m_step(
            self.head,
            gaussians,
            self.classifier_optimiser,
            config.n_steps or steps_of_virtual_set(len(gaussians.mean), config.virtual_batch),
            config.virtual_batch,
            self.rng,
        )

    def _e_step(self, gaussians: ClassGaussians, epoch: int) -> float:
        config, train_set = self.config, self.stage1.train_set
        self.model.train()
        if config.estep_bn == "frozen":
            freeze_batch_norm(self.model)
        self.head.requires_grad_(False)
        batch_size = min(config.batch_size, len(train_set))
        n_steps = config.estep_steps or steps_per_epoch(len(train_set), batch_size)
        total = torch.zeros((), device=train_set.labels.device)
        of_layers = own_draws(derive_seed(self.stage1.seed, "dropout", epoch), total.device)
        with recomputing(self.model.encoder), of_layers:
            for step, indices in enumerate(islice(self._order(epoch, batch_size), n_steps)):
                seed = derive_seed(self.stage1.seed, "view", epoch, step)
                self.encoder_optimiser.zero_grad(set_to_none=True)
                # Each part counts by its images: the sum is the batch's mean.
                for n, part in enumerate(filter(len, indices.tensor_split(n_parts()))):
                    whole = len(part) == len(indices)
                    # By one seed, image i of every part would be flipped alike.
                    drawn = seed if whole else derive_seed(seed, "part", n)
                    loss = self._e_loss(part, gaussians, drawn)
                    loss = loss if whole else loss * (len(part) / len(indices))
                    self.scaler.scale(loss).backward()
                    total += loss.detach()
                self.scaler.step(self.encoder_optimiser)
                self.scaler.update()
        self.head.requires_grad_(True)
        return float(total) / n_steps

    def _e_loss(self, indices: Tensor, gaussians: ClassGaussians, seed: int) -> Float[Tensor, ""]:
        pixels, labels = self.stage1.train_set.batch(indices)
        view = make_view(self.config.estep_view, pixels, seed)
        with autocast(labels.device):
            features = self.model.encoder(view)
        return e_step_loss(self.config, features.float(), labels, gaussians, self.head)

    def _order(self, epoch: int, batch_size: int) -> Iterator[Tensor]:
        """Yield batches without end, pass after pass, each in an order of its own."""
        labels = self.stage1.train_set.labels_on_cpu
        weights = 1.0 / self.stage1.class_counts.cpu() if self.config.estep_balanced else None
        for of_pass in count():
            seed = derive_seed(self.stage1.seed, "order", epoch, of_pass)
            yield from epoch_batches(labels, batch_size, seed, weights)

    def _judged_before(self) -> tuple[Model, Tensor]:
        with torch.no_grad():
            return copy.deepcopy(self.model), self.head(self.val_features)


def e_step_loss(
    config: Config,
    features: Float[Tensor, "batch features"],
    labels: Int64[Tensor, " batch"],
    gaussians: ClassGaussians,
    head: nn.Module,
) -> Float[Tensor, ""]:
    """Return GCE of the head's logits plus the weighted FDC of the features."""
    consistency = feature_distribution_consistency(
        features,
        labels,
        gaussians,
        config.fdc_form,
        normalise=config.fdc_normalise,
        clip=config.fdc_clip,
        margin=config.margin,
    )
    logits = head(features if config.estep_gce_grad else features.detach())
    return config.fdc_weight * consistency + generalised_cross_entropy(logits, labels, config.gce_q)


def steps_of_virtual_set(n_classes: int, batch_size: int) -> int:
    """Return the steps of a pass over the published virtual set, 50,000 features of each class."""
    return -(-50_000 * n_classes // batch_size)


def running_mean(
    average: ClassMoments | None, new: ClassMoments, epoch: int, decay: float = 0.999
) -> ClassMoments:
    """Return the published average, e <- a e + (1 - a) x with a = min(1 - 1/(t+1), decay).

    For fewer than 1 / (1 - decay) EM epochs it is their mean. `average` is used up.
    """
    if average is None:
        return new
    share = max(1.0 / (epoch + 1), 1.0 - decay)
    # In place, where a third set of covariances would be too much.
    return ClassMoments(
        average.mean.lerp_(new.mean, share),
        average.covariance.lerp_(new.covariance, share),
        new.counts,
    )


def multistep_scale(epoch: int, n_epochs: int) -> float:
    """Return .1 to the number of quarters of the loop that are over: of 200, at 50, 100 and 150."""
    return 0.1 ** min(3, 4 * epoch // n_epochs)


def freeze_batch_norm(module: nn.Module) -> None:
    """Put every BatchNorm layer in eval mode, so that its running statistics stay."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
