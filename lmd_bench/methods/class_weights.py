"""Weights and margins of classes by their training images."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Counts = Int64[Tensor, " classes"]
Weights = Float[Tensor, " classes"]


def effective_number_weights(counts: Counts, beta: float) -> Weights:
    """Return (1 - beta) / (1 - beta^n_j), scaled to sum to K (Cui et al. 2019, Eq. 3).

    beta = 0 gives equal weights; beta towards 1 gives inverse frequencies.
    """
    n = counts.double()
    # expm1 and log1p: 1 - beta^n loses all digits when beta is near 1
    weights = 1.0 / -torch.expm1(n * torch.log(torch.tensor(beta, dtype=torch.float64)))
    return _sum_to_classes(weights)


def inverse_frequency_weights(counts: Counts, gamma: float) -> Weights:
    """Return n_j^-gamma, scaled to sum to K; gamma = 0 gives equal weights."""
    return _sum_to_classes(counts.double().pow(-gamma))


def ldam_margins(counts: Counts, max_margin: float) -> Weights:
    """Return n_j^-1/4, scaled so that the largest is `max_margin` (Cao et al. 2019, Eq. 13)."""
    margins = counts.double().pow(-0.25)
    return (margins * (max_margin / margins.max())).float()


def _sum_to_classes(weights: Tensor) -> Weights:
    return (weights * len(weights) / weights.sum()).float()
