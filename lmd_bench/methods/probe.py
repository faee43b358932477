"""A class-balanced linear probe: how well features tell the classes apart, whatever head they had.

    B = (X^T D X + r tr(X^T D X)/C I)^-1 X^T D Y,   D_ii = 1 / (K n_(y_i))

X are the features less their balanced mean, Y the one-hot labels less 1/K: a ridge regression in
which every class weighs the same, so its prediction needs no correction for the prior.

Paper: linear probes, Alain and Bengio, Understanding intermediate layers using linear classifier
probes, 2016. URL: https://arxiv.org/abs/1610.01644
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.stats.metrics import balanced_accuracy

RIDGE = 0.1  # of the mean variance of a feature


def probe_balanced_accuracy(
    features: Float[Tensor, "train features"],
    labels: Int64[Tensor, " train"],
    val_features: Float[Tensor, "val features"],
    val_labels: Int64[Tensor, " val"],
    n_classes: int,
) -> float:
    """Return the balanced accuracy on val of a class-balanced ridge regression on train.

    Where val is empty nothing tells one encoder from another, so it is 0 for all.
    """
    if not len(val_labels):
        return 0.0
    x, y = features.double(), torch.nn.functional.one_hot(labels, n_classes).double()
    shares = 1.0 / (n_classes * y.sum(dim=0).clamp_min(1.0))
    weights = shares[labels][:, None]
    mean = (weights * x).sum(dim=0)
    centred = x - mean
    spread = centred.T @ (weights * centred)
    ridge = RIDGE * spread.diagonal().mean().clamp_min(1e-12)
    spread.diagonal().add_(ridge)
    coefficients = torch.linalg.solve(spread, centred.T @ (weights * (y - 1.0 / n_classes)))
    scores = (val_features.double() - mean) @ coefficients
    return float(balanced_accuracy(val_labels.cpu().numpy(), scores.cpu().numpy()))
