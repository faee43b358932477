"""What goes wrong with images after a model was trained: five corruptions at five strengths.

Noise, blur, contrast and JPEG have the strengths of ImageNet-C at 224 px; the width of the blur
goes with the square root of the side, which at 32 px begins as in CIFAR-10-C. The colour cast is a
false white balance: each channel times a gain, of a direction drawn for each image and of a length
that the strength says.

Paper: Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and
perturbations, ICLR 2019. URL: https://arxiv.org/abs/1903.12261
"""

import io
from collections.abc import Callable, Mapping
from math import sqrt

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from lmd_bench.core.seeding import derive_seed

STRENGTHS = (1, 2, 3, 4, 5)
Picture = UInt8[np.ndarray, "size size 3"]

_NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation, of values in [0, 1]
_BLUR = (1.0, 2.0, 3.0, 4.0, 6.0)  # standard deviation in px of an image of 224 px
_BLUR_SIDE = 224
_CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)  # of the distance from the mean that is left
_JPEG = (25, 18, 15, 10, 7)  # quality
_CAST = (0.1, 0.2, 0.3, 0.4, 0.5)  # of a gain, from 1


def corrupted(image: Picture, kind: str, strength: int, seed: int, image_id: str) -> Picture:
    """Return an image as a corruption leaves it; the same arguments give the same bits.

    Args:
        image: RGB.
        kind: One of `CORRUPTIONS`.
        strength: 1 to 5.
        seed: Of the draws.
        image_id: Gives each image draws of its own, the same at every strength.
    """
    generator = np.random.default_rng(derive_seed(seed, "corruption", kind, image_id))
    return CORRUPTIONS[kind](image, strength - 1, generator)


def _noise(image: Picture, level: int, generator: np.random.Generator) -> Picture:
    return _clipped(image / 255.0 + generator.normal(scale=_NOISE[level], size=image.shape))


def _blur(image: Picture, level: int, generator: np.random.Generator) -> Picture:
    radius = _BLUR[level] * sqrt(len(image) / _BLUR_SIDE)
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def _contrast(image: Picture, level: int, generator: np.random.Generator) -> Picture:
    values = image / 255.0
    mean = values.mean(axis=(0, 1), keepdims=True)
    return _clipped((values - mean) * _CONTRAST[level] + mean)


def _jpeg(image: Picture, level: int, generator: np.random.Generator) -> Picture:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=_JPEG[level])
    return np.asarray(Image.open(file).convert("RGB"))


def _colour_cast(image: Picture, level: int, generator: np.random.Generator) -> Picture:
    direction = generator.normal(size=3)
    direction -= direction.mean()
    gains = 1 + _CAST[level] * direction / np.abs(direction).max()
    return _clipped(image / 255.0 * gains)


def _clipped(values: Float[np.ndarray, "size size 3"]) -> Picture:
    return (255 * values.clip(0, 1)).round().astype(np.uint8)


CORRUPTIONS: Mapping[str, Callable[[Picture, int, np.random.Generator], Picture]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "jpeg": _jpeg,
    "colour_cast": _colour_cast,
}
