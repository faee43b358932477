"""Protocols: how train, val and test are cut from a table of images.

`balanced_v2` and `natural` cut val and test by lesion or patient, and train on the exponential
profile. Val and test of `balanced_v2` hold 15 % and 25 % of each class, at most 100 images; those
of `natural` have no such limit, so that they keep the prevalence of the data. `balanced`, the first
version, takes 15 % and 25 % of the rarest class of every class, at most 50 and 100 (as MONICA,
https://github.com/PyJulie/MONICA, on ISIC 2019). `lmd` is the procedure published with LMD, image
by image, where val and test keep the long tail. `no_val` holds out test alone, and its val is a
fold of train. `folds_K` are the K splits of a cross-validation. `official` takes a published split,
file by file.

These are the names in rows. `data/options.py` says which of them a person means.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data.table import ImageTable
from lmd_bench.data.tasks.balanced import HoldOut, HoldsOut, counts_by_class, cut_by_class
from lmd_bench.data.tasks.folds import CROSS_VALIDATION
from lmd_bench.data.tasks.lmd import cut_lmd
from lmd_bench.data.tasks.no_val import cut_no_val
from lmd_bench.data.tasks.official import cut_official
from lmd_bench.data.tasks.split import Split

_RANDOM = {
    "balanced": HoldOut(most_val=50, most_test=100, of_rarest=True),
    "balanced_v2": HoldOut(most_val=100, most_test=100),
    "natural": HoldOut(most_val=None, most_test=None),
}


_HELD_OUT: dict[str, HoldsOut] = {**_RANDOM, **CROSS_VALIDATION}


def _by_class(table: ImageTable, spec: TaskSpec, source: DataSource) -> Split:
    return cut_by_class(table, spec, _HELD_OUT[spec.protocol])


PROTOCOLS: dict[str, Callable[[ImageTable, TaskSpec, DataSource], Split]] = {
    **dict.fromkeys(_HELD_OUT, _by_class),
    "lmd": lambda table, spec, _: cut_lmd(table, spec),
    "official": cut_official,
    "no_val": lambda table, spec, _: cut_no_val(table, spec),
}
# protocol -> (table, split seed) -> training images of each class for a spec, without a cut; only
# of those whose val and test are the same for every imbalance factor and n_max
TRAIN_COUNTS: dict[str, Callable[[ImageTable, int], Callable[[TaskSpec], list[int]]]] = {
    name: partial(counts_by_class, hold_out=hold_out) for name, hold_out in _HELD_OUT.items()
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
    if source.hold_out_test is not None and spec.protocol != "official":
        raise UserError(
            f"--hold-out-test is for protocol 'official', but protocol '{spec.protocol}' cuts a "
            "test set itself; leave one of them out."
        )
    if table.own_splits and spec.protocol != "official":
        raise UserError(
            f"The data declare train, val and test, but protocol '{spec.protocol}' would mix them; "
            "give --protocol official, or leave --split-column out (of a folder of train, val and "
            "test: put the images of each class into one sub-folder)."
        )
    if len(table.class_names) < 2:
        raise UserError(
            f"Data set '{spec.dataset}' has one class, {', '.join(table.class_names)}, and a task "
            "needs two; if the images lie one folder deeper, name that folder as --data-root."
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
