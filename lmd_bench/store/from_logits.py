"""What logits say beyond their rows.

Rows of earlier versions lack some metrics and the number of images of each class. Both are computed
from stored logits where they are asked for; where a store is to travel without its logits, they are
put into the rows and stay.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pyarrow as pa

from lmd_bench.core.schema import EQUAL_PRIOR, Row
from lmd_bench.stats.metrics import equal_prior, evaluate_further, images_of_classes
from lmd_bench.stats.probabilities import Labels, Weights
from lmd_bench.store.columns import COLUMNS
from lmd_bench.store.metrics import known_metrics
from lmd_bench.store.store import SplitLogits, Store

VAL_COUNTS = "val_counts"  # val images of each class


def weights_of(protocol: str, labels: Labels) -> Weights:
    """Return the weights of judged images; None where all count the same.

    Args:
        protocol: That cut them, as rows call it.
        labels: Index of the true class of each image.
    """
    return equal_prior(labels) if protocol in EQUAL_PRIOR else None


def filled(table: pa.Table, store: Store) -> pa.Table:
    """Return rows with the columns that their stored logits give and they lack.

    Raises:
        UserError: logits are damaged.
    """
    rows: list[dict[str, Any]] = table.to_pylist()
    return pa.Table.from_pylist([_filled(row, store) for row in rows], COLUMNS)


def columns_of(logits: Mapping[str, SplitLogits], protocol: str) -> dict[str, Any]:
    """Return the columns that rows of earlier versions lack, by the logits of each split."""
    columns: dict[str, Any] = {}
    for split, (_, labels, z) in logits.items():
        columns[f"{split}_counts"] = images_of_classes(labels, z).tolist()
        if split == "test":
            further = evaluate_further(labels, z, weights_of(protocol, labels))
            columns |= {f"test_{name}": value for name, value in further.items()}
    return columns


def columns_of_metrics(names: Collection[str]) -> tuple[str, ...]:
    """Return the columns of rows that hold metrics on test; some have none."""
    return tuple(column for name in names if (column := f"test_{name}") in COLUMNS.names)


def scores_on_test(row: Row, names: Collection[str], store: Store | None) -> dict[str, float]:
    """Return metrics of one run on test; NaN where undefined or not stored.

    Args:
        row: Of a confirmation that ended well.
        names: Of metrics.
        store: Where its logits lie; None: the row alone is asked.
    """
    stored = columns_of_metrics(names)
    scores = {name: row[f"test_{name}"] if f"test_{name}" in stored else None for name in names}
    known = known_metrics()
    # a metric of a group is in every row, and logits do not name the groups
    lacking = [name for name, value in scores.items() if value is None and known[name].function]
    if lacking and store is not None:
        by_split = store.read_logits(row["key"])
        if "test" in by_split:
            _, labels, logits = by_split["test"]
            weights = weights_of(row["protocol"], labels)
            scores |= {name: known[name].value(labels, logits, weights=weights) for name in lacking}
    return {name: float("nan") if value is None else value for name, value in scores.items()}


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
                counts[fingerprint] = images_of_classes(labels, logits).tolist()
    return [{**row, VAL_COUNTS: counts.get(row["task_fingerprint"])} for row in rows]


def _filled(row: dict[str, Any], store: Store) -> dict[str, Any]:
    if row["status"] != "ok" or (row["val_counts"] is not None and not _lacks_test(row)):
        return row
    columns = columns_of(store.read_logits(row["key"]), row["protocol"])
    return row | {name: value for name, value in columns.items() if row[name] is None}


def _lacks_test(row: Row) -> bool:
    return row["test_balanced_accuracy"] is not None and row["test_counts"] is None
