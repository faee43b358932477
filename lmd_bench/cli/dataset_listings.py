"""What `lmd-bench datasets` prints."""

import numpy as np
from rich.console import Console
from rich.table import Table

from lmd_bench.core import paths, plugins
from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import TaskSpec
from lmd_bench.data import datasets
from lmd_bench.data.table import DatasetCard, ImageTable
from lmd_bench.data.tasks.protocols import cut

FACTORS = (None, 10.0, 50.0, 100.0, 200.0, 500.0)  # imbalance factors shown; None is natural
_BAR = 24  # characters of the longest bar


def show_datasets() -> None:
    """Print a line for each data set: classes, images, licence, and what is present here."""
    table = Table(title="Data sets", title_justify="left")
    for column in ("name", "classes", "images", "here", "licence"):
        table.add_column(column)
    for name in plugins.names("datasets"):
        card = datasets.load(name).card
        counts = card.expected_counts
        n_images = sum(counts) if counts else card.expected_images
        images = f"{n_images:,}" if n_images else "yours"
        n_classes = str(len(card.class_names) or "yours")
        table.add_row(name, n_classes, images, _presence(name, short=True), card.licence)
    console = Console()
    console.print(table)
    console.print("lmd-bench datasets NAME says how to get one; LMD_BENCH_DATA names their folder.")


def show_dataset(name: str) -> None:
    """Print all of one data set: its card, where it was looked for, and its class counts."""
    card = datasets.load(name).card
    console = Console(highlight=False)
    console.print(f"[bold]{card.name}[/bold]  {card.title}")
    console.print(f"licence   {card.licence}\ncitation  {card.citation}\nurl       {card.url}")
    console.print(f"groups    {card.group or 'none'}\nhow       {card.how_to_get}")
    console.print(f"here      {_presence(card.name)}")
    table = _present_table(card.name)
    sizes = "" if table is None or table.splits is None else f": {_sizes(table.splits)}"
    console.print(f"splits    {card.splits or 'none published'}{sizes}")
    console.print(_counts(card, table))
    if table is not None:
        _show_factors(console, card.name, table)


def _counts(card: DatasetCard, present: ImageTable | None) -> Table:
    """Return the classes with the images expected and those present."""
    names = card.class_names if present is None else present.class_names
    here = None if present is None else np.bincount(present.labels, minlength=len(names))
    shown = here if here is not None else np.array(card.expected_counts or [0] * len(names))
    table = Table("class", "expected", "here", "")
    for label, class_name in enumerate(names):
        table.add_row(
            class_name,
            f"{card.expected_counts[label]:,}" if card.expected_counts else "?",
            "-" if here is None else f"{here[label]:,}",
            bar(int(shown[label]), int(shown.max(initial=1)), 2 * _BAR),
        )
    return table


def _show_factors(console: Console, name: str, present: ImageTable) -> None:
    """Print the training images of each class at each factor that the data can give."""
    tasks: dict[str, list[int]] = {}
    refused: list[str] = []
    kept = ""
    for factor in FACTORS:
        title = "natural" if factor is None else f"{factor:g}"
        try:
            split = cut(present, TaskSpec(name, imbalance_factor=factor))
        except UserError as error:
            refused.append(f"{title}: {error}")
            continue
        tasks[title] = np.bincount(present.labels[split.train]).tolist()
        held_out = [np.bincount(present.labels[r]).min() for r in (split.val, split.test)]
        kept = f"val and test keep {held_out[0]} and {held_out[1]} images of the rarest class"
    if tasks:
        console.print(f"\nTraining images by imbalance factor, protocol balanced; {kept}.")
        table = Table("class", *tasks)
        for label in np.argsort(-np.bincount(present.labels), kind="stable"):
            cells = [
                f"{counts[label]:>6,} {bar(counts[label], max(counts), _BAR // 3)}"
                for counts in tasks.values()
            ]
            table.add_row(present.class_names[label], *cells)
        console.print(table)
    if refused:
        console.print("Not to be had: " + "\n".join(refused), markup=False)


def bar(value: int, largest: int, length: int) -> str:
    """Return a bar of up to `length` characters; something is shown of every value above 0."""
    return "█" * max(int(value > 0), round(length * value / max(1, largest)))


def _sizes(splits: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {splits.count(name):,}" for name in ("train", "val", "test"))


def _presence(name: str, *, short: bool = False) -> str:
    dataset = datasets.load(name)
    card: DatasetCard = dataset.card
    if not card.downloads:
        return "built in"
    root = paths.data_root(name)
    if root is None:
        return "?" if short else "not looked for: set LMD_BENCH_DATA"
    if not root.is_dir():
        return "no" if short else f"no: {root} is absent"
    try:
        table = dataset.read(root)
    except UserError as error:
        return "no" if short else f"no: {error}"
    missing = int(dataset.missing(root, table).sum())
    count = f"{len(table) - missing:,} of {len(table):,}"
    return count if short else f"{count} images in {root}"


def _present_table(name: str) -> ImageTable | None:
    """Return the images whose files are here; None where the data set is not."""
    dataset = datasets.load(name)
    root = paths.data_root(name)
    if dataset.card.downloads and (root is None or not root.is_dir()):
        return None
    table = dataset.read(root)
    here = table.take(np.flatnonzero(~dataset.missing(root, table)))
    return here if len(here) else None
