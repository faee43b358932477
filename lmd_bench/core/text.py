"""How durations, imbalance factors and tasks are written; the one spelling of each."""

import re
from collections.abc import Sequence
from math import isfinite, isnan

from lmd_bench.core.schema import ENCODER_COLUMNS, Row, TaskSpec


def rough(seconds: float) -> str:
    """Return "95 s", "45 min" or "2.2 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def clock(seconds: float) -> str:
    """Return "4.2 s", "3 min 05 s" or "2 h 10 min"."""
    if not isfinite(seconds):
        return "?"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def factor_name(factor: float | None, prefix: str = "") -> str:
    """Return an imbalance factor as a person types it, like `100`, `IF 100` or `natural`.

    Args:
        factor: None is what the data have; so is NaN, as a frame holds None.
        prefix: Stands before a number.
    """
    return "natural" if factor is None or isnan(factor) else f"{prefix}{factor:g}"


def task_slug(task: TaskSpec, fingerprint: str) -> str:
    """Return how a task is called in ids, like `ham10000-balanced-if100-64px-split0-3fa2b01c`."""
    factor = f"if{factor_name(task.imbalance_factor)}"
    size = [f"{task.image_size}px"] if task.image_size else []  # features have none
    split = f"split{task.split_seed}"
    return "-".join((task.dataset, task.protocol, factor, *size, split, fingerprint[:8]))


def task_label(row: Row) -> str:
    """Return how a task is called in tables, like `ham10000 · balanced · IF 100 · 64 px · 3fa2`."""
    parts = [row["dataset"], row["protocol"], factor_name(row["imbalance_factor"], "IF ")]
    parts += [f"n_max {row['n_max']}"] if row["n_max"] is not None else []
    parts += [f"split {row['split_seed']}"] if row["split_seed"] else []
    parts += [f"{row['image_size']} px"] if row["image_size"] else []
    return " · ".join([*parts, row["task_fingerprint"][:8]])


def encoder_label(row: Row) -> str:
    """Return what a row's method stood on, like `efficientnet_lite0 pretrained · frozen`.

    It is "" for what all rows were before there was a choice: ResNet-18 from random weights, all of
    it trained. Rows that are as old do not say it.
    """
    columns = [row.get(name) for name in ENCODER_COLUMNS]
    if columns[0] is None or columns == ["resnet18", "random", "last", "full"]:
        return ""
    encoder, start, features, tune = map(str, columns)
    layer = [] if features == "last" else [f"{features} features"]
    start = f"weights {start.partition(':')[2][:8]}" if ":" in start else start
    return " · ".join([f"{encoder} {start}", *layer, tune])


def natural_order(names: Sequence[str]) -> list[int]:
    """Return the positions of classes in the order in which a table shows them: 2 before 10.

    Names that are not sorted have an order of their own, which stays. The number of a class, in
    rows and keys, is never another.
    """
    if list(names) != sorted(names):
        return list(range(len(names)))

    def parts(position: int) -> list[str | int]:
        # Text and digits take turns, text first.
        pieces = re.split(r"(\d+)", names[position])
        return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces)]

    return sorted(range(len(names)), key=parts)
