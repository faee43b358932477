"""Data sets: one file each, found by its name; `load` also knows their aliases."""

from lmd_bench import plugins
from lmd_bench.datasets._base import Dataset
from lmd_bench.datasets._medmnist import REFUSED
from lmd_bench.errors import UserError, unknown

__all__ = ["Dataset", "load"]


def load(name: str) -> Dataset:
    """Return the data set called `name` or having it as an alias (`isic` is `isic2019`).

    Raises:
        UserError: no data set of that name, or one that cannot be a task here.
    """
    if name in REFUSED:
        raise UserError(REFUSED[name])
    names = plugins.names("datasets")
    if name in names:
        return _create(name)
    for dataset in map(_create, names):
        if name in dataset.aliases:
            return dataset
    raise unknown("dataset", name, names)


def _create(name: str) -> Dataset:
    dataset = plugins.plugin_class("datasets", name)()
    assert isinstance(dataset, Dataset)
    return dataset
