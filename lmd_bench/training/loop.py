"""The one epoch loop: trains a model by a representation's loss, judged on val each epoch."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmd_bench.core.schema import OnEpoch, Progress
from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.batches import ImageSet, epoch_batches, steps_per_epoch
from lmd_bench.methods.best_epoch import BestOnVal, KeptState, first_judged
from lmd_bench.methods.config import TrainingConfig
from lmd_bench.methods.draws import own_draws
from lmd_bench.methods.limits import n_parts, recomputes
from lmd_bench.methods.models.encoder import parameter_groups
from lmd_bench.methods.models.model import Model, predict
from lmd_bench.methods.models.precision import autocast, grad_scaler, needs_scaling, sgd
from lmd_bench.methods.models.recomputing import recomputing
from lmd_bench.methods.probe import probe_balanced_accuracy
from lmd_bench.methods.representation._base import Representation
from lmd_bench.training.checkpoint import Checkpoint
from lmd_bench.training.compiling import compiled_forward, put_in
from lmd_bench.training.feed import Feed, Parts


@dataclass(frozen=True)
class Fitted:
    """What a training leaves beside the model, which is left as its own head was best on val."""

    curve: tuple[Progress, ...]
    best_epoch: int  # whose model was left
    encoder: KeptState  # the model that a calibration stands on
    compiled: bool = False  # its encoder was trained through torch.compile


def train(
    method: Representation,
    train_set: ImageSet,
    val_set: ImageSet,
    config: TrainingConfig,
    n_epochs: int,
    seed: int,
    on_epoch: OnEpoch,
    checkpoint: Checkpoint | None = None,
) -> Fitted:
    """Train `method.model` in place and leave it as its own head was best on val.

    No epoch before the method's deferral point is kept. Where memory ran out
    before (`in_parts`) each batch is cut into parts, whose gradients are added up. With a
    checkpoint the training goes on from it, and tells of the epochs before as well.

    Raises:
        DivergedError: a loss that is not finite.
    """
    model = method.model
    device = train_set.labels.device
    optimiser = make_optimiser(model, method.extra, config)
    scaler = grad_scaler(device)
    # What is compiled would keep its activations after all.
    compiles = config.compile and not recomputes()
    forward = compiled_forward(model.encoder, device) if compiles else None
    # A split smaller than a batch is one batch, not none.
    batch_size = min(config.batch_size, len(train_set))
    n_steps = steps_per_epoch(len(train_set), batch_size)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: lr_factor(step, n_steps * n_epochs, n_steps * config.warmup_epochs, config),
    )
    first = first_judged(method.deferral(method.config), n_epochs, n_steps)
    best = BestOnVal("representation", n_epochs, val_set.labels, on_epoch, first)
    encoder = KeptState()
    # Steps are counted over the whole training: deferrals, ramps and the schedule go by them.
    feed = Feed(method, train_set, config, seed)
    step = done = 0
    remembered = {"model": model, "method": method, "best": best, "encoder": encoder}
    if checkpoint is not None:
        done = _go_on(checkpoint, remembered, optimiser, scheduler, scaler, device)
        step = done * n_steps
        for progress in best.curve:
            on_epoch(progress)
    for epoch in range(done + 1, n_epochs + 1):
        model.train()
        method.extra.train()
        # Summed on the device: to read each step's loss would make the GPU wait for it.
        total = torch.zeros((), device=device)
        # How images are drawn may move from one rule to another with the epochs.
        weights = method.draw_weights(epoch, n_epochs)
        order_seed = derive_seed(seed, "order", epoch - 1)
        batches = epoch_batches(train_set.labels_on_cpu, batch_size, order_seed, weights)
        steps = closing(feed.steps(batches, step, n_parts()))
        trained = nn.ModuleList([model, method.extra])
        of_layers = own_draws(derive_seed(seed, "dropout", epoch - 1), device)
        with put_in(model.encoder, forward), recomputing(trained), of_layers, steps as fed:
            for parts in fed:
                total += _step(feed, optimiser, scaler, parts, step).detach()
                scheduler.step()
                step += 1
        val_features, val_logits = predict(model, val_set)
        best.update(epoch, float(total) / n_steps, val_logits, model)
        # The own head says little of the features under it, so an encoder that gets another head
        # is not chosen by it.
        if config.keep == "probe" and epoch >= first or epoch == n_epochs and config.keep == "last":
            encoder.offer(epoch, probe_score(method, train_set, val_set, val_features), model)
        if checkpoint is not None and epoch < n_epochs:
            steppers = {"optimiser": optimiser.state_dict(), "scheduler": scheduler.state_dict()}
            if scaler.is_enabled():
                steppers["scaler"] = scaler.state_dict()
            checkpoint.save(epoch, {**remembered, **steppers})
    best.restore(model)
    if config.keep == "best":
        encoder.offer(best.best_epoch, probe_score(method, train_set, val_set), model)
    return Fitted(tuple(best.curve), best.best_epoch, encoder, forward is not None)


def _go_on(
    checkpoint: Checkpoint,
    remembered: Mapping[str, object],
    optimiser: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    scaler: torch.amp.GradScaler,
    device: torch.device,
) -> int:
    """Put a stored state in place, and return the epoch after which it was; 0 if there is none."""
    parts = {**remembered, "optimiser": None, "scheduler": None}
    parts |= {"scaler": None} if scaler.is_enabled() else {}
    done, state = checkpoint.load(parts, device)
    if done:
        optimiser.load_state_dict(state["optimiser"])
        # In memory as their parameters are: fused optimisers rely on it, and files do not keep it.
        for parameter, values in optimiser.state.items():
            for name, value in values.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    values[name] = torch.empty_like(parameter).copy_(value)
        scheduler.load_state_dict(state["scheduler"])
        if scaler.is_enabled():
            scaler.load_state_dict(state["scaler"])
    return done


def probe_score(
    method: Representation,
    train_set: ImageSet,
    val_set: ImageSet,
    val_features: Float[Tensor, "val features"] | None = None,
) -> float:
    """Return the val balanced accuracy of a balanced linear probe on the model's features.

    Args:
        method: whose encoder is judged, as it is now.
        train_set: what the probe is fitted to.
        val_set: what it is judged on.
        val_features: of the model, where they are known already.
    """
    if val_features is None:
        val_features = predict(method.model, val_set)[0]
    features = predict(method.model, train_set)[0]
    return probe_balanced_accuracy(
        features, train_set.labels, val_features, val_set.labels, len(method.class_counts)
    )


def make_optimiser(model: Model, extra: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimiser that a config names, the lr of each part of the model set.

    Args:
        model: encoder and head.
        extra: what a method trains with them; it stands on the encoder, as the head does.
        config: how they are trained.
    """
    above = [*model.head.parameters(), *extra.parameters()]
    groups = parameter_groups(model.encoder, config.lr, config.layer_decay)
    groups.append({"params": above, "lr": config.lr * config.head_lr_factor})
    lr, decay = config.lr, config.weight_decay
    device = next(model.parameters()).device
    if config.optimiser == "adamw":
        fused = needs_scaling(device) or None
        return torch.optim.AdamW(groups, lr=lr, weight_decay=decay, fused=fused)
    return sgd(groups, lr, config.momentum, decay, device)


def lr_factor(step: int, n_steps: int, n_warmup: float, config: TrainingConfig) -> float:
    """Return the share of the lr at a step: a linear rise, then constant or half a cosine to 0.

    Args:
        step: from 0.
        n_steps: of the whole training.
        n_warmup: steps of the rise; its last one has the full lr.
        config: which names the schedule.
    """
    if step < n_warmup:
        # The last step of a rise that is no whole number of steps ends after it.
        return min(1.0, (step + 1) / n_warmup)
    if config.schedule == "constant":
        return 1.0
    progress = min(1.0, (step - n_warmup) / max(1.0, n_steps - n_warmup))
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _step(
    feed: Feed,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    parts: Parts,
    step: int,
) -> Float[Tensor, ""]:
    method = feed.method

    def backward() -> Float[Tensor, ""]:
        optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=feed.train_set.labels.device)
        for views, targets, share in parts():
            with autocast(targets.labels.device):
                loss = method.loss(views, targets, step)
            # Parts need not be equal, so each counts by its images: the sum is the batch's mean.
            loss = loss * share if share != 1.0 else loss
            scaler.scale(loss).backward()
            total += loss.detach()
        return total

    loss = backward()
    # Sharpness-aware: the gradient that steps is taken uphill, on the same views of the batch.
    if feed.config.sam_rho > 0:
        with sharpened(method.model.parameters(), feed.config.sam_rho):
            method.uphill = True
            backward()
            method.uphill = False
    # A gradient that overflowed in float16 is no step, and the scale falls; elsewhere a plain step.
    scaler.step(optimiser)
    scaler.update()
    method.after_step(step)
    return loss


@contextmanager
def sharpened(parameters: Iterable[nn.Parameter], rho: float) -> Iterator[None]:
    """Move the parameters by rho along their gradient, and back to the bit afterwards.

    The gradient may be scaled.
    """
    moved: list[Tensor] = [parameter for parameter in parameters if parameter.grad is not None]
    gradients: list[Tensor] = [parameter.grad for parameter in moved if parameter.grad is not None]
    # One that overflowed would leave NaN in BatchNorm's statistics, though the step is left out.
    if moved and needs_scaling(moved[0].device):
        gradients = [gradient.nan_to_num(0.0, 0.0, 0.0) for gradient in gradients]
    before = [parameter.detach().clone() for parameter in moved]
    # The norm over all parameters is that of their norms; one number, and nothing copied.
    norms = torch.stack(torch._foreach_norm(gradients))  # pyright: ignore[reportPrivateUsage]
    scale = rho / norms.norm().clamp_min(1e-12)
    with torch.no_grad():
        uphill = torch._foreach_mul(gradients, scale)  # pyright: ignore[reportPrivateUsage]
        torch._foreach_add_(moved, uphill)  # pyright: ignore[reportPrivateUsage]
    # Copies, not a subtraction: adding and taking away again would round.
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(moved, before)  # pyright: ignore[reportPrivateUsage]
