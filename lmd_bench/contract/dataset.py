"""What has to hold of every data set whose files are here."""

from pathlib import Path

import numpy as np

from lmd_bench.contract.expect import ContractError, expect
from lmd_bench.core import paths
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import DataSource
from lmd_bench.data import datasets
from lmd_bench.data.images.prepare import prepare
from lmd_bench.data.table import ImageTable

SIZE = 16  # pixels
SPLITS = {"train", "val", "test"}


def read(name: str, source: DataSource) -> ImageTable:
    """Return the table of a data set as a trial would read it."""
    data = datasets.load(name, source.columns)
    return data.read(paths.data_root(name, source.root))


def says_what_it_is(name: str, source: DataSource) -> None:
    """Its card says what it is, under which licence, and how to get it."""
    card = datasets.load(name, source.columns).card
    for part in ("title", "licence", "citation", "how_to_get"):
        expect(getattr(card, part), f"the card has no {part}")


def lists_each_image_once(name: str, source: DataSource) -> None:
    """Every image has one id, one label, one group and, if any, one split."""
    table, card = read(name, source), datasets.load(name, source.columns).card
    n = len(table)
    expect(n > 0, "there is no image")
    expect(len(set(table.image_ids)) == n, "an id stands for several images")
    columns = (table.labels, table.groups, table.splits or table.image_ids)
    same = all(len(column) == n for column in columns)
    expect(same, "ids, labels, groups and splits differ in number")
    expect(all(table.groups), "an image has an empty group; take own_group(image_id)")
    classes = set(range(len(table.class_names)))
    expect(set(table.labels.tolist()) == classes, "a class has no image, or a label no class")
    expect(card.class_names in (table.class_names, ()), "card and table differ in their classes")
    expect(set(table.splits or SPLITS) == SPLITS, "a declared split is of train, val and test")


def gives_pixels(name: str, source: DataSource) -> None:
    """Images can be had, and are prepared in the order of the table."""
    table = read(name, source)
    prepared = prepare(name, source, SIZE)
    present = set(prepared.table.image_ids)
    order = tuple(image for image in table.image_ids if image in present)
    expect(prepared.table.image_ids == order, "prepared images are in another order")
    pixels = prepared.read(np.array([0, len(prepared.table) - 1]))
    expect(pixels.any(), "the first and the last image are black")


def says_how_to_get_its_files(name: str, source: DataSource) -> None:
    """Where its files are absent, it says in a sentence how to get them."""
    data = datasets.load(name, source.columns)
    if not data.card.downloads:
        return
    try:
        data.read(Path("/nowhere/at/all"))
    except UserError as error:
        expect(data.card.how_to_get in str(error), "the error does not say how to get the files")
        return
    raise ContractError("a folder that is not there was read; begin `read` with check_root(root)")


CHECKS = (says_what_it_is, says_how_to_get_its_files, lists_each_image_once, gives_pixels)
