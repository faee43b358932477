"""Sharpness-aware minimisation (SAM): the gradient is taken where the loss is worst nearby.

    w <- w - lr g(w + rho g(w) / |g(w)|)

Paper: Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization,
ICLR 2021, Eq. 2 and Algorithm 1.
URL: https://arxiv.org/abs/2010.01412

What differs: BatchNorm's running statistics, and what a loss counts over training, see the batch
twice; what a method trains beside the model is not moved for the second gradient.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


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
