"""LADC, our reading: tail classes borrow mean and covariance from the nearest head classes.

    mu'_t = (1 - a) mu_t + a mean over its k nearest head classes of mu_h
    Sigma'_t = mean over the same of Sigma_h (and its own), + eps I

A tail class is one of the third of classes with fewest images. The head is then fitted to the
Gaussians' expected class-balanced cross-entropy, as in `vfc`. Features are raised to the power
`tukey` (Tukey's ladder) before, their signs kept; the classifier does the same.

Paper: Wang et al., Label-Aware Distribution Calibration for Long-tailed Classification, 2021; the
formulas after Yang et al., Free Lunch for Few-shot Learning, ICLR 2021.
URL: https://arxiv.org/abs/2111.04901

What differs: only the abstract of LADC gives the method in public; this is a reconstruction and is
marked so wherever it is listed.
Defaults: k 2, a .3, eps .01, tukey 1 (features are not changed); weight decay 1e-2 as in vfc.py.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from lmd_bench.core.seeding import derive_seed
from lmd_bench.methods.calibration._base import Calibrated, Calibration, Stage1
from lmd_bench.methods.calibration._gaussians import (
    ClassMoments,
    Covariance,
    OfClass,
    class_moments,
    raised,
)
from lmd_bench.methods.calibration._m_step import expected_m_step
from lmd_bench.methods.calibration._sgd import fresh_head
from lmd_bench.methods.config import require
from lmd_bench.methods.models.heads import PowerHead, signed_power

VERSION = 2


@dataclass(frozen=True)
class Config:
    """What tail classes borrow, and the penalty of the head."""

    n_neighbours: int = 2
    borrowed: float = 0.3  # a
    eps: float = 0.01
    tukey: float = 1.0
    weight_decay: float = 1.0e-2

    def __post_init__(self) -> None:
        """Refuse values for which the Gaussians are not defined."""
        require(self.n_neighbours >= 1, f"n_neighbours={self.n_neighbours} must be at least 1")
        require(0 <= self.borrowed <= 1, f"borrowed={self.borrowed} must lie in [0, 1]")
        require(self.eps > 0, f"eps={self.eps} must be above 0")
        require(0 < self.tukey <= 1, f"tukey={self.tukey} must lie in (0, 1]")


def tail_classes(counts: Int64[Tensor, " classes"]) -> Bool[Tensor, " classes"]:
    """Return which classes belong to the third with fewest images, at least one."""
    n_tail = max(1, len(counts) // 3)
    tail = torch.zeros(len(counts), dtype=torch.bool, device=counts.device)
    tail[counts.argsort(stable=True)[:n_tail]] = True
    return tail


def borrowed_moments(
    moments: ClassMoments, n_neighbours: int, borrowed: float
) -> tuple[Float[Tensor, "classes features"], OfClass]:
    """Return means and covariances, those of tail classes mixed with their nearest heads'."""
    tail = tail_classes(moments.counts)
    heads = (~tail).nonzero().flatten()
    distances = torch.cdist(moments.mean[tail], moments.mean[heads])
    nearest = heads[distances.topk(min(n_neighbours, len(heads)), largest=False).indices]
    mean = moments.mean.clone()
    mean[tail] = torch.lerp(mean[tail], moments.mean[nearest].mean(dim=1), borrowed)
    lenders = dict(zip(tail.nonzero().flatten().tolist(), nearest, strict=True))

    def sigma(label: int) -> Covariance:
        own = moments.covariance[label]
        if label not in lenders:
            return own
        lent = moments.covariance[lenders[label]].sum(dim=0) + own
        return lent / (nearest.shape[1] + 1)

    return mean, sigma


class Ladc(Calibration):
    """Fits a fresh head to the calibrated Gaussians."""

    def fit(self, stage1: Stage1) -> Calibrated:
        """Return the encoder with the head fitted to calibrated class distributions."""
        config: Config = self.config
        features = signed_power(stage1.features[0], config.tukey)
        moments = class_moments(features, stage1.train_set.labels, stage1.n_classes)
        mean, sigma = borrowed_moments(moments, config.n_neighbours, config.borrowed)
        gaussians = raised(mean, sigma, config.eps, torch.float32)
        head = fresh_head(
            features.shape[1], stage1.n_classes, derive_seed(stage1.seed, "head"), features.device
        )
        expected_m_step(head, gaussians, config.weight_decay)
        stage1.model.head = PowerHead(head, config.tukey)
        return Calibrated(stage1.model)
