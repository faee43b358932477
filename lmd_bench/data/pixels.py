"""The pixels of a split: on the memory map that all trials of a machine share, or on the GPU.

On a CPU a batch is gathered from the map when it is asked for: what a trial holds of its own is one
batch, and the page cache holds the array once for all. On a GPU the split lies on the device where
it fits, and is streamed from the map through pinned memory where it does not. The bytes are the
same each way.
"""

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

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
