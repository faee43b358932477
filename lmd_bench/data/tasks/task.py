"""A task: train and val indices that training may see, and test behind `open_test`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource, TaskSpec, content_hash
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.long_tail import Shot, groups_by_third
from lmd_bench.data.tasks.protocols import cut
from lmd_bench.data.tasks.split import Split


@dataclass(frozen=True, eq=False)
class Task:
    """What training and search receive. It carries no test index."""

    spec: TaskSpec
    class_names: tuple[str, ...]
    train: Int64[np.ndarray, " train"]  # rows of the table, sorted
    val: Int64[np.ndarray, " val"]
    class_counts: tuple[int, ...]  # of train
    groups: tuple[Shot, ...]  # many, medium or few, for each class
    fingerprint: str  # of the images and labels in all three splits


def build_task(
    table: ImageTable, spec: TaskSpec, data_fingerprint: str, source: DataSource | None = None
) -> Task:
    """Return the task that `spec` asks for.

    Args:
        table: the images present.
        spec: what is asked for.
        data_fingerprint: content hash of the prepared images; part of the task's own.
        source: where published splits lie, for protocol `official`.

    Raises:
        UserError: the table cannot give this task.
    """
    split = cut(table, spec, source)
    _check_every_class(table, split, published=spec.protocol == "official")
    counts = np.bincount(table.labels[split.train], minlength=len(table.class_names))
    class_counts = tuple(int(count) for count in counts)
    return Task(
        spec=spec,
        class_names=table.class_names,
        train=split.train,
        val=split.val,
        class_counts=class_counts,
        groups=groups_by_third(class_counts),
        fingerprint=fingerprint(table, split, spec, data_fingerprint),
    )


def open_test(
    table: ImageTable, task: Task, data_fingerprint: str, source: DataSource | None = None
) -> Int64[np.ndarray, " test"]:
    """Return the sorted test rows of `task`. For confirmation alone: nothing is chosen after this.

    Raises:
        UserError: these images no longer give this task.
    """
    split = cut(table, task.spec, source)
    here = fingerprint(table, split, task.spec, data_fingerprint)
    check_fingerprint(task.spec, here, expected=task.fingerprint)
    return split.test


def check_fingerprint(spec: TaskSpec, here: str, expected: str) -> None:
    """Check that the data on this machine give the task that trials were planned or run for.

    Raises:
        UserError: they give another task.
    """
    if here != expected:
        raise UserError(
            f"The data of {spec.dataset} here give task {here}, but the trials are of task "
            f"{expected}: images or split files differ; give the files that the search read, with "
            "--data-root and --split-dir, the same on every machine."
        )


def fingerprint(table: ImageTable, split: Split, spec: TaskSpec, data_fingerprint: str) -> str:
    """Return the hash of the images and labels in all three splits, at one image size."""

    def split_hash(rows: Int64[np.ndarray, " rows"]) -> str:
        return content_hash([[table.image_ids[row], int(table.labels[row])] for row in rows])

    return content_hash(
        {
            "data": data_fingerprint,
            "image_size": spec.image_size,
            "class_names": table.class_names,
            "train": split_hash(split.train),
            "val": split_hash(split.val),
            "test": split_hash(split.test),
        }
    )


def _check_every_class(table: ImageTable, split: Split, *, published: bool) -> None:
    for name, rows in (("train", split.train), ("val", split.val)):
        present = set(table.labels[rows].tolist())
        absent = [c for label, c in enumerate(table.class_names) if label not in present]
        if absent:
            mend = (
                f"leave these classes out with {_rare_below(table, absent)}, or take another split"
                if published
                else "use a smaller imbalance factor or a more complete data set"
            )
            raise UserError(
                f"Class {', '.join(absent)} has no image in {name}; a task needs every class in "
                f"train and val: {mend}."
            )


def _rare_below(table: ImageTable, absent: Sequence[str]) -> str:
    """Return the options that drop these classes, with the number where one parts them."""
    counts = np.bincount(table.labels, minlength=len(table.class_names))
    is_absent = np.array([name in absent for name in table.class_names])
    parted = not is_absent.all() and counts[is_absent].max() < counts[~is_absent].min()
    below = f" {counts[~is_absent].min()}" if parted else ""
    return f"--rare-classes drop --rare-below{below}"
