"""What head-only calibrations share: a fresh head and class-balanced draws."""

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from lmd_bench.data.batches import generator


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
