"""Batched views on the trial's device: uint8 pixels in, normalised float images out.

The strong view follows the published recipe of LMD (albumentations) with kornia's batched
transforms, each drawn per image: flips, one blur in half of the images, shift-scale-rotate, one
distortion in 70 %, RGB shift, brightness and contrast, grid dropout in 20 %. Where the recipe says
"one of", each member is drawn independently with its share of the probability.
"""

from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from kornia import augmentation as K
from torch import Tensor, nn

View = Literal["strong", "weak", "test"]
Pixels = UInt8[Tensor, "batch height width 3"]
Images = Float[Tensor, "batch 3 height width"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def make_view(view: View, pixels: Pixels, seed: int) -> Images:
    """Return one view of a batch; the same seed gives the same view.

    The flips of two views of one batch are independent when their seeds differ.
    """
    images = pixels.permute(0, 3, 1, 2).float() / 255.0
    if view == "test":
        return normalise(images)
    with torch.random.fork_rng(devices=[pixels.device] if pixels.is_cuda else []):
        torch.manual_seed(seed)
        images = _weak()(images) if view == "weak" else _strong(images)
    return normalise(images)


def normalise(images: Images) -> Images:
    """Return images with ImageNet's mean and standard deviation per channel taken out."""
    mean = images.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    std = images.new_tensor(IMAGENET_STD).view(1, 3, 1, 1)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def grid_dropout(images: Images, chosen: Tensor) -> Images:
    """Return images in which a regular grid of square holes is black where `chosen` [batch].

    The grid is that of albumentations' GridDropout: a tenth of the width apart, half as wide.
    """
    height, width = images.shape[-2:]
    unit = max(2, width // 10)
    hole = unit // 2
    rows = torch.arange(height, device=images.device) % unit < hole
    columns = torch.arange(width, device=images.device) % unit < hole
    holes = (rows[:, None] & columns[None, :]).view(1, 1, height, width)
    return images.masked_fill(holes & chosen.view(-1, 1, 1, 1), 0.0)


def grid_distortion(images: Images, limit: float, cells: int = 5) -> Images:
    """Return images warped by a smooth random displacement drawn on a coarse grid.

    Args:
        images: a batch.
        limit: largest displacement of a grid point, as a share of one cell.
        cells: cells of the grid along each side.
    """
    batch, _, height, width = images.shape
    coarse = torch.rand(batch, 2, cells + 1, cells + 1, device=images.device) * 2 - 1
    shift = F.interpolate(
        coarse * (2 * limit / cells), (height, width), mode="bicubic", align_corners=True
    )
    identity = torch.eye(2, 3, device=images.device).expand(batch, 2, 3)
    grid = F.affine_grid(identity, [batch, 3, height, width], align_corners=False)
    return F.grid_sample(
        images, grid + shift.permute(0, 2, 3, 1), padding_mode="reflection", align_corners=False
    )


def _strong(images: Images) -> Images:
    images = _geometry()(images)
    distorted = torch.rand(len(images), device=images.device) < 0.7
    if distorted.any():
        images = images.clone()
        images[distorted] = grid_distortion(images[distorted], limit=0.3)
    images = _colour()(images)
    return grid_dropout(images, torch.rand(len(images), device=images.device) < 0.2)


@cache
def _weak() -> nn.Sequential:
    return nn.Sequential(K.RandomHorizontalFlip(p=0.5), K.RandomVerticalFlip(p=0.5))


@cache
def _geometry() -> nn.Sequential:
    return nn.Sequential(
        K.RandomHorizontalFlip(p=0.5),
        K.RandomVerticalFlip(p=0.5),
        K.RandomMotionBlur(kernel_size=3, angle=180.0, direction=0.0, p=0.25),
        K.RandomMedianBlur((3, 3), p=0.125),
        K.RandomBoxBlur((3, 3), p=0.125),
        K.RandomAffine(degrees=45.0, translate=(0.0625, 0.0625), scale=(0.8, 1.2), p=0.5),
    )


@cache
def _colour() -> nn.Sequential:
    limit = 15 / 255
    return nn.Sequential(
        K.RandomRGBShift(limit, limit, limit, p=0.5),
        K.RandomBrightness((0.8, 1.2), p=0.5),
        K.RandomContrast((0.8, 1.2), p=0.5),
    )
