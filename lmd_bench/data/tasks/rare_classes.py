"""Classes of too few images: refused as they are, dropped with their images, or merged into one.

A class of one image cannot lie in train, val and test at once, so no protocol can judge it. What to
do about it changes the question that a benchmark answers; a person decides, never the tool.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import RareClasses
from lmd_bench.data.table import ImageTable

MERGED = "other"  # the class that rare ones are merged into


def settle_rare_classes(
    table: ImageTable, policy: RareClasses, below: int
) -> tuple[ImageTable, Int64[np.ndarray, " kept"]]:
    """Return the table without rare classes, and the rows of the old one that it keeps.

    Args:
        table: all images.
        policy: `refuse` changes nothing: the protocol refuses what it cannot cut.
        below: a class of fewer images is rare.

    Raises:
        UserError: fewer than two classes would be left, a single class would be merged with
            itself, or a class is called like the merged one already.
    """
    counts = np.bincount(table.labels, minlength=len(table.class_names))
    rare = counts < below
    if policy == "refuse" or not rare.any():
        return table, np.arange(len(table))
    names = [name for name, is_rare in zip(table.class_names, rare, strict=True) if not is_rare]
    if policy == "merge":
        names.append(_merged(table, rare))
    if len(names) < 2:
        raise UserError(
            f"Only {len(names)} class has {below} images or more, and a task needs two; lower "
            "--rare-below, or use a more complete data set."
        )
    new_label = np.where(rare, len(names) - 1, np.cumsum(~rare) - 1)
    kept = np.flatnonzero(~rare[table.labels] | (policy == "merge"))
    labels = new_label[table.labels[kept]]
    return replace(table.take(kept), labels=labels, class_names=tuple(names)), kept


def _merged(table: ImageTable, rare: np.ndarray) -> str:
    listed = [name for name, is_rare in zip(table.class_names, rare, strict=True) if is_rare]
    if len(listed) == 1:
        raise UserError(
            f"Class '{listed[0]}' alone is rare, and there is no other to merge it with; give "
            "--rare-classes drop, or a higher --rare-below."
        )
    if MERGED in set(table.class_names) - set(listed):
        raise UserError(
            f"A class is called '{MERGED}' already, which is the name of merged rare classes; give "
            "--rare-classes drop, or rename that class."
        )
    return MERGED
