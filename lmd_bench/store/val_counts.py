"""How many val images each class has: rows say it, and of those that do not the stored logits."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lmd_bench.store.from_logits import VAL_COUNTS
from lmd_bench.store.store import Store

Row = Mapping[str, Any]


def with_val_counts(store: Store, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the rows with `val_counts`, a list over classes, where anything of the task says it.

    All trials of a task share its val set, so one row that says it, or one file of logits, serves
    for each task. A row of a task without any keeps None.
    """
    rows = list(rows)
    counts: dict[str, list[int]] = {
        row["task_fingerprint"]: row[VAL_COUNTS] for row in rows if row[VAL_COUNTS] is not None
    }
    for row in rows:
        fingerprint = row["task_fingerprint"]
        if fingerprint not in counts and row["status"] == "ok":
            found = store.read_logits(row["key"])
            if "val" in found:
                _, labels, logits = found["val"]
                counts[fingerprint] = np.bincount(labels, minlength=logits.shape[1]).tolist()
    return [{**row, VAL_COUNTS: counts.get(row["task_fingerprint"])} for row in rows]
