"""Trains a head on cached features by SGD; keeps the epoch best on val."""

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

Loss = Callable[[Float[Tensor, "batch classes"], Int64[Tensor, " batch"]], Float[Tensor, ""]]


@runtime_checkable
class SgdConfig(Protocol):
    """What the Config of a head trained by SGD has."""

    @property
    def n_epochs(self) -> int:
        """Passes of as many draws as there are training images."""
        ...

    @property
    def batch_size(self) -> int:
        """Draws of a step."""
        ...


def fit_head(
    stage1: Stage1,
    head: nn.Module,
    optimiser: torch.optim.Optimizer,
    config: SgdConfig,
    loss: Loss,
    *,
    balanced: bool = True,
    after_step: Callable[[], None] = lambda: None,
) -> tuple[Progress, ...]:
    """Train `head` in place, leave it at its best epoch on val, and return its curve.

    Args:
        stage1: features, labels, seed and report.
        head: takes features to logits.
        optimiser: of the head's parameters; its learning rates fall along a cosine.
        config: epochs and batch size.
        loss: of logits and labels.
        balanced: draws each class equally often; else each image once.
        after_step: called after each step (a constraint on the weights).

    Raises:
        DivergedError: a loss that is not finite.
    """
    features, val_features = stage1.features
    labels = stage1.train_set.labels
    batch = min(config.batch_size, len(labels))
    n_steps = max(1, len(labels) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps * config.n_epochs)
    best = BestOnVal("calibration", config.n_epochs, stage1.val_set.labels, stage1.report)
    for epoch in range(config.n_epochs):
        seed = derive_seed(stage1.seed, "draws", epoch)
        draws = (
            balanced_draws(labels, n_steps * batch, seed)
            if balanced
            else torch.randperm(len(labels), generator=generator(seed))[: n_steps * batch]
        )
        total = torch.zeros((), device=features.device)
        for indices in draws.view(n_steps, batch).to(features.device):
            value = loss(head(features[indices]), labels[indices])
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            schedule.step()
            after_step()
            total += value.detach()
        with torch.no_grad():
            best.update(epoch + 1, float(total) / n_steps, head(val_features), head)
    best.restore(head)
    return tuple(best.curve)


def fresh_head(n_features: int, n_classes: int, seed: int, device: torch.device) -> nn.Linear:
    """Return a linear head initialised from `seed`, the same on every device."""
    with torch.random.fork_rng(devices=[]):  # built on the CPU
        torch.manual_seed(seed)
        return nn.Linear(n_features, n_classes).to(device)


def balanced_draws(
    labels: Int64[Tensor, " images"], n_draws: int, seed: int
) -> Int64[Tensor, " draws"]:
    """Return image indices drawn with replacement, each class equally likely."""
    counts = torch.bincount(labels.cpu())
    weights = 1.0 / counts.double()[labels.cpu()]
    return torch.multinomial(weights, n_draws, replacement=True, generator=generator(seed))
