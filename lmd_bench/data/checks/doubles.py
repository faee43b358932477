"""Lesions or patients with images in two splits: a model is then tested on what it learned."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Int64

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
    found: list[Crossing] = []
    for first, second in combinations(rows, 2):
        shared = sorted(counts[first].keys() & counts[second].keys())
        if shared:
            n_first = sum(counts[first][group] for group in shared)
            n_second = sum(counts[second][group] for group in shared)
            found.append(Crossing((first, second), tuple(shared), (n_first, n_second)))
    return tuple(found)


def _group_counts(table: ImageTable, rows: Int64[np.ndarray, " rows"]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[table.groups[row]] = counts.get(table.groups[row], 0) + 1
    return counts
