"""mixup and CutMix: images of a batch joined with partners from the same batch.

mixup, Zhang et al., ICLR 2018, https://arxiv.org/abs/1710.09412: x = s x_a + (1 - s) x_b.
CutMix, Yun et al., ICCV 2019, https://arxiv.org/abs/1905.04899: a box of x_a, (1 - s) of its area,
is x_b's. In both s ~ Beta(alpha, alpha), and the loss is s L(y_a) + (1 - s) L(y_b).

As in the authors' code, one share (and one box) is drawn for a batch, partners are a permutation
of it, and CutMix's share is that of the box once clipped to the image. CutMix is applied to every
batch, as theirs is on ImageNet. No difference is known but this: both act on normalised views, so
all views of an image are mixed with the same partner, share and box.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from lmd_bench.views._draws import Images

Mixing = Literal["mixup", "cutmix"]


@dataclass(frozen=True)
class Mixture:
    """How the images of one batch are joined with their partners."""

    partners: Int64[Tensor, " batch"]  # position in the batch, on the CPU
    share: float  # of an image's own label, in [0, 1]
    box: tuple[int, int, int, int] | None = None  # top, bottom, left, right; None: all, blended


def draw_mixture(mixing: Mixing, n: int, size: tuple[int, int], alpha: float, seed: int) -> Mixture:
    """Return a random mixture of a batch; the same seed gives the same.

    Args:
        mixing: what is done with a pair of images.
        n: images of the batch.
        size: height and width of the images, pixels.
        alpha: of the Beta distribution, above 0; 1 draws every share alike.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    partners = torch.from_numpy(rng.permutation(n))
    share = float(rng.beta(alpha, alpha))
    if mixing == "mixup":
        return Mixture(partners, share)
    height, width = size
    (top, bottom), (left, right) = (_cut(side, share, rng.random()) for side in (height, width))
    area = (bottom - top) * (right - left) / (height * width)
    return Mixture(partners, 1.0 - area, (top, bottom, left, right))


def mix(images: Images, mixture: Mixture) -> Images:
    """Return each image joined with its partner."""
    partners = mixture.partners.to(images.device, non_blocking=True)
    if mixture.box is None:
        return images.lerp(images[partners], 1.0 - mixture.share)
    top, bottom, left, right = mixture.box
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images[..., top:bottom, left:right][partners]
    return mixed


def _cut(side: int, share: float, middle: float) -> tuple[int, int]:
    """Return the first pixel and the end of the box along one side, clipped to the image."""
    length = int(side * (1.0 - share) ** 0.5)
    start = int(middle * side) - length // 2
    return max(0, start), min(side, start + length)
