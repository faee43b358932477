"""mixup, Remix, CutMix and CMO: images joined with partners.

mixup, Zhang et al., ICLR 2018, https://arxiv.org/abs/1710.09412: x = s x_a + (1 - s) x_b.
Remix, Chou et al., ECCV workshop 2020, https://arxiv.org/abs/2007.03943: mixup's image, but the
rarer class takes the whole label where it is much rarer and its share is not too small (Eq. 3).
CutMix, Yun et al., ICCV 2019, https://arxiv.org/abs/1905.04899: a box of x_a, (1 - s) of its area,
is x_b's.
CMO, Park et al., CVPR 2022, https://arxiv.org/abs/2112.00412: CutMix whose x_b is drawn from all
training images, each class alike (their weights 1/n_j), so that rare objects lie on frequent
backgrounds.
In all s ~ Beta(alpha, alpha), and the loss is s L(y_a) + (1 - s) L(y_b).

As in the authors' code, one share (and one box) is drawn for a batch, partners are a permutation
of it but for CMO, and CutMix's share is that of the box once clipped to the image. A batch is mixed
with `training.mixing_probability`. What differs: all act on normalised views, and all views of an
image are mixed with the same partner, share and box; CMO mixes in every epoch, theirs in all but
the first and the last three.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from lmd_bench.data.batches import Labels
from lmd_bench.data.views._draws import Views

Mixing = Literal["mixup", "cutmix", "remix", "cmo"]


@dataclass(frozen=True)
class Draw:
    """What the mixing of one batch is drawn from."""

    seed: int  # of partners, share and box
    alpha: float  # of the Beta distribution, above 0; 1 draws every share alike
    class_counts: Int64[Tensor, " classes"]  # training images
    remix_ratio: float  # kappa
    remix_threshold: float  # tau
    # As many training images as it is asked for, each class alike, in the views of the batch.
    pasted: Callable[[int], tuple[list[Views], Labels]]


@dataclass(frozen=True)
class Mixed:
    """A batch whose images are joined with their partners."""

    views: list[Views]
    labels: list[tuple[Labels, Labels]]  # an image's own and its partner's
    share: float  # of an image's own label, in [0, 1]


def mixup(views: Sequence[Views], labels: Sequence[Labels], draw: Draw) -> Mixed:
    """Return each image blended with its partner.

    Args:
        views: the views of the batch, all of the same images.
        labels: their labels; several where the views are of several batches.
        draw: what the mixing is drawn from.
    """
    mixture = draw_mixture(len(labels[0]), draw.alpha, draw.seed)
    return _with_partners(views, labels, mixture)


def remix(views: Sequence[Views], labels: Sequence[Labels], draw: Draw) -> Mixed:
    """Return mixup's images, whose labels favour the rarer class (Eq. 3)."""
    blended = mixup(views, labels, draw)
    counts, ratio, threshold = draw.class_counts, draw.remix_ratio, draw.remix_threshold
    pairs = [remixed(*pair, blended.share, counts, ratio, threshold) for pair in blended.labels]
    return Mixed(blended.views, pairs, blended.share)


def cutmix(views: Sequence[Views], labels: Sequence[Labels], draw: Draw) -> Mixed:
    """Return each image with a box of its partner's."""
    mixture = draw_mixture(len(labels[0]), draw.alpha, draw.seed, _size(views))
    return _with_partners(views, labels, mixture)


def cmo(views: Sequence[Views], labels: Sequence[Labels], draw: Draw) -> Mixed:
    """Return each image with a box of one that is drawn from all classes alike."""
    mixture = draw_mixture(len(labels[0]), draw.alpha, draw.seed, _size(views))
    pasted_views, pasted = draw.pasted(len(labels[0]))
    joined = [join(*pair, mixture) for pair in zip(views, pasted_views, strict=True)]
    return Mixed(joined, [(own, pasted) for own in labels], mixture.share)


MIXINGS: Mapping[Mixing, Callable[[Sequence[Views], Sequence[Labels], Draw], Mixed]] = {
    "mixup": mixup,
    "cutmix": cutmix,
    "remix": remix,
    "cmo": cmo,
}


@dataclass(frozen=True)
class Mixture:
    """How the images of one batch are joined with their partners."""

    partners: Int64[Tensor, " batch"]  # position in the batch, on the CPU
    share: float  # of an image's own label, in [0, 1]
    box: tuple[int, int, int, int] | None = None  # top, bottom, left, right; None: all, blended


def draw_mixture(
    n: int, alpha: float, seed: int, box_within: tuple[int, int] | None = None
) -> Mixture:
    """Return a random mixture of a batch; the same seed gives the same.

    Args:
        n: images of the batch.
        alpha: of the Beta distribution, above 0; 1 draws every share alike.
        seed: of all that is drawn.
        box_within: height and width of the images, pixels, where a box is to be cut from the
            partner; None blends the whole images.
    """
    rng = np.random.default_rng(seed)
    partners = torch.from_numpy(rng.permutation(n))
    share = float(rng.beta(alpha, alpha))
    if box_within is None:
        return Mixture(partners, share)
    height, width = box_within
    (top, bottom), (left, right) = (_cut(side, share, rng.random()) for side in (height, width))
    area = (bottom - top) * (right - left) / (height * width)
    return Mixture(partners, 1.0 - area, (top, bottom, left, right))


def join(images: Views, partners: Views, mixture: Mixture) -> Views:
    """Return each image joined with its partner."""
    if mixture.box is None:
        return images.lerp(partners, 1.0 - mixture.share)
    top, bottom, left, right = mixture.box
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
    return mixed


def remixed(
    labels: Labels,
    partners: Labels,
    share: float,
    counts: Int64[Tensor, " classes"],
    ratio: float,
    threshold: float,
) -> tuple[Labels, Labels]:
    """Return the labels of both images after Remix has favoured the rarer class (Eq. 3).

    The pair takes one label, the rarer class's, where the other has at least `ratio` times its
    images and a share below `threshold`.

    Args:
        labels: y_a.
        partners: y_b.
        share: s, of y_a.
        counts: training images of each class.
        ratio: kappa.
        threshold: tau.
    """
    own, theirs = counts[labels], counts[partners]
    gives_up = (own >= ratio * theirs) & (share < threshold)
    takes_all = (theirs >= ratio * own) & (1.0 - share < threshold)
    return torch.where(gives_up, partners, labels), torch.where(takes_all, labels, partners)


def _cut(side: int, share: float, middle: float) -> tuple[int, int]:
    """Return the first pixel and the end of the box along one side, clipped to the image."""
    # as published, a box with an odd side is a pixel smaller than drawn
    half = int(side * (1.0 - share) ** 0.5) // 2
    centre = int(middle * side)
    return max(0, centre - half), min(side, centre + half)


def _with_partners(views: Sequence[Views], labels: Sequence[Labels], mixture: Mixture) -> Mixed:
    partners = mixture.partners.to(labels[0].device, non_blocking=True)
    joined = [join(view, view[partners], mixture) for view in views]
    return Mixed(joined, [(own, own[partners]) for own in labels], mixture.share)


def _size(views: Sequence[Views]) -> tuple[int, int]:
    return views[0].shape[-2], views[0].shape[-1]
