"""What is drawn from the generators of torch itself: weights, dropout, stochastic depth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")


@contextmanager
def own_draws(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seed the generators of torch itself for a while, and put them back as they were.

    Layers draw from these and take no others. Unseeded, a model would depend on what its process
    had drawn before.

    Args:
        seed: of a model, or of an epoch, so that one that goes on from a checkpoint draws alike.
        device: where the model is, or is built.
    """
    gpus = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield
