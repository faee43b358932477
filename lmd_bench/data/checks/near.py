"""Near-identical images in two splits, by a difference hash.

The hash says of each of 16 x 16 places whether the image is brighter to the right, and below: 512
bits (dHash, after N. Krawetz, "Kind of Like That", 2013,
https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html, in two directions
and finer). It does not notice another size, compression, brightness or contrast.

At most `THRESHOLD` bits may differ. Of the 50 million pairs of HAM10000 at 32 px, 18 differ in that
little, and all are of one lesion; the nearest two lesions differ in 28 bits, and chance in 256. Two
images without any structure count as equal. Below 17 px the hash is coarser.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, UInt8

from lmd_bench.data.tasks.split import Split

THRESHOLD = 24  # bits of 512
_SIDE = 16
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # luma, ITU-R BT.601
_BLOCK = 1024  # rows compared at a time: 4 MiB of distances for a thousand held-out images


@dataclass(frozen=True)
class NearPair:
    """Two images in two splits that look the same."""

    rows: tuple[int, int]
    splits: tuple[str, str]
    distance: int  # bits that differ


def difference_hashes(
    pixels: UInt8[np.ndarray, "images size size 3"],
) -> Bool[np.ndarray, "images bits"]:
    """Return the 512 bits of each image."""
    size = pixels.shape[1]
    coarse, fine = _averaging(_SIDE, size), _averaging(_SIDE + 1, size)
    grey = pixels.astype(np.float32) @ _GREY
    across = coarse @ grey @ fine.T
    down = fine @ grey @ coarse.T
    bits = (across[:, :, 1:] > across[:, :, :-1], down[:, 1:] > down[:, :-1])
    return np.concatenate([part.reshape(len(pixels), -1) for part in bits], axis=1)


def near_identical(
    bits: Bool[np.ndarray, "images bits"],
    split: Split,
    identical: Collection[tuple[int, ...]] = (),
    threshold: int = THRESHOLD,
) -> tuple[NearPair, ...]:
    """Return the pairs in two splits whose hashes differ in at most `threshold` bits.

    Args:
        bits: hashes of all images of the table.
        split: rows of the table; only pairs across it are compared.
        identical: sets of rows whose files or pixels are the same, whose pairs are left out.
        threshold: bits.

    Returns:
        nearest pairs first.
    """
    set_of = {row: i for i, rows in enumerate(identical) for row in rows}
    named = {"train": split.train, "val": split.val, "test": split.test}
    pairs = [
        NearPair(rows, (first, second), distance)
        for first, second in combinations(named, 2)
        for rows, distance in _near(bits, named[first], named[second], threshold)
        if rows[0] not in set_of or set_of[rows[0]] != set_of.get(rows[1])
    ]
    return tuple(sorted(pairs, key=lambda pair: (pair.distance, pair.rows)))


def _near(
    bits: Bool[np.ndarray, "images bits"], first: np.ndarray, second: np.ndarray, threshold: int
) -> Iterator[tuple[tuple[int, int], int]]:
    n_bits = bits.shape[1]
    # With bits as -1 and 1, the product of two hashes is n_bits - 2 * distance.
    right = np.where(bits[second], np.float32(1), np.float32(-1)).T
    for start in range(0, len(first), _BLOCK):
        rows = first[start : start + _BLOCK]
        products = np.where(bits[rows], np.float32(1), np.float32(-1)) @ right
        for i, j in zip(*np.nonzero(products >= n_bits - 2 * threshold), strict=True):
            yield (int(rows[i]), int(second[j])), round((n_bits - float(products[i, j])) / 2)


def _averaging(n_parts: int, size: int) -> Float[np.ndarray, "parts size"]:
    """Return the matrix that averages `size` pixels over `n_parts` equal stretches."""
    ends = np.linspace(0, size, n_parts + 1)
    pixel = np.arange(size)
    overlap = np.minimum(ends[1:, None], pixel + 1) - np.maximum(ends[:-1, None], pixel)
    weights = np.clip(overlap, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
