"""The E-step's losses: generalised cross-entropy and feature-distribution consistency."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from lmd_bench.methods.calibration._gaussians import ClassGaussians

FdcForm = Literal["signed", "official", "hinge", "qda_ce"]


def generalised_cross_entropy(
    logits: Float[Tensor, "batch classes"], labels: Int64[Tensor, " batch"], q: float
) -> Float[Tensor, ""]:
    """Return mean (1 - p_y^q) / q (Zhang and Sabuncu, NeurIPS 2018, Eq. 6); q -> 0 is CE.

    p is clamped to [1e-7, 1] as in LMD's code.
    URL: https://arxiv.org/abs/1805.07836
    """
    p = logits.softmax(dim=1).gather(1, labels[:, None]).clamp(1e-7, 1.0)
    return ((1.0 - p.pow(q)) / q).mean()


def feature_distribution_consistency(
    features: Float[Tensor, "batch features"],
    labels: Int64[Tensor, " batch"],
    gaussians: ClassGaussians,
    form: FdcForm = "signed",
    *,
    normalise: bool = True,
    clip: float = 0.0,
    margin: float = 1.0,
) -> Float[Tensor, ""]:
    """Return how badly features fit their own class Gaussian against the others.

    With d2 the squared Mahalanobis distances, over C where `normalise`:
    `signed`   mean_b d2_y - mean_{b, c != y} d2_c, which pulls features to their own class;
    `official` its negative, as the published code minimises it, which pushes them away;
    `hinge`    mean_{b, c != y} max(0, margin + d2_y - d2_c), bounded below;
    `qda_ce`   cross-entropy of the Gaussian log-likelihoods, (-d2_c - log det Sigma_c) / 2.

    Args:
        features: of the E-step's batch.
        labels: their classes.
        gaussians: of all classes; no gradient flows into them.
        form: which of the four.
        normalise: divide distances (and log det) by the number of features.
        clip: `signed`, `official`: distances that are made larger count up to this value, which
            gives the loss a floor; 0 has none.
        margin: of the hinge, in the units of d2.
    """
    scale = features.shape[1] if normalise else 1
    d2 = gaussians.mahalanobis(features) / scale
    if form == "qda_ce":
        return F.cross_entropy(-0.5 * (d2 + gaussians.log_determinant() / scale), labels)
    attraction = d2.gather(1, labels[:, None]).squeeze(1)
    # The other classes by their numbers: a mask as an index would make the CPU wait for the GPU.
    columns = torch.arange(d2.shape[1] - 1, device=d2.device)[None]
    others = d2.gather(1, columns + (columns >= labels[:, None]))
    ceiling = clip if clip > 0 else math.inf
    match form:
        case "signed":
            return attraction.mean() - others.clamp(max=ceiling).mean()
        case "official":
            return others.mean() - attraction.clamp(max=ceiling).mean()
        case "hinge":
            return torch.relu(margin + attraction[:, None] - others).mean()
