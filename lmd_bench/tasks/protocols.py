"""Protocols: how train, val and test are cut from a table of images.

`balanced` has class-balanced val and test, cut by lesion or patient, and a train set on the
exponential profile. `lmd` is the procedure published with LMD, image by image, where val and test
keep the long tail.
"""

from collections.abc import Callable

import numpy as np

from lmd_bench.errors import UserError, unknown
from lmd_bench.schema import ImageTable, TaskSpec
from lmd_bench.tasks._balanced import cut_balanced
from lmd_bench.tasks._lmd import cut_lmd
from lmd_bench.tasks._split import Split

PROTOCOLS: dict[str, Callable[[ImageTable, TaskSpec], Split]] = {
    "balanced": cut_balanced,
    "lmd": cut_lmd,
}


def cut(table: ImageTable, spec: TaskSpec) -> Split:
    """Return the split that `spec` asks for; the same for the same table and spec.

    Raises:
        UserError: an unknown protocol, a class without images, or an imbalance factor or n_max
            that this table cannot give.
    """
    if spec.protocol not in PROTOCOLS:
        raise unknown("protocol", spec.protocol, PROTOCOLS)
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
    return PROTOCOLS[spec.protocol](table, spec)
