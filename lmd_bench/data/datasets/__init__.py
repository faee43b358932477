"""Data sets: one file each, found by its name; `load` also knows their aliases."""

from lmd_bench.core import plugins
from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import TableColumns
from lmd_bench.data.datasets._base import Dataset
from lmd_bench.data.datasets._medmnist import REFUSED

__all__ = ["Dataset", "images_of", "load"]


def load(name: str, columns: TableColumns | None = None) -> Dataset:
    """Return the data set called `name` or having it as an alias (`isic` is `isic2019`).

    Args:
        name: of the data set.
        columns: what describes a folder's CSV.

    Raises:
        UserError: no data set of that name, one that cannot be a task here, or one that takes no
            `columns`.
    """
    dataset = _find(name)
    if columns is not None:
        dataset.describe(columns)
    return dataset


def images_of(name: str) -> frozenset[str]:
    """Return the names of all data sets whose images a data set holds, its own among them."""
    if name not in plugins.names("datasets"):
        return frozenset({name})
    return frozenset({name, *plugins.plugin_class("datasets", name).images_from})


def _find(name: str) -> Dataset:
    names = plugins.names("datasets")
    if name in names:
        return _create(name)
    if name in REFUSED:
        raise UserError(REFUSED[name])
    for dataset in map(_create, names):
        if name in dataset.aliases:
            return dataset
    raise unknown("dataset", name, names)


def _create(name: str) -> Dataset:
    dataset = plugins.plugin_class("datasets", name)()
    assert isinstance(dataset, Dataset)
    if dataset.card.name != name:
        raise UserError(
            f"The card of data set '{name}' calls it '{dataset.card.name}'; give the plug-in's "
            "file and its card the same name."
        )
    return dataset
