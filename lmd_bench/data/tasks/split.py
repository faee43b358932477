"""The three index sets that a protocol cuts from a table of images."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64


@dataclass(frozen=True, eq=False)
class Split:
    """Sorted, disjoint rows of one `ImageTable`; rows in none of them are left out."""

    train: Int64[np.ndarray, " train"]
    val: Int64[np.ndarray, " val"]
    test: Int64[np.ndarray, " test"]


def sorted_rows(rows: Iterable[int]) -> Int64[np.ndarray, " rows"]:
    """Return rows as a sorted index array."""
    return np.array(sorted(rows), dtype=np.int64)
