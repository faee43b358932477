"""Byte-identical images: the same file under two names."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8


def file_digests(files: Sequence[Path | None], n_threads: int) -> tuple[str | None, ...]:
    """Return the SHA-256 of each file; None for an image that has no file of its own.

    Raises:
        OSError: a file cannot be read.
    """
    uses = Counter(files)  # an archive holds many images: its digest says nothing of one
    own = [file if file is not None and uses[file] == 1 else None for file in files]
    with ThreadPoolExecutor(n_threads) as pool:  # hashing releases the interpreter's lock
        return tuple(pool.map(_digest, own))


def pixel_digests(pixels: UInt8[np.ndarray, "images size size 3"]) -> tuple[str, ...]:
    """Return the SHA-256 of each image's pixels."""
    return tuple(hashlib.sha256(image.tobytes()).hexdigest() for image in pixels)


def identical_sets(digests: Sequence[str | None]) -> tuple[tuple[int, ...], ...]:
    """Return the sets of two or more rows with one digest, in order of their first rows."""
    rows: dict[str, list[int]] = {}
    for row, digest in enumerate(digests):
        if digest is not None:
            rows.setdefault(digest, []).append(row)
    return tuple(tuple(same) for same in rows.values() if len(same) > 1)


def _digest(file: Path | None) -> str | None:
    if file is None:
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
