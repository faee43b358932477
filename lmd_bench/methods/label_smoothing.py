"""Label-aware smoothing: labels of head classes are smoothed more than those of tail classes.

    e_y = e_tail + (e_head - e_tail) sin( pi (n_y - n_min) / (2 (n_max - n_min)) )

Zhong et al., Improving Calibration for Long-Tailed Recognition, CVPR 2021, Eqs. 7 to 9,
https://arxiv.org/abs/2104.00466.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor


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
