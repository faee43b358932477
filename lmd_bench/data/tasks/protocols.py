"""Protocols: how train, val and test are cut from a table of images.

`balanced` has class-balanced val and test, cut by lesion or patient, and a train set on the
exponential profile. `lmd` is the procedure published with LMD, image by image, where val and test
keep the long tail. `official` takes a split that was published, file by file.
"""

from collections.abc import Callable

import numpy as np

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.balanced import balanced_counts, cut_balanced
from lmd_bench.data.tasks.lmd import cut_lmd
from lmd_bench.data.tasks.official import cut_official
from lmd_bench.data.tasks.split import Split

PROTOCOLS: dict[str, Callable[[ImageTable, TaskSpec, DataSource], Split]] = {
    "balanced": lambda table, spec, _: cut_balanced(table, spec),
    "lmd": lambda table, spec, _: cut_lmd(table, spec),
    "official": cut_official,
}
# protocol -> (table, split seed) -> training images of each class for a spec, without a cut; only
# of those whose val and test are the same for every imbalance factor and n_max
TRAIN_COUNTS: dict[str, Callable[[ImageTable, int], Callable[[TaskSpec], list[int]]]] = {
    "balanced": balanced_counts,
}


def cut(table: ImageTable, spec: TaskSpec, source: DataSource | None = None) -> Split:
    """Return the split that `spec` asks for; the same for the same table, spec and split files.

    Args:
        table: the images present.
        spec: what is asked for.
        source: where published splits lie, for protocol `official`.

    Raises:
        UserError: an unknown protocol, a class without images, or an imbalance factor or n_max
            that this table cannot give.
    """
    if spec.protocol not in PROTOCOLS:
        raise unknown("protocol", spec.protocol, PROTOCOLS)
    source = source or DataSource()
    if source.split_dir is not None and spec.protocol != "official":
        raise UserError(
            f"--split-dir is for protocol 'official', but protocol '{spec.protocol}' was asked "
            "for; leave one of them out."
        )
    factor = spec.imbalance_factor
    if factor is not None and not 1 <= factor < float("inf"):
        raise UserError(
            f"Imbalance factor {factor:g} is not allowed; it is the images of the largest class "
            "over those of the smallest, a number from 1 upwards."
        )
    counts = np.bincount(table.labels, minlength=len(table.class_names))
    absent = [name for name, count in zip(table.class_names, counts, strict=True) if not count]
    if absent:
        raise UserError(
            f"No image of class {', '.join(absent)} is present in data set '{spec.dataset}'; "
            "a task needs images of every class: complete the download."
        )
    return PROTOCOLS[spec.protocol](table, spec, source)
