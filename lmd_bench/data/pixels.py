"""The pixels of a split: on the memory map that all trials of a machine share, or on the GPU.

On a CPU a batch is gathered from the map when it is asked for: what a trial holds of its own is one
batch, and the page cache holds the array once for all. On a GPU the split lies on the device where
it fits, and is streamed from the map through pinned memory where it does not. The bytes are the
same each way.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from lmd_bench.data.images.prepare import PreparedImages

RESIDENT_SHARE = 0.25  # of a trial's GPU memory; the rest is the model's and its activations'
_BLOCK = 1024  # images copied to the device at a time, to hold no second copy of the split

Pixels = UInt8[Tensor, "batch height width 3"]


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


def open_pixels(
    prepared: PreparedImages,
    rows: Int64[np.ndarray, " rows"],
    device: torch.device,
    gpu_share: float,
) -> UInt8[Tensor, "rows height width 3"] | MappedPixels:
    """Return the pixels of a split for a trial on `device`.

    Args:
        prepared: the images.
        rows: the split's rows of the table.
        device: where batches are wanted.
        gpu_share: share of the GPU that the trial holds; 0, not said, counts as all of it.
    """
    mapped = prepared.mapped()
    if device.type == "cpu" or not fits(mapped.nbytes, total_memory(device), gpu_share):
        return MappedPixels(mapped, rows, device)
    pixels = torch.empty((len(rows), *mapped.shape[1:]), dtype=torch.uint8, device=device)
    for part in _blocks(len(rows)):
        pixels[part] = gather(mapped, rows[part], pinned=False).to(device)
    return pixels


def fits(n_bytes: int, total: int, gpu_share: float) -> bool:
    """Return whether a data set lies on a GPU as a whole, at most a quarter of the trial's share.

    The whole prepared array is counted, not a split, so that train, val and test of one trial are
    held the same way and fit together.

    Args:
        n_bytes: of the prepared array.
        total: memory of the GPU in bytes. Not what is free: equal trials are held alike.
        gpu_share: share of it that the trial holds; 0 counts as 1.
    """
    return n_bytes <= RESIDENT_SHARE * total * min(gpu_share or 1.0, 1.0)


def total_memory(device: torch.device) -> int:
    """Return the memory of a GPU in bytes."""
    return torch.cuda.get_device_properties(device).total_memory


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


def _blocks(n_rows: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, n_rows, _BLOCK))
