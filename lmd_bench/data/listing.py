"""Which data sets there are, and what of them lies on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lmd_bench.core import paths, plugins
from lmd_bench.core.errors import UserError
from lmd_bench.data import datasets
from lmd_bench.data.datasets import Dataset
from lmd_bench.data.table import ImageTable

if TYPE_CHECKING:
    import pandas as pd


def list_datasets() -> "pd.DataFrame":
    """Return one row a data set, with what of it lies below `$LMD_BENCH_DATA`.

    Returns:
        name, aliases, title, classes and images (0: those of your own folder), here ("all", "no",
        "built in", "?" where no folder was named, else the images that are present), licence,
        groups (what no split parts), url, how_to_get.
    """
    import pandas as pd

    return pd.DataFrame([_line(datasets.load(name)) for name in plugins.names("datasets")])


def _line(dataset: Dataset) -> dict[str, object]:
    card = dataset.card
    counts = card.expected_counts
    return {
        "name": card.name,
        "aliases": ", ".join(dataset.aliases),
        "title": card.title,
        "classes": len(card.class_names),
        "images": sum(counts) if counts else card.expected_images or 0,
        "here": presence(dataset, short=True),
        "licence": card.licence,
        "groups": card.group or "",
        "url": card.url,
        "how_to_get": card.how_to_get,
    }


def presence(dataset: Dataset, *, root: Path | None = None, short: bool = False) -> str:
    """Return how many images of a data set lie where it is looked for, or why none does.

    Args:
        dataset: The data set.
        root: Its folder, in place of that below `$LMD_BENCH_DATA`.
        short: In a word or two.
    """
    if not dataset.card.downloads:
        return "built in"
    root = paths.data_root(dataset.card.name, root)
    if root is None:
        return "?" if short else "not looked for: set LMD_BENCH_DATA"
    if not root.is_dir():
        return "no" if short else f"no: {root} is absent"
    try:
        table = dataset.read(root)
    except UserError as error:
        return "no" if short else f"no: {error}"
    n_present = len(table) - int(dataset.missing(root, table).sum())
    if not short:
        return f"{n_present:,} of {len(table):,} images in {root}"
    return "all" if n_present == len(table) else f"{n_present:,}"


def present_images(dataset: Dataset) -> ImageTable | None:
    """Return the images whose files are here; None where the data set is not."""
    root = paths.data_root(dataset.card.name)
    if dataset.card.downloads and (root is None or not root.is_dir()):
        return None
    table = dataset.read(root)
    here = table.take(np.flatnonzero(~dataset.missing(root, table)))
    return here if len(here) else None
