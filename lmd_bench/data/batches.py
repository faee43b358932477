"""Images of a split on the trial's device: batches of an epoch, and prediction over all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from lmd_bench.data.pixels import MappedPixels


@dataclass(frozen=True)
class ImageSet:
    """Images of one split; what is taken from it lies on the trial's device."""

    pixels: UInt8[Tensor, "images height width 3"] | MappedPixels
    labels: Int64[Tensor, " images"]  # on the trial's device

    def __len__(self) -> int:
        return len(self.labels)

    def batch(
        self, indices: Int64[Tensor, " batch"]
    ) -> tuple[UInt8[Tensor, "batch height width 3"], Int64[Tensor, " batch"]]:
        """Return pixels and labels at `indices`, which lie on the CPU, on the trial's device."""
        there = indices.to(self.labels.device)
        # Streamed pixels take the indices from the CPU: from the GPU they would wait for it.
        at = indices if isinstance(self.pixels, MappedPixels) else there
        return self.pixels[at], self.labels[there]


def steps_per_epoch(n_images: int, batch_size: int) -> int:
    """Return the optimiser steps of one epoch; a last part batch is left out."""
    return max(1, n_images // batch_size)


def epoch_batches(
    labels: Int64[Tensor, " images"],
    batch_size: int,
    seed: int,
    weights: Float[Tensor, " classes"] | None = None,
) -> Iterator[Int64[Tensor, " batch"]]:
    """Yield index batches of one epoch, each of full size.

    Args:
        labels: of the images, on the CPU.
        batch_size: images of a batch.
        seed: of the order.
        weights: by which an image of each class is drawn, with replacement; None takes each once.
    """
    n_images, rng = len(labels), generator(seed)
    if weights is None:
        order = torch.randperm(n_images, generator=rng)
    else:
        order = torch.multinomial(weights[labels], n_images, replacement=True, generator=rng)
    size = min(batch_size, n_images)
    for step in range(steps_per_epoch(n_images, size)):
        yield order[step * size : (step + 1) * size]


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator on `device` at `seed`."""
    return torch.Generator(device=device).manual_seed(seed)
