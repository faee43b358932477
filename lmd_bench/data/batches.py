"""Images of a split on the trial's device, and the order in which an epoch takes them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

Pixels = UInt8[Tensor, "batch height width 3"]
Labels = Int64[Tensor, " batch"]


class MappedPixels:
    """Rows of a memory map; indexed like a tensor, it gathers the batch onto the device."""

    def __init__(
        self,
        mapped: UInt8[np.ndarray, "images height width 3"],
        rows: Int64[np.ndarray, " rows"],
        device: torch.device,
    ) -> None:
        """Stand for `mapped[rows]` on `device`; nothing is read yet."""
        self._mapped = mapped
        self._rows = rows
        self._device = device

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: slice | Int64[Tensor, " batch"]) -> Pixels:
        """Return the pixels at positions of the split. Indices on a GPU cost a wait for it."""
        rows = self._rows[index if isinstance(index, slice) else index.cpu().numpy()]
        pinned = self._device.type == "cuda"
        batch = gather(self._mapped, rows, pinned=pinned)
        return batch.to(self._device, non_blocking=pinned)


class ResidentPixels:
    """Pixels that lie on the device as a whole, copied there when the first of them is asked for.

    A trial that stands on stored features asks for none of train.
    """

    def __init__(self, n: int, load: Callable[[], UInt8[Tensor, "images height width 3"]]) -> None:
        """Stand for the n images that `load` returns; nothing is read yet."""
        self._n = n
        self._load = load

    def __len__(self) -> int:
        return self._n

    @cached_property
    def whole(self) -> UInt8[Tensor, "images height width 3"]:
        """Return all of them."""
        return self._load()

    def __getitem__(self, index: slice | Int64[Tensor, " batch"]) -> Pixels:
        """Return the pixels at positions of the split, which lie on the device."""
        return self.whole[index]


class StoredViews:
    """Images of which features are stored, not pixels; a view is a choice among those stored.

    Indexed like the pixels of a split it gives a part of itself; nothing is read before `view`.
    """

    def __init__(
        self,
        of_view: Mapping[str, Float32[np.ndarray, "copies images width"]],
        rows: Int64[np.ndarray, " rows"],
        device: torch.device,
    ) -> None:
        """Stand for `rows` of stored features.

        Args:
            of_view: of each view that has some, in copies that differ; `test` is always there.
            rows: of the images.
            device: where features are wanted.
        """
        self._of_view = of_view
        self._rows = rows
        self._device = device

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def width(self) -> int:
        """Return how many features an image has."""
        return self._of_view["test"].shape[2]

    def __getitem__(self, index: slice | Int64[Tensor, " batch"]) -> "StoredViews":
        """Return the images at positions of the split."""
        rows = self._rows[index if isinstance(index, slice) else index.cpu().numpy()]
        return StoredViews(self._of_view, rows, self._device)

    def view(self, name: str, seed: int) -> Float32[Tensor, "images width"]:
        """Return for each image one of the copies of a view, drawn from the seed.

        Where only the test view is stored, as of features that a person brings, every view is it.
        """
        copies = self._of_view["test" if len(self._of_view) == 1 else name]
        drawn = torch.randint(len(copies), (len(self),), generator=generator(seed)).numpy()
        features = torch.from_numpy(copies[drawn, self._rows])
        if self._device.type == "cuda":
            # From other memory the copy would wait for the GPU.
            features = features.pin_memory()
        return features.to(self._device, non_blocking=True)


@dataclass(frozen=True)
class ImageSet:
    """Images of one split; what is taken from it lies on the trial's device."""

    pixels: UInt8[Tensor, "images height width 3"] | ResidentPixels | MappedPixels | StoredViews
    labels: Int64[Tensor, " images"]  # on the trial's device

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def labels_on_cpu(self) -> Int64[Tensor, " images"]:
        """Return the labels on the CPU, copied once: each copy waits for the GPU."""
        return self.labels.cpu()

    def batch(self, indices: Int64[Tensor, " batch"]) -> tuple[Pixels | StoredViews, Labels]:
        """Return pixels and labels at `indices`, which lie on the CPU, on the trial's device."""
        # Small, and not waited for: at the start of a step the GPU still works on the one before.
        on_device = indices.to(self.labels.device, non_blocking=True)
        # What is streamed takes the indices from the CPU: from the GPU it would wait for it.
        rows = on_device if isinstance(self.pixels, Tensor | ResidentPixels) else indices
        return self.pixels[rows], self.labels[on_device]


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


def gather(
    mapped: UInt8[np.ndarray, "images height width 3"],
    rows: Int64[np.ndarray, " batch"],
    *,
    pinned: bool,
) -> Pixels:
    """Return a copy of rows of the map in host memory; every pixel of a trial passes here.

    NumPy copies whole rows, on one core and without torch's threads: 10 to 35 times as fast as
    indexing a tensor where the cores are shared (benchmarks/README.md).
    """
    batch = torch.empty((len(rows), *mapped.shape[1:]), dtype=torch.uint8, pin_memory=pinned)
    # "clip" writes to the batch without a buffer between; the rows come from a checked split.
    np.take(mapped, rows, axis=0, out=batch.numpy(), mode="clip")
    return batch
