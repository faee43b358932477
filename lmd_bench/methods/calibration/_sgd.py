"""Trains a head on cached features by SGD; keeps the epoch best on val.

An epoch and a batch are those of the published codes, with one rule added: a batch is never so
large that an epoch has fewer than about `STEPS_OF_AN_EPOCH` steps. With the published 512 of sets
of 100,000 images, 1,000 images would give a head ten steps in all.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.core.schema import Progress
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import generator
from lmd_bench.methods.best_epoch import BestOnVal
from lmd_bench.methods.calibration._base import Stage1
from lmd_bench.methods.draws import own_draws

Loss = Callable[[Float[Tensor, "batch classes"], Int64[Tensor, " batch"]], Float[Tensor, ""]]
STEPS_OF_AN_EPOCH = 32
SMALLEST_BATCH = 32  # images; below, a step's gradient is mostly noise


@runtime_checkable
class SgdConfig(Protocol):
    """What the Config of a head trained by SGD has."""

    @property
    def n_epochs(self) -> int:
        """Passes over train, or over its classes made equally large (`fit_head`)."""
        ...

    @property
    def batch_size(self) -> int:
        """Draws of a step at most; see `fitted_batch`."""
        ...


def fit_head(
    stage1: Stage1,
    head: nn.Module,
    optimiser: torch.optim.Optimizer,
    config: SgdConfig,
    loss: Loss,
    *,
    balanced: bool = True,
    after_epoch: Callable[[], None] = lambda: None,
) -> tuple[Progress, ...]:
    """Train `head` in place, leave it at its best epoch on val, and return its curve.

    Args:
        stage1: features, labels, seed and callback.
        head: takes features to logits.
        optimiser: of the head's parameters; its learning rates fall along a cosine.
        config: epochs and batch size.
        loss: of logits and labels.
        balanced: an epoch draws each class as often as the largest has images; else it takes each
            image once.
        after_epoch: called at the end of each epoch, before val (a constraint on the weights).

    Raises:
        DivergedError: a loss that is not finite.
    """
    features, val_features = stage1.features
    labels = stage1.train_set.labels
    n_draws = int(stage1.class_counts.max()) * stage1.n_classes if balanced else len(labels)
    n_steps = -(-n_draws // fitted_batch(config.batch_size, n_draws))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps * config.n_epochs)
    best = BestOnVal("calibration", config.n_epochs, stage1.val_set.labels, stage1.on_epoch)
    for epoch in range(config.n_epochs):
        seed = derive_seed(stage1.seed, "draws", epoch)
        draws = (
            class_aware_draws(labels, seed)
            if balanced
            else torch.randperm(len(labels), generator=generator(seed))
        )
        total = torch.zeros((), device=features.device)
        # Parts of equal size: a last batch of one or two images would take a step of noise.
        for indices in draws.to(features.device).tensor_split(n_steps):
            value = loss(head(features[indices]), labels[indices])
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            schedule.step()
            total += value.detach()
        with torch.no_grad():
            after_epoch()
            best.update(epoch + 1, float(total) / n_steps, head(val_features), head)
    best.restore(head)
    return tuple(best.curve)


def fitted_batch(batch_size: int, n_draws: int) -> int:
    """Return the batch size of an epoch of `n_draws`: at most `batch_size`, less for few draws."""
    return min(batch_size, max(SMALLEST_BATCH, n_draws // STEPS_OF_AN_EPOCH))


def fresh_head(n_features: int, n_classes: int, seed: int, device: torch.device) -> nn.Linear:
    """Return a linear head initialised from `seed`, the same on every device."""
    with own_draws(seed):  # built on the CPU, whatever the device
        return nn.Linear(n_features, n_classes).to(device)


def class_aware_draws(labels: Int64[Tensor, " images"], seed: int) -> Int64[Tensor, " draws"]:
    """Return the n_max K image indices of a class-aware epoch, one of each class in turn.

    Within a class images come in turn too, in a new order each time round, so that each is drawn
    n_max / n_j times, rounded up or down; one of the largest class, once. A class without images
    is left out.
    """
    rng = generator(seed)
    images_of = [
        members.cpu()
        for label in range(int(labels.max()) + 1)
        if len(members := (labels == label).nonzero().flatten())
    ]
    n_each = max(len(images) for images in images_of)
    columns = []
    for images in images_of:
        rounds = [
            images[torch.randperm(len(images), generator=rng)]
            for _ in range(-(-n_each // len(images)))
        ]
        columns.append(torch.cat(rounds)[:n_each])
    return torch.stack(columns, dim=1).flatten()


def balanced_draws(
    labels: Int64[Tensor, " images"], n_draws: int, seed: int
) -> Int64[Tensor, " draws"]:
    """Return image indices drawn with replacement, each class equally likely."""
    counts = torch.bincount(labels.cpu())
    weights = 1.0 / counts.double()[labels.cpu()]
    return torch.multinomial(weights, n_draws, replacement=True, generator=generator(seed))
