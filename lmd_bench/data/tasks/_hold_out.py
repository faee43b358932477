"""Holding val out of train, where a published split has none."""

import math
from collections.abc import Sequence

import numpy as np

from lmd_bench.core.seeding import derive_seed
from lmd_bench.data.table import ImageTable

_SHARE = 0.2  # of each class's train images, rounded up


def hold_out(
    table: ImageTable, train: Sequence[int], split_seed: int
) -> tuple[list[int], list[int]]:
    """Return the rows left in train, and those held out for val: whole groups, by class.

    Each class gives a fifth of its images or, where the last group is larger, a few more; a class
    whose images lie in one group gives none. The rarest class chooses its groups first.

    Args:
        table: the images.
        train: rows of the published train set.
        split_seed: of the draw.
    """
    labels = table.labels[list(train)]
    counts = np.bincount(labels, minlength=len(table.class_names))
    val_groups: set[str] = set()
    decided: set[str] = set()
    for label in np.argsort(counts, kind="stable"):
        rows = [row for row, of in zip(train, labels, strict=True) if of == label]
        wanted = math.ceil(_SHARE * len(rows))
        n_taken = sum(table.groups[row] in val_groups for row in rows)
        groups = list(dict.fromkeys(table.groups[row] for row in rows))
        sizes = {group: 0 for group in groups}
        for row in rows:
            sizes[table.groups[row]] += 1
        name = table.class_names[label]
        seed = derive_seed(split_seed, "protocol", "official", "val", name)
        for i in np.random.default_rng(seed).permutation(len(groups)):
            group = groups[i]
            # The last free group of a class stays in train.
            if n_taken >= wanted or n_taken + sizes[group] >= len(rows):
                continue
            if group not in decided:
                val_groups.add(group)
                n_taken += sizes[group]
        decided.update(groups)
    val = [row for row in train if table.groups[row] in val_groups]
    return [row for row in train if table.groups[row] not in val_groups], val
