"""Motion, median and box blur, batched; edges are those of OpenCV's filters."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lmd_bench.data.views._draws import Images, change, on_device, one_of

RECIPE_SIZE = 224  # pixels; the image side for which the recipe gives its kernels
LARGEST_KERNEL = 7  # pixels, at that size


def blur_half(images: Images, rng: torch.Generator) -> Images:
    """Blur half of the images in place: motion, median or box, weighted 2 : 1 : 1."""
    kind = one_of(rng, len(images), 0.5, (0.2, 0.1, 0.1))
    change(images, kind == 0, lambda x: motion_blur(x, motion_kernels(rng, len(x), x.shape[-1])))
    change(images, kind == 1, median_blur)
    change(images, kind == 2, box_blur)
    return images


def motion_kernels(
    rng: torch.Generator, n: int, image_size: int
) -> Float[Tensor, "{n} largest largest"]:
    """Return n kernels that sum to one, each a straight line between two random pixels.

    A kernel's side is 3, 5 or 7 pixels at 224 px, none larger than its share of a smaller image;
    smaller ones lie in the middle of the largest.
    """
    largest = _largest_kernel(image_size)
    sides = 3 + 2 * _integers(rng, torch.full((n,), (largest - 1) // 2))
    x1, x2, y1, y2 = (_integers(rng, sides) for _ in range(4))
    other = (y1 + 1 + _integers(rng, sides - 1)) % sides
    y2 = torch.where(x1 == x2, other, y2)  # never a single pixel
    ends = torch.stack([torch.stack([y1, x1], 1), torch.stack([y2, x2], 1)])
    start, span = ends[0], ends[1] - ends[0]
    length = span.abs().amax(1, keepdim=True)
    along = (torch.arange(largest) / length).clamp(max=1.0)  # [n, largest], from 0 to 1
    points = start[:, None] + (along[..., None] * span[:, None]).round().long()
    points += ((largest - sides) // 2)[:, None, None]
    kernels = torch.zeros(n, largest, largest)
    kernels[torch.arange(n)[:, None], points[..., 0], points[..., 1]] = 1.0
    return kernels / kernels.sum((1, 2), keepdim=True)


def motion_blur(images: Images, kernels: Float[Tensor, "batch side side"]) -> Images:
    """Return each image filtered with its own kernel."""
    batch, channels, height, width = images.shape
    pad = kernels.shape[-1] // 2
    padded = F.pad(images, (pad, pad, pad, pad), mode="reflect")
    weight = on_device(kernels, images.device)[:, None].repeat_interleave(channels, 0)
    planes = padded.reshape(1, batch * channels, *padded.shape[2:])
    return F.conv2d(planes, weight, groups=batch * channels).view(batch, channels, height, width)


def median_blur(images: Images) -> Images:
    """Return the median of the 3 x 3 pixels around each pixel.

    With each column of three sorted, it is the median of the largest of the three smallest, the
    median of the three middle ones and the smallest of the three largest.
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    low, middle, high = _sorted3(padded[..., :-2, :], padded[..., 1:-1, :], padded[..., 2:, :])
    largest_low = torch.maximum(torch.maximum(low[..., :-2], low[..., 1:-1]), low[..., 2:])
    smallest_high = torch.minimum(torch.minimum(high[..., :-2], high[..., 1:-1]), high[..., 2:])
    median_middle = _sorted3(middle[..., :-2], middle[..., 1:-1], middle[..., 2:])[1]
    return _sorted3(largest_low, median_middle, smallest_high)[1]


def box_blur(images: Images) -> Images:
    """Return the mean of the 3 x 3 pixels around each pixel."""
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    columns = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    return (columns[..., :-2] + columns[..., 1:-1] + columns[..., 2:]).div_(9.0)


def _sorted3(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, b = torch.minimum(a, b), torch.maximum(a, b)
    b, c = torch.minimum(b, c), torch.maximum(b, c)
    a, b = torch.minimum(a, b), torch.maximum(a, b)
    return a, b, c


def _largest_kernel(image_size: int) -> int:
    """Return the odd number of pixels nearest to the recipe's share of the image, 3 to 7."""
    share = LARGEST_KERNEL * image_size / RECIPE_SIZE
    return min(LARGEST_KERNEL, max(3, 2 * round((share - 1) / 2) + 1))


def _integers(rng: torch.Generator, below: Tensor) -> Tensor:
    """Return one integer for each entry, from 0 to below that entry."""
    return (torch.rand(len(below), generator=rng) * below).long()
