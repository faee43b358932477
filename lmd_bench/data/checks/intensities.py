"""Images whose grey levels cannot be right: of one value, hardly seen, or inverted."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

DARK = 64  # of 255: an image with no brighter pixel is hardly seen
_SIDE = 8  # pixels of the thumbnails that are compared
_ALIKE = 0.5  # correlation with what images have in common, from which one is of their kind
_SHARE = 0.9  # of images that must be of one kind, upright or inverted


@dataclass(frozen=True)
class Intensities:
    """What was found in the grey levels of prepared images."""

    constant: tuple[int, ...]  # rows of images of one value
    range: tuple[int, int]  # levels of the darkest and the brightest pixel of all, 0 to 255
    n_dark: int  # images without a pixel above a quarter of that range
    inverted: tuple[int, ...]  # rows of grey images that are the others' negative

    @property
    def faint(self) -> bool:
        """Return whether all images together use too few levels."""
        return self.range[1] - self.range[0] < DARK


def look_at_levels(blocks: Iterable[UInt8[np.ndarray, "block size size 3"]]) -> Intensities:
    """Return what is odd about prepared images, which come a block at a time."""
    constant: list[int] = []
    darkest, brightest, n_dark, start = 255, 0, 0, 0
    rows: list[int] = []
    thumbnails: list[Float32[np.ndarray, "block pixels"]] = []
    for block in blocks:
        flat = block.reshape(len(block), -1)
        high, low = flat.max(axis=1), flat.min(axis=1)
        constant += (start + np.flatnonzero(high == low)).tolist()
        darkest = min(darkest, int(low.min(initial=255)))
        brightest = max(brightest, int(high.max(initial=0)))
        n_dark += int((high < DARK).sum())
        # A colour picture is never stored inverted.
        grey = np.flatnonzero((block == block[..., :1]).all(axis=(1, 2, 3)) & (high > low))
        rows += (start + grey).tolist()
        thumbnails.append(_thumbnails(block[grey, ..., 0]))
        start += len(block)
    found = _inverted(np.concatenate(thumbnails)) if thumbnails else np.zeros(0, dtype=np.int64)
    return Intensities(tuple(constant), (darkest, brightest), n_dark, tuple(rows[i] for i in found))


def _thumbnails(
    images: UInt8[np.ndarray, "images size size"],
) -> Float32[np.ndarray, "images pixels"]:
    """Return small copies of mean 0 and length 1."""
    edges = np.linspace(0, images.shape[1], min(_SIDE, images.shape[1]) + 1).astype(int)[:-1]
    small = np.add.reduceat(np.add.reduceat(images.astype(np.float32), edges, 1), edges, 2)
    flat = small.reshape(len(images), len(edges) ** 2)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def _inverted(small: Float32[np.ndarray, "images pixels"]) -> np.ndarray:
    """Return which images are the negative of what most have in common.

    What images have in common is the first singular vector of their thumbnails, which does not care
    for signs. Where nearly all follow it, up or down, the fewer of the two are inverted; where
    pictures differ (a dark lesion, a light one) nearly all do not.
    """
    if len(small) < 2:
        return np.zeros(0, dtype=np.int64)
    _, vectors = np.linalg.eigh(small.T @ small)
    alike = small @ vectors[:, -1]
    up, down = alike > _ALIKE, alike < -_ALIKE
    if (up | down).mean() < _SHARE:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(down if down.sum() <= up.sum() else up)
