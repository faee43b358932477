"""The strong view: LMD's recipe, and where ours differs from it.

LMD (https://github.com/peterlipan/LMD, data/transforms.py) uses albumentations, pinned to 1.4.15,
on uint8 images of 224 px. What that version does was read in its source.

| transform (p)           | published                           | ours      | difference          |
|-------------------------|-------------------------------------|-----------|---------------------|
| Resize                  | 224, OpenCV bilinear, no            | once      | antialiased;        |
|                         | antialiasing, aspect ratio lost     |           | aspect ratio lost   |
| HorizontalFlip (.5)     | each image                          | the same  | none                |
| VerticalFlip (.5)       | each image                          | the same  | none                |
| OneOf blurs (.5)        | weights .2, .1, .1                  | the same  | none: exactly one   |
| - MotionBlur            | line in a kernel of 3, 5 or 7 px,   | the same  | 3, 5 at 128 px;     |
|                         | ends drawn at random                |           | 3 at 64 px or less  |
| - MedianBlur            | 3 x 3, edge repeated                | the same  | none                |
| - Blur                  | mean of 3 x 3, edge reflected       | the same  | none                |
| ShiftScaleRotate (.5)   | shift .0625 of a side, scale .8-1.2 | the same  | resampled together  |
|                         | each axis by itself, 45 degrees,    |           | with the distortion |
|                         | edge reflected, bilinear            |           |                     |
| OneOf distortions (.7)  | equal weights                       | the same  | none: exactly one   |
| - GridDistortion        | 5 cells, steps .7-1.3, bilinear     | the same  | sides of which five |
|                         |                                     |           | cells leave over a  |
|                         |                                     |           | cell: last goes on  |
| - ElasticTransform      | alpha 3, sigma 50: displaces by     | nothing   | no pixel moves by a |
|                         | 0.014 px                            |           | tenth               |
| - OpticalDistortion     | k in +-.05; its shift of .05 is     | the same  | none                |
|                         | rounded to 0 px                     |           |                     |
| RGBShift (.5)           | +-15 of 255 each channel, clipped   | the same  | none                |
| RandomBrightness-       | x (1 +- .2) +- .2 of the maximum,   | the same  | none                |
| Contrast (.5)           | clipped                             |           |                     |
| GridDropout (.2)        | a tenth of a side apart, half as    | the same  | whole pixels: 1/4   |
|                         | wide, black, from the corner        |           | black, 1/9 at 32 px |
| Normalize               | ImageNet                            | the same  | none                |

Throughout: theirs rounds to uint8 after each transform, ours stays in float32; where both a shift
and a distortion fall on an image, theirs interpolates twice, ours once at the same points. Older
albumentations (to 1.4.11) shears an elastic image by up to 50 px; that is not what LMD pins.
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from lmd_bench.data.views._blurs import blur_half
from lmd_bench.data.views._draws import Images, chosen, constant, on_device, uniform
from lmd_bench.data.views._warps import warp


def strong_view(images: Images, rng: torch.Generator) -> Images:
    """Return flipped images blurred, warped, recoloured and dropped out; may change them."""
    images = images.contiguous()  # filters are fastest on whole planes
    images = warp(blur_half(images, rng), rng)
    images = recolour(images, rng)
    return grid_dropout(images, chosen(rng, len(images), 0.2))


def recolour(images: Images, rng: torch.Generator) -> Images:
    """Shift the channels of half of the images; change brightness and contrast of half, in place.

    Each image gets clip(clip(x + shift) * contrast + brightness); what is not chosen gets 0, 1, 0.
    """
    n = len(images)
    shift = uniform(rng, -15 / 255, 15 / 255, n, 3) * chosen(rng, n, 0.5)[:, None]
    changed = chosen(rng, n, 0.5)[:, None]
    contrast = 1.0 + uniform(rng, -0.2, 0.2, n, 1) * changed
    brightness = uniform(rng, -0.2, 0.2, n, 1) * changed
    drawn = on_device(torch.cat([shift, contrast, brightness], 1), images.device)[..., None, None]
    images.add_(drawn[:, :3]).clamp_(0.0, 1.0)
    return images.mul_(drawn[:, 3:4]).add_(drawn[:, 4:5]).clamp_(0.0, 1.0)


def grid_dropout(images: Images, dropped: Bool[Tensor, " batch"]) -> Images:
    """Return images in which a regular grid of square holes is black where `dropped`.

    The holes are a tenth of the image's width apart and half as wide, from the corner.
    """
    height, width = images.shape[-2:]
    holes = _holes(height, width, images.device)
    here = on_device(dropped, images.device).view(-1, 1, 1, 1)
    return images.masked_fill(holes & here, 0.0)


@constant
def _holes(height: int, width: int, device: torch.device) -> Tensor:
    return _every_other(height, device)[:, None] & _every_other(width, device)


def _every_other(side: int, device: torch.device) -> Bool[Tensor, " {side}"]:
    unit = max(2, side // 10)
    return torch.arange(side, device=device) % unit < unit // 2
