"""The tasks of `lmd-bench sweep`: what each data set gives at several imbalance factors."""

from collections.abc import Iterable, Sequence

import numpy as np

from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.core.text import factor_name
from lmd_bench.data.build import OnImages, prepare_dataset, task_specs
from lmd_bench.data.tasks.nesting import Factor, check_nested, nested_specs


def sweep_tasks(
    names: Iterable[str],
    factors: Sequence[Factor],
    common: TaskSpec,
    source: DataSource,
    progress: OnImages | None = None,
) -> tuple[tuple[TaskSpec, ...], tuple[str, ...]]:
    """Return the tasks of every data set at every factor, and a sentence on each data set.

    The train sets of a data set nest, and its val and test are the same at all factors. Where
    `common` names no n_max, each data set has one at which all factors can be had.

    Args:
        names: Of data sets.
        factors: Two or more.
        common: What all tasks share; its data set and factor are not looked at.
        source: Where the images lie.
        progress: Called as images are decoded.

    Raises:
        UserError: unknown names, absent data, or factors that a data set cannot give together.
    """
    specs: list[TaskSpec] = []
    sentences: list[str] = []
    ways = (common.protocol, common.split_seed, common.image_size, common.n_max)
    for spec in task_specs(names, [None], *ways):
        table = prepare_dataset(spec.dataset, source, spec.image_size, progress).table
        tasks = nested_specs(table, spec, factors, source)
        splits = check_nested(table, tasks, source)
        largest = [int(np.bincount(table.labels[split.train]).max()) for split in splits]
        sizes = ", ".join(
            f"{factor_name(task.imbalance_factor)}: {n}"
            for task, n in zip(tasks, largest, strict=True)
        )
        n_max = "" if tasks[0].n_max is None else f" (--n-max {tasks[0].n_max})"
        sentences.append(
            f"{spec.dataset}: nested train sets, images of the largest class at each factor "
            f"{sizes}{n_max}; the same {len(splits[0].val)} val and {len(splits[0].test)} test "
            "images at all of them."
        )
        specs += tasks
    return tuple(specs), tuple(sentences)
