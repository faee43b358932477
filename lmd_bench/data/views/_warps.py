"""Shift, scale, rotation and distortions as maps of pixel coordinates, resampled once.

A map takes each pixel of the result to the point of the image that it is read from. Points are
planes of x and y in pixels, [batch, 2, height, width]; reflection at an edge leaves out the edge
pixel itself, as OpenCV's BORDER_REFLECT_101 does.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.data.views._draws import (
    Images,
    change,
    chosen,
    constant,
    on_device,
    one_of,
    uniform,
)

Points = Float[Tensor, "batch 2 height width"]
Maps = Float[Tensor, "batch 2 3"]

GRID_CELLS = 5


def warp(images: Images, rng: torch.Generator) -> Images:
    """Shift, scale and rotate half of the images and distort 70 % of them, in place."""
    n, _, height, width = images.shape
    moved = chosen(rng, n, 0.5)
    # grid, elastic and optical; the elastic one moves no pixel by a tenth, so it is left out
    kind = one_of(rng, n, 0.7, (1.0, 1.0, 1.0))
    on_grid, optical = kind == 0, kind == 2
    warped = moved | on_grid | optical
    if not warped.any():
        return images
    points = pixel_grid(images).repeat(int(warped.sum()), 1, 1, 1)
    change(points, on_grid[warped], lambda p: grid_distortion(p, grid_steps(rng, len(p))))
    strength = uniform(rng, -0.05, 0.05, int(optical.sum()))
    change(points, optical[warped], lambda p: optical_distortion(p, strength))
    maps = shift_scale_rotate(rng, int(moved.sum()), height, width)
    change(points, moved[warped], lambda p: affine(reflect(p), maps))
    change(images, warped, lambda x: resample(x, points))
    return images


def pixel_grid(images: Images) -> Float[Tensor, "1 2 height width"]:
    """Return the points of an image's own pixels, the map that changes nothing."""
    height, width = images.shape[-2:]
    return _pixel_grid(height, width, images.device)


@constant
def _pixel_grid(height: int, width: int, device: torch.device) -> Tensor:
    y, x = (torch.arange(side, device=device).float() for side in (height, width))
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])[None]


def resample(
    images: Images, points: Points, outside: Literal["reflection", "zeros"] = "reflection"
) -> Images:
    """Return images read bilinearly at the points, by default reflected at the edges."""
    grid = (points * (2.0 / _per_plane(points, -1)) - 1.0).permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, padding_mode=outside, align_corners=True)


def affine(points: Points, maps: Maps) -> Points:
    """Return each image's points under its own affine map."""
    on = on_device(maps, points.device)[..., None, None]
    x, y = points[:, None, 0], points[:, None, 1]
    return (on[:, :, 0] * x).addcmul_(on[:, :, 1], y).add_(on[:, :, 2])


def shift_scale_rotate(rng: torch.Generator, n: int, height: int, width: int) -> Maps:
    """Return n random maps, from the result back to the image.

    The image is scaled by 0.8 to 1.2, each axis by itself, rotated about its middle by up to 45
    degrees either way and shifted by up to a sixteenth of each side.
    """
    angle = uniform(rng, -math.pi / 4, math.pi / 4, n)
    scale = uniform(rng, 0.8, 1.2, n, 2)
    side = torch.tensor([width, height], dtype=torch.float32)
    shift = uniform(rng, -0.0625, 0.0625, n, 2) * side
    cos, sin = angle.cos(), angle.sin()
    turn_back = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
    return about_the_middle(turn_back / scale[:, :, None], shift, side)


def about_the_middle(
    linear: Float[Tensor, "batch 2 2"],
    shift: Float[Tensor, "batch 2"],
    side: Float[Tensor, "2"],
) -> Maps:
    """Return maps that take back a shift in pixels and then apply `linear` about the middle."""
    middle = (side - 1) / 2
    offset = middle - (linear @ (middle + shift)[..., None])[..., 0]
    return torch.cat([linear, offset[..., None]], -1)


def grid_steps(rng: torch.Generator, n: int) -> Float[Tensor, "{n} 2 cells"]:
    """Return how far the points of a cell reach, in cells: 0.7 to 1.3, by axis (x, y)."""
    return uniform(rng, 0.7, 1.3, n, 2, GRID_CELLS + 1)


def grid_distortion(points: Points, steps: Float[Tensor, "batch 2 cells"]) -> Points:
    """Return the points of images whose columns and rows are stretched cell by cell.

    Each side has five cells and a narrower sixth that ends at the image's edge. Within a cell the
    points run evenly from its first pixel to its last, as the recipe's `linspace` has them.
    """
    _, _, height, width = points.shape
    x = _stretched(steps[:, 0], width, points.device)
    y = _stretched(steps[:, 1], height, points.device)
    return torch.stack([x[:, None].expand(-1, height, -1), y[..., None].expand(-1, -1, width)], 1)


def optical_distortion(points: Points, strength: Float[Tensor, " batch"]) -> Points:
    """Return points seen through a lens: p (1 + k r^2 + k r^4) about the middle, r in sides."""
    side = _per_plane(points)
    p = points / side - 0.5
    r2 = p.square().sum(1, keepdim=True)
    k = on_device(strength, points.device).view(-1, 1, 1, 1)
    return (p * (1.0 + k * r2 * (1.0 + r2)) + 0.5) * side


def reflect(points: Points) -> Points:
    """Return points outside the image reflected into it."""
    last = _per_plane(points, -1)
    turns = (points / (2.0 * last)).floor_()
    return last - (last - points.addcmul(turns, last, value=-2.0)).abs_()


def _per_plane(points: Points, more: int = 0) -> Float[Tensor, "2 1 1"]:
    """Return the image's width and height, plus `more`, to calculate with x and y."""
    height, width = points.shape[2:]
    return planes(width + more, height + more, points.device)


@constant
def planes(x: int, y: int, device: torch.device) -> Tensor:
    """Return two numbers of x and y, as planes of points are calculated with."""
    return on_device(torch.tensor([x, y], dtype=torch.float32), device).view(2, 1, 1)


def _stretched(
    steps: Float[Tensor, "batch cells"], side: int, device: torch.device
) -> Float[Tensor, "batch {side}"]:
    cell = side // GRID_CELLS
    ends = torch.cumsum(steps * cell, 1)
    if (GRID_CELLS + 1) * cell != side:  # the sixth cell is cut short: it ends at the edge
        ends[:, -1] = side
    starts = F.pad(ends[:, :-1], (1, 0))
    first = torch.arange(GRID_CELLS + 1) * cell
    n_pixels = torch.cat([first[1:], torch.tensor([side])]) - first
    slopes = (ends - starts) / (n_pixels - 1).clamp(min=1)
    lines = torch.stack([starts, slopes])
    start, slope = on_device(lines, device)[:, :, _cell_of_pixels(side, device)]
    return start + slope * _place_in_cell(side, device)


@constant
def _cell_of_pixels(side: int, device: torch.device) -> Tensor:
    return on_device((torch.arange(side) // (side // GRID_CELLS)).clamp(max=GRID_CELLS), device)


@constant
def _place_in_cell(side: int, device: torch.device) -> Tensor:
    cell, place = side // GRID_CELLS, torch.arange(side)
    return on_device((place - (place // cell).clamp(max=GRID_CELLS) * cell).float(), device)
