"""Batched views on the trial's device: uint8 pixels in, normalised float images out.

What is drawn is drawn on the CPU from the view's seed, for each image by itself, and then applied
to the whole batch on the device. So a seed names the same flips, angles and shifts on a CPU and on
a GPU; the pixels differ only by the rounding of float32. `strong.py`, `randaugment.py` and
`simaugment.py` say, transform by transform, how a view differs from its published recipe. The weak
view flips as the recipe does, and the test view only normalises; LMD resizes its test images with
another resampler than its training images, here one antialiased resize serves both (`images.py`).

Where features stand for images, a view is one of those that were stored (`batches.StoredViews`).
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from lmd_bench.data.batches import Pixels, StoredViews
from lmd_bench.data.views._draws import Images, Views, chosen, constant, on_device
from lmd_bench.data.views._draws import forget_constants as forget_constants
from lmd_bench.data.views.randaugment import randaugment_view
from lmd_bench.data.views.simaugment import simaugment_view
from lmd_bench.data.views.strong import strong_view

View = Literal["strong", "weak", "randaugment", "simaugment", "test"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# what follows the two flips that all share
_AFTER_FLIPS: Mapping[str, Callable[[Images, torch.Generator], Images]] = {
    "strong": strong_view,
    "weak": lambda images, _: images,
    "randaugment": randaugment_view,
    "simaugment": simaugment_view,
}


def make_view(view: View, pixels: Pixels | StoredViews, seed: int) -> Views:
    """Return one view of a batch; the same seed gives the same view.

    The flips of two views of one batch are independent when their seeds differ.
    """
    if isinstance(pixels, StoredViews):
        return pixels.view(view, seed)
    if view == "test":
        return normalise(to_float(pixels))
    rng = torch.Generator().manual_seed(seed)
    images = to_float(flip(pixels, rng))
    return normalise(_AFTER_FLIPS[view](images, rng))


def flip(pixels: Pixels, rng: torch.Generator) -> Pixels:
    """Return each image mirrored left to right and top to bottom with probability 0.5 each."""
    for axis in (2, 1):
        mirrored = on_device(chosen(rng, len(pixels), 0.5), pixels.device)
        pixels = torch.where(mirrored.view(-1, 1, 1, 1), pixels.flip(axis), pixels)
    return pixels


def to_float(pixels: Pixels) -> Images:
    """Return the pixels as floats in [0, 1], in memory as they were (channels last)."""
    return pixels.permute(0, 3, 1, 2).float().div_(255.0)


def normalise(images: Images) -> Images:
    """Return images with ImageNet's mean and standard deviation per channel taken out."""
    mean, std = (_per_channel(values, images.device) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean).div_(std).contiguous(memory_format=torch.channels_last)


@constant
def _per_channel(values: tuple[float, float, float], device: torch.device) -> Tensor:
    return on_device(torch.tensor(values), device).view(1, 3, 1, 1)
