"""What lies in a data set or its splits twice: a model is then tested on what it learned.

Groups (lesions, patients) with images in two splits; files, and pixels, that are the same.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.split import Split


@dataclass(frozen=True)
class Crossing:
    """The groups that two splits share."""

    splits: tuple[str, str]
    groups: tuple[str, ...]  # sorted
    n_images: tuple[int, int]  # of these groups in each of the two splits


def crossing_groups(table: ImageTable, split: Split) -> tuple[Crossing, ...]:
    """Return the groups shared by train and val, train and test, val and test; pairs with any."""
    rows = {"train": split.train, "val": split.val, "test": split.test}
    counts = {name: _group_counts(table, of) for name, of in rows.items()}
    crossings: list[Crossing] = []
    for first, second in combinations(rows, 2):
        shared = sorted(counts[first].keys() & counts[second].keys())
        if shared:
            n_first = sum(counts[first][group] for group in shared)
            n_second = sum(counts[second][group] for group in shared)
            crossings.append(Crossing((first, second), tuple(shared), (n_first, n_second)))
    return tuple(crossings)


def file_digests(files: Sequence[Path | None], n_threads: int) -> tuple[str | None, ...]:
    """Return the SHA-256 of each file; None for an image that has no file of its own.

    Raises:
        OSError: a file cannot be read.
    """
    # An archive holds many images, so its digest says nothing of any of them.
    uses = Counter(files)
    own = [file if file is not None and uses[file] == 1 else None for file in files]
    # Threads are enough: hashing releases the interpreter's lock.
    with ThreadPoolExecutor(n_threads) as pool:
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


def _group_counts(table: ImageTable, rows: Int64[np.ndarray, " rows"]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[table.groups[row]] = counts.get(table.groups[row], 0) + 1
    return counts


def _digest(file: Path | None) -> str | None:
    if file is None:
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
