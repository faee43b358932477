"""How many val images each class has, which rows do not say but their stored logits do."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lmd_bench.leaderboard.select import VAL_COUNTS
from lmd_bench.results import Store

Row = Mapping[str, Any]


def with_val_counts(store: Store, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the rows with `val_counts`, a list over classes, where any logits of the task exist.

    All trials of a task share its val set, so one file of logits is read for each task. A row of a
    task without any keeps None.
    """
    rows = list(rows)
    counts: dict[str, list[int]] = {}
    for row in rows:
        fingerprint = row["task_fingerprint"]
        if fingerprint not in counts and row["status"] == "ok":
            found = store.read_logits(row["key"])
            if "val" in found:
                _, labels, logits = found["val"]
                counts[fingerprint] = np.bincount(labels, minlength=logits.shape[1]).tolist()
    return [{**row, VAL_COUNTS: counts.get(row["task_fingerprint"])} for row in rows]
