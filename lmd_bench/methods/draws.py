"""What the layers of a model draw while it is trained: dropout, stochastic depth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_draws(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of torch itself for a while, and put them back as they were.

    Layers draw from these and take no others. Unseeded, a model would depend on what its process
    had drawn before.

    Args:
        seed: of the epoch that is trained, so that one that goes on from a checkpoint draws alike.
        device: where the model is.
    """
    gpus = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield
