"""Features of images in the cache, computed once and shared by all that ask for them again.

A pool belongs to one encoder and one preparation of images. Of each view it holds `<view>.f32`,
float32 values of [copies, images, width], and `<view>.npy`, which says of each row whether it is
there. Rows are added under the pool's lock, a block at a time: values first, then what says so, so
that what a killed run leaves is whole, and the next one goes on from there.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from lmd_bench.core.errors import UserError
from lmd_bench.core.files import whole_file
from lmd_bench.data.images.cache import locked

BLOCK = 128  # rows between two times that the work so far is safe on the disk

# takes the number of a copy and rows; returns their features
Compute = Callable[
    [int, Int64[np.ndarray, " rows"]],
    Float32[np.ndarray, "rows width"],
]


@dataclass(frozen=True)
class FeaturePool:
    """The stored features of some images by one encoder."""

    folder: Path
    n_images: int
    width: int

    def missing(self, view: str, n_copies: int, rows: Int64[np.ndarray, " rows"]) -> int:
        """Return how many features of `rows` are still to be computed."""
        return int((~self._there(view, n_copies)[:n_copies, rows]).sum())

    def fill(
        self,
        view: str,
        n_copies: int,
        rows: Int64[np.ndarray, " rows"],
        compute: Compute,
        progress: Callable[[int, int], None] | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> int:
        """Add what is missing of a view, and return how many features were computed.

        Args:
            view: its name.
            n_copies: of the view, which differ; the test view has one.
            rows: of the images.
            compute: makes features; called with rows of one copy at a time.
            progress: called with the features done and all that are to be done.
            on_wait: told now and then while another process computes some.

        Raises:
            UserError: the cache cannot be written.
        """
        # What is there never changes, so where all is there nothing waits for the lock.
        if not self.missing(view, n_copies, rows):
            return 0
        try:
            # Another process may have computed them while this one waits.
            with locked(self.folder, on_wait):
                return self._fill(view, n_copies, rows, compute, progress)
        except OSError as error:
            raise UserError(
                f"Features cannot be written to {self.folder} ({error}); free some space there, "
                "or set LMD_BENCH_CACHE to another folder."
            ) from error

    def mapped(self, view: str, n_copies: int) -> Float32[np.ndarray, "copies images width"]:
        """Return the features of a view on a memory map; rows that were not filled are zeros."""
        shape = (n_copies, self.n_images, self.width)
        return np.asarray(np.memmap(self._values(view), np.float32, mode="r", shape=shape))

    def _fill(
        self,
        view: str,
        n_copies: int,
        rows: Int64[np.ndarray, " rows"],
        compute: Compute,
        progress: Callable[[int, int], None] | None,
    ) -> int:
        self.folder.mkdir(exist_ok=True)
        there = self._there(view, n_copies)
        wanted = [(copy, rows[~there[copy, rows]]) for copy in range(n_copies)]
        total = sum(len(of_copy) for _, of_copy in wanted)
        done = 0
        # Written by name, not through a memory map: a full disk is then an error, not a crash.
        with self._values(view).open("r+b" if self._values(view).exists() else "w+b") as stream:
            size = there.size * self.width * 4
            if stream.seek(0, os.SEEK_END) < size:
                stream.truncate(size)
            for copy, of_copy in wanted:
                for start in range(0, len(of_copy), BLOCK):
                    block = of_copy[start : start + BLOCK]
                    for row, values in zip(block, compute(copy, block), strict=True):
                        stream.seek((copy * self.n_images + int(row)) * self.width * 4)
                        stream.write(np.ascontiguousarray(values, dtype=np.float32).data)
                    stream.flush()
                    os.fsync(stream.fileno())
                    there[copy, block] = True
                    with whole_file(self._presence(view)) as temporary, temporary.open("wb") as out:
                        np.save(out, there)
                    done += len(block)
                    if progress is not None:
                        progress(done, total)
        return total

    def _there(self, view: str, n_copies: int) -> Bool[np.ndarray, "copies images"]:
        """Return which rows are there, of `n_copies` copies or of more."""
        there = np.zeros((n_copies, self.n_images), dtype=np.bool_)
        try:
            stored = np.load(self._presence(view), allow_pickle=False)
            size = self._values(view).stat().st_size
        # ValueError, EOFError: cut short by a crash of the machine.
        except (FileNotFoundError, NotADirectoryError, ValueError, EOFError):
            return there
        if stored.shape[1:] != there.shape[1:] or size < stored.size * self.width * 4:
            return there
        if len(stored) >= n_copies:
            return stored
        there[: len(stored)] = stored
        return there

    def _values(self, view: str) -> Path:
        return self.folder / f"{view}.f32"

    def _presence(self, view: str) -> Path:
        return self.folder / f"{view}.npy"
