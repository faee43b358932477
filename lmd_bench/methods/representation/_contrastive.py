"""Supervised contrastive losses on normalised embeddings, and the projection that gives them."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lmd_bench.methods.class_weights import class_counts
from lmd_bench.methods.draws import own_draws

Embeddings = Float[Tensor, "anchors dims"]


def supervised_contrastive(
    embeddings: Embeddings, labels: Int64[Tensor, " anchors"], temperature: float
) -> Float[Tensor, ""]:
    """Return the supervised contrastive loss (Khosla et al. 2020, Eq. 2, L_out).

    L_i = - 1/|P(i)| sum_{p in P(i)} log( e^{s_ip} / sum_{a != i} e^{s_ia} ),  s = z z^T / T,
    P(i) the other anchors of i's class. Anchors alone in their class are left out.

    URL: https://arxiv.org/abs/2004.11362

    Args:
        embeddings: of length 1, one or more for each image.
        labels: of the embeddings.
        temperature: T.
    """
    similarities = _similarities(embeddings, embeddings, temperature)
    log_p = similarities - similarities.logsumexp(dim=1, keepdim=True)
    return _mean_over_positives(log_p, labels[:, None] == labels)


def balanced_contrastive(
    embeddings: Embeddings,
    labels: Int64[Tensor, " anchors"],
    centres: Float[Tensor, "classes dims"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Return the balanced contrastive loss (Zhu et al. 2022, Eq. 5).

    L_i = - 1/|P(i)| sum_{p in P(i)} log( e^{s_ip} / sum_c 1/|B_c - i| sum_{a in B_c - i} e^{s_ia} )
    over anchors and one centre of each class, so that every class is in every batch
    (complement) and pushes with one voice (averaging).

    URL: https://arxiv.org/abs/2207.09052

    Args:
        embeddings: of length 1, one or more for each image.
        labels: of the embeddings.
        centres: of length 1, one a class; they are compared with but are no anchors.
        temperature: T.
    """
    n_classes = len(centres)
    all_labels = torch.cat([labels, torch.arange(n_classes, device=labels.device)])
    similarities = _similarities(embeddings, torch.cat([embeddings, centres]), temperature)
    positive = labels[:, None] == all_labels
    members = class_counts(all_labels, n_classes)[all_labels]
    # of its own class an anchor sees all members but itself; the centre makes that at least one
    log_size = (members - positive.long()).clamp_min(1).log()
    log_p = similarities - (similarities - log_size).logsumexp(dim=1, keepdim=True)
    return _mean_over_positives(log_p, positive)


class Projection(nn.Module):
    """Two linear layers with BatchNorm between, to embeddings of length 1."""

    def __init__(self, n_features: int, n_dims: int, seed: int) -> None:
        """Draw the weights; the same for the same seed and sizes."""
        super().__init__()
        with own_draws(seed):
            self.layers = nn.Sequential(
                nn.Linear(n_features, n_features),
                nn.BatchNorm1d(n_features),
                nn.ReLU(),
                nn.Linear(n_features, n_dims),
            )

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch dims"]:
        """Return the embeddings."""
        return F.normalize(self.layers(features), dim=1)


def _similarities(
    embeddings: Embeddings, others: Float[Tensor, "others dims"], temperature: float
) -> Float[Tensor, "anchors others"]:
    """Return z_i z_a / T, -inf for an anchor and itself."""
    similarities = embeddings @ others.T / temperature
    itself = torch.eye(*similarities.shape, dtype=torch.bool, device=similarities.device)
    return similarities.masked_fill(itself, -torch.inf)


def _mean_over_positives(log_p: Tensor, positive: Tensor) -> Float[Tensor, ""]:
    itself = torch.eye(*log_p.shape, dtype=torch.bool, device=log_p.device)
    positive = positive & ~itself
    counts = positive.sum(dim=1)
    sums = log_p.masked_fill(~positive, 0.0).sum(dim=1)
    kept = counts > 0
    return -(sums / counts.clamp_min(1)).sum() / kept.sum().clamp_min(1)
