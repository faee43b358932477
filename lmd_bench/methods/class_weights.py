"""Weights and margins of classes by their training images."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

Counts = Int64[Tensor, " classes"]
Weights = Float[Tensor, " classes"]


def class_counts(labels: Int64[Tensor, " images"], n_classes: int) -> Counts:
    """Return the images of each class, without waiting for a GPU.

    `torch.bincount` reads the largest label back from the device.
    """
    return F.one_hot(labels, n_classes).sum(dim=0)


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


def of_mean_one(weights: Weights, counts: Counts) -> Weights:
    """Return the weights over sum_j pi_j w_j: their mean over the training images is then 1.

    A weighted loss so keeps the size of the plain one. Dividing by the constant, not by the
    weights of a batch, leaves a batch of one class its weight.
    """
    share = counts.double() / counts.sum()
    return (weights / (share * weights).sum()).float()


def ldam_margins(counts: Counts, max_margin: float) -> Weights:
    """Return n_j^-1/4, scaled so that the largest is `max_margin` (Cao et al. 2019, Eq. 13)."""
    margins = counts.double().pow(-0.25)
    return (margins * (max_margin / margins.max())).float()


def smoothing(
    counts: Int64[Tensor, " classes"], head: float, tail: float
) -> Float[Tensor, " classes"]:
    """Return e_j of each class; all `head` where the classes are equally large."""
    n = counts.float()
    spread = n.max() - n.min()
    place = torch.where(spread > 0, (n - n.min()) / spread.clamp_min(1.0), torch.ones_like(n))
    return tail + (head - tail) * torch.sin(0.5 * math.pi * place)


def smoothed_cross_entropy(
    logits: Float[Tensor, "batch classes"],
    labels: Int64[Tensor, " batch"],
    of_class: Float[Tensor, " classes"],
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy with labels smoothed by e_y over the other classes."""
    log_p = logits.log_softmax(dim=1)
    own = log_p.gather(1, labels[:, None])[:, 0]
    others = (log_p.sum(dim=1) - own) / (logits.shape[1] - 1)
    share = of_class[labels]
    return -((1.0 - share) * own + share * others).mean()


def _sum_to_classes(weights: Tensor) -> Weights:
    return (weights * len(weights) / weights.sum()).float()
