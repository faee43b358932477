"""What logits say beyond their rows, put into the rows before the logits are left behind.

Rows of earlier versions lack some metrics and the number of images of each class; where a store is
to travel without its logits, both are computed once more and stay.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from lmd_bench.core.schema import Row
from lmd_bench.stats.metrics import evaluate_further, images_of_classes
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.store import SplitLogits, Store

VAL_COUNTS = "val_counts"  # val images of each class


def filled(table: pa.Table, store: Store) -> pa.Table:
    """Return rows with the columns that their stored logits give and they lack.

    Raises:
        UserError: logits are damaged.
    """
    rows: list[dict[str, Any]] = table.to_pylist()
    return pa.Table.from_pylist([_filled(row, store) for row in rows], COLUMNS)


def columns_of(logits: Mapping[str, SplitLogits]) -> dict[str, Any]:
    """Return the columns that rows of earlier versions lack, by the logits of each split."""
    columns: dict[str, Any] = {}
    for split, (_, labels, z) in logits.items():
        columns[f"{split}_counts"] = images_of_classes(labels, z).tolist()
        if split == "test":
            columns |= {
                f"test_{name}": value for name, value in evaluate_further(labels, z).items()
            }
    return columns


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
            by_split = store.read_logits(row["key"])
            if "val" in by_split:
                _, labels, logits = by_split["val"]
                counts[fingerprint] = np.bincount(labels, minlength=logits.shape[1]).tolist()
    return [{**row, VAL_COUNTS: counts.get(row["task_fingerprint"])} for row in rows]


def _filled(row: dict[str, Any], store: Store) -> dict[str, Any]:
    if row["status"] != "ok" or (row["val_counts"] is not None and not _lacks_test(row)):
        return row
    columns = columns_of(store.read_logits(row["key"]))
    return row | {name: value for name, value in columns.items() if row[name] is None}


def _lacks_test(row: Row) -> bool:
    return row["test_balanced_accuracy"] is not None and row["test_counts"] is None
