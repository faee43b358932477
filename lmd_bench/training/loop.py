"""The one epoch loop: trains a model by a representation's loss, judged on val each epoch."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.core.schema import OnEpoch, Progress
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import ImageSet, epoch_batches, steps_per_epoch
from lmd_bench.methods.best_epoch import BestOnVal
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.models.model import autocast, predict
from lmd_bench.methods.representation._base import Representation
from lmd_bench.training.feed import Feed


@dataclass(frozen=True)
class Fitted:
    """What a training leaves beside the model: its curve and the epoch that was kept."""

    curve: tuple[Progress, ...]
    best_epoch: int


def train(
    method: Representation,
    train_set: ImageSet,
    val_set: ImageSet,
    config: TrainingConfig,
    n_epochs: int,
    seed: int,
    report: OnEpoch,
    n_micro: int = 1,
) -> Fitted:
    """Train `method.model` in place and leave it at its best epoch by val balanced accuracy.

    With `n_micro` above 1 each batch is cut into so many parts, whose gradients are added up.

    Raises:
        DivergedError: a loss that is not finite.
    """
    model = method.model
    optimiser = torch.optim.SGD(
        [*model.parameters(), *method.extra.parameters()],
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
    batch_size = min(config.batch_size, len(train_set))
    scheduler = _schedule(optimiser, config, method.n_steps)
    best = BestOnVal("representation", n_epochs, val_set.labels, report, config.keep)
    feed = Feed(method, train_set, config, seed)
    step = 0
    for epoch in range(n_epochs):
        model.train()
        method.extra.train()
        total = torch.zeros((), device=train_set.labels.device)
        weights = method.draw_weights(epoch / max(1, n_epochs - 1))
        order_seed = derive_seed(seed, "order", epoch)
        for indices in epoch_batches(train_set.labels.cpu(), batch_size, order_seed, weights):
            total += _step(feed, optimiser, indices, step, n_micro).detach()
            scheduler.step()
            step += 1
        loss = float(total) / steps_per_epoch(len(train_set), batch_size)
        best.update(epoch + 1, loss, predict(model, val_set)[1], model)
    best.restore(model)
    return Fitted(tuple(best.curve), best.best_epoch)


def _step(
    feed: Feed,
    optimiser: torch.optim.Optimizer,
    indices: Int64[Tensor, " batch"],
    step: int,
    n_micro: int,
) -> Float[Tensor, ""]:
    method = feed.method
    parts = feed.parts(indices, step, n_micro)

    def backward() -> Float[Tensor, ""]:
        optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=feed.train_set.labels.device)
        for views, targets in parts():
            with autocast(targets.labels.device):
                loss = method.loss(views, targets, step)
            loss = loss * (len(targets.labels) / len(indices)) if n_micro > 1 else loss
            loss.backward()
            total += loss.detach()
        return total

    loss = backward()
    if feed.config.sam_rho > 0:
        with sharpened(method.model.parameters(), feed.config.sam_rho):
            backward()
    optimiser.step()
    method.after_step(step)
    return loss


def _schedule(
    optimiser: torch.optim.Optimizer, config: TrainingConfig, n_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    def factor(step: int) -> float:
        if config.schedule == "constant":
            return 1.0
        return 0.5 * (1.0 + math.cos(math.pi * min(step, n_steps) / n_steps))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


@contextmanager
def sharpened(parameters: Iterable[nn.Parameter], rho: float) -> Iterator[None]:
    """Move the parameters by rho along their gradient, and back to the bit afterwards."""
    moved = [parameter for parameter in parameters if parameter.grad is not None]
    gradients = [parameter.grad for parameter in moved if parameter.grad is not None]
    before = [parameter.detach().clone() for parameter in moved]
    norms = torch.stack([gradient.norm() for gradient in gradients])
    scale = rho / norms.norm().clamp_min(1e-12)
    with torch.no_grad():
        for parameter, gradient in zip(moved, gradients, strict=True):
            parameter.add_(gradient * scale)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(moved, before, strict=True):
                parameter.copy_(value)
