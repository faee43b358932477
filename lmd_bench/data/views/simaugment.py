"""The SimAugment view of contrastive learning: a crop, colours moved, sometimes grey.

The views of BCL's contrastive branch (https://github.com/FlamieZhu/Balanced-Contrastive-Learning,
`augmentation_sim` of main.py), after Chen et al., SimCLR, ICML 2020,
https://arxiv.org/abs/2002.05709. The two flips of the other views come first.

| transform (p)            | published (torchvision)           | ours         | difference         |
|--------------------------|-----------------------------------|--------------|--------------------|
| RandomResizedCrop        | area .08 to 1, sides 3/4 to 4/3   | the same     | none               |
| RandomHorizontalFlip     | left to right                     | and top to   | skin and cells have|
|                          |                                   | bottom       | no upright         |
| ColorJitter (.8)         | brightness, contrast, saturation  | the same     | none               |
|                          | x .6 to 1.4, hue +-.1, in random  |              |                    |
|                          | order                             |              |                    |
| RandomGrayscale (.2)     | luma                              | the same     | none               |

Values stay in float32 between the steps, where theirs rounds to uint8. SupCon and PaCo take the
same view; PaCo without grey for one of its two.
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from lmd_bench.data.views._draws import Images, change, chosen, on_device, uniform
from lmd_bench.data.views._warps import pixel_grid, planes, resample

AREA = (0.08, 1.0)
LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))  # width over height
N_TRIES = 10  # to draw a crop that fits; then the whole image
STRENGTH = 0.4  # of brightness, contrast and saturation
HUE = 0.1  # of a turn

Factors = Float[Tensor, " batch"]
Boxes = Int64[Tensor, "batch 4"]  # left, top, width, height, pixels


def simaugment_view(images: Images, rng: torch.Generator) -> Images:
    """Return images cropped, recoloured and made grey; may change them."""
    n, _, height, width = images.shape
    images = cropped(images.contiguous(), crop_boxes(rng, n, height, width))
    order = torch.rand(n, len(JITTERS), generator=rng).argsort(1)
    factors = uniform(rng, -1.0, 1.0, n, len(JITTERS))
    order[~chosen(rng, n, 0.8)] = -1  # no jitter
    for place in range(len(JITTERS)):
        for number, jitter in enumerate(JITTERS):
            _apply(images, order[:, place] == number, jitter, factors[:, number])
    change(images, chosen(rng, n, 0.2), _grey)
    return images


def crop_boxes(rng: torch.Generator, n: int, height: int, width: int) -> Boxes:
    """Return n crops as torchvision's RandomResizedCrop draws them, in whole pixels."""
    area = uniform(rng, *AREA, n, N_TRIES) * height * width
    ratio = uniform(rng, *LOG_RATIO, n, N_TRIES).exp()
    sides = torch.stack([area * ratio, area / ratio], 2).sqrt().round().long()
    whole = torch.tensor([width, height])
    fits = ((sides > 0) & (sides <= whole)).all(2)
    first = fits.int().argmax(1)  # 0 as well where none fits
    sides = torch.where(fits.any(1)[:, None], sides[torch.arange(n), first], whole)
    place = torch.rand(n, 2, generator=rng)
    corner = (place * (whole - sides + 1)).long().minimum(whole - sides)
    return torch.cat([corner, sides], 1)


def cropped(images: Images, boxes: Boxes) -> Images:
    """Return each image's box, bilinearly enlarged to the image's size."""
    height, width = images.shape[-2:]
    corner, side = (
        on_device(part.float(), images.device)[..., None, None]
        for part in (boxes[:, :2], boxes[:, 2:])
    )
    scale = side / planes(width, height, images.device)
    # pixel centres lie at halves; what falls beyond the box's outer pixels is theirs
    inside = ((pixel_grid(images) + 0.5) * scale - 0.5).clamp_min(0.0).minimum(side - 1.0)
    return resample(images, inside + corner)


def _apply(
    images: Images,
    here: Tensor,
    jitter: Callable[[Images, Factors], Images],
    factors: Factors,
) -> None:
    change(images, here, lambda x: jitter(x, on_device(factors[here], x.device)))


def _blend(base: Tensor, images: Images, factors: Factors) -> Images:
    return base.lerp(images, (1.0 + STRENGTH * factors).view(-1, 1, 1, 1)).clamp_(0.0, 1.0)


def _brightness(images: Images, factors: Factors) -> Images:
    return _blend(torch.zeros_like(images), images, factors)


def _contrast(images: Images, factors: Factors) -> Images:
    mean = TF.rgb_to_grayscale(images).mean((1, 2, 3), keepdim=True)
    return _blend(mean.expand_as(images), images, factors)


def _saturation(images: Images, factors: Factors) -> Images:
    return _blend(_grey(images), images, factors)


def _hue(images: Images, factors: Factors) -> Images:
    """Return images whose hues are turned, saturation and value kept."""
    highest, channel = images.max(1)
    lowest = images.amin(1)
    spread = highest - lowest
    r, g, b = images.unbind(1)
    sixth = torch.stack([(g - b), (b - r), (r - g)], 1).gather(1, channel[:, None])[:, 0]
    sixths = torch.where(spread > 0, sixth / spread.clamp_min(1e-12), 0.0) + 2.0 * channel
    sixths = sixths + 6.0 * HUE * factors.view(-1, 1, 1)
    # a channel is `highest` within one sixth of its own hue, `lowest` two sixths away
    channels = [(sixths - offset).remainder(6.0) for offset in (0.0, 2.0, 4.0)]
    distances = torch.stack([torch.minimum(c, 6.0 - c) for c in channels], 1)
    return highest[:, None] - spread[:, None] * (distances - 1.0).clamp(0.0, 1.0)


def _grey(images: Images) -> Images:
    return TF.rgb_to_grayscale(images, num_output_channels=3)


JITTERS: Sequence[Callable[[Images, Factors], Images]] = (_brightness, _contrast, _saturation, _hue)
