"""The RandAugment view: two operations of fourteen on each image, all of one magnitude.

Cubuk et al., RandAugment, CVPR Workshops 2020, https://arxiv.org/abs/1909.13719. N = 2 operations
and M = 10 of 30, the setting of the long-tail papers BCL and BPaCo in RandAugment's own scale.
The two flips of the other views come first.

| operation                | published (as in torchvision)     | ours         | difference         |
|--------------------------|-----------------------------------|--------------|--------------------|
| drawn                    | each image, with replacement      | the same     | none               |
| Identity                 |                                   | the same     | none               |
| ShearX, ShearY           | +-0.3 M/30                        | the same     | see below          |
| TranslateX, TranslateY   | +-150/331 of the side, M/30       | the same     | see below          |
| Rotate                   | +-30 degrees M/30                 | the same     | see below          |
| Brightness, Color,       | 1 +- 0.9 M/30                     | the same     | none               |
| Contrast, Sharpness      |                                   |              |                    |
| Posterize                | 8 - round(4 M/30) bits            | the same     | none               |
| Solarize                 | inverts above 255 (1 - M/30)      | the same     | none               |
| AutoContrast, Equalize   | each channel                      | the same     | none               |

The five moves read bilinearly and fill with middle grey, as the paper's code does with (128, 128,
128); torchvision's default is the nearest pixel and black. Values stay in float32 between the two
operations. Equalize alone goes through uint8.
"""

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from lmd_bench.data.views._draws import Images, change, constant, on_device
from lmd_bench.data.views._warps import Maps, about_the_middle, affine, pixel_grid, resample

N_OPERATIONS = 2
STRENGTH = 10 / 30  # M = 10 on the paper's scale of 30

Signs = Float[Tensor, " batch"]

GREY = 0.5


def randaugment_view(images: Images, rng: torch.Generator) -> Images:
    """Return images after two drawn operations each; may change them."""
    n, images = len(images), images.contiguous()
    for _ in range(N_OPERATIONS):
        drawn = torch.randint(len(OPERATIONS), (n,), generator=rng)
        signs = torch.randint(2, (n,), generator=rng) * 2.0 - 1.0
        for number, operation in enumerate(OPERATIONS.values()):
            _apply(images, drawn == number, operation, signs)
    return images


def _apply(
    images: Images, here: Tensor, operation: Callable[[Images, Signs], Images], signs: Signs
) -> None:
    change(images, here, lambda x: operation(x, signs[here]))


def _shear(axis: int) -> Callable[[Images, Signs], Images]:
    def shear(images: Images, signs: Signs) -> Images:
        linear = torch.eye(2).repeat(len(signs), 1, 1)
        linear[:, axis, 1 - axis] = signs * 0.3 * STRENGTH
        return _move(images, linear, torch.zeros(len(signs), 2))

    return shear


def _translate(axis: int) -> Callable[[Images, Signs], Images]:
    def translate(images: Images, signs: Signs) -> Images:
        shift = torch.zeros(len(signs), 2)
        shift[:, axis] = signs * 150 / 331 * STRENGTH * images.shape[3 - axis]
        return _move(images, torch.eye(2).repeat(len(signs), 1, 1), shift)

    return translate


def _rotate(images: Images, signs: Signs) -> Images:
    angle = signs * math.radians(30) * STRENGTH
    cos, sin = angle.cos(), angle.sin()
    linear = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    return _move(images, linear, torch.zeros(len(signs), 2))


def _move(
    images: Images, linear: Float[Tensor, "batch 2 2"], shift: Float[Tensor, "batch 2"]
) -> Images:
    """Return images read at the mapped points; what lies outside is grey."""
    side = torch.tensor([images.shape[-1], images.shape[-2]], dtype=torch.float32)
    maps: Maps = about_the_middle(linear, shift, side)
    points = affine(pixel_grid(images).repeat(len(images), 1, 1, 1), maps)
    return resample(images - GREY, points, "zeros") + GREY


def _blend(base: Tensor, images: Images, signs: Signs) -> Images:
    """Return images made stronger or weaker than their degenerate `base`, clipped."""
    factor = on_device(1.0 + signs * 0.9 * STRENGTH, images.device).view(-1, 1, 1, 1)
    return (base + factor * (images - base)).clamp_(0.0, 1.0)


def _brightness(images: Images, signs: Signs) -> Images:
    return _blend(torch.zeros_like(images), images, signs)


def _color(images: Images, signs: Signs) -> Images:
    return _blend(TF.rgb_to_grayscale(images), images, signs)


def _contrast(images: Images, signs: Signs) -> Images:
    return _blend(TF.rgb_to_grayscale(images).mean((1, 2, 3), keepdim=True), images, signs)


def _sharpness(images: Images, signs: Signs) -> Images:
    return _blend(_smoothed(images), images, signs)


def _smoothed(images: Images) -> Images:
    """Return images smoothed within a border of one pixel, as `TF.adjust_sharpness` at 0 does.

    That one makes its kernel on the device, for which the CPU waits.
    """
    smoothed, n_channels = images.clone(), images.shape[1]
    weight = _smoothing(images.device).expand(n_channels, 1, 3, 3)
    inner = smoothed[..., 1:-1, 1:-1]
    inner.add_(F.conv2d(smoothed, weight, groups=n_channels).sub_(inner))
    return smoothed.clamp_(0.0, 1.0)


@constant
def _smoothing(device: torch.device) -> Tensor:
    kernel = torch.full((3, 3), 1.0 / 13.0)
    kernel[1, 1] = 5.0 / 13.0
    return on_device(kernel, device)


def _posterize(images: Images, signs: Signs) -> Images:
    levels = 2 ** (8 - (8 - round(4 * STRENGTH)))  # values that become one
    values = (images * 255.0).round_()
    return (values / levels).floor_() * (levels / 255.0)


def _solarize(images: Images, signs: Signs) -> Images:
    return torch.where(images >= 1.0 - STRENGTH, 1.0 - images, images)


def _autocontrast(images: Images, signs: Signs) -> Images:
    return TF.autocontrast(images)


def _equalize(images: Images, signs: Signs) -> Images:
    values = (images * 255.0).round_().to(torch.uint8)
    return TF.equalize(values).float().div_(255.0)


def _identity(images: Images, signs: Signs) -> Images:
    return images


OPERATIONS: Mapping[str, Callable[[Images, Signs], Images]] = {
    "Identity": _identity,
    "ShearX": _shear(0),
    "ShearY": _shear(1),
    "TranslateX": _translate(0),
    "TranslateY": _translate(1),
    "Rotate": _rotate,
    "Brightness": _brightness,
    "Color": _color,
    "Contrast": _contrast,
    "Sharpness": _sharpness,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": _autocontrast,
    "Equalize": _equalize,
}
