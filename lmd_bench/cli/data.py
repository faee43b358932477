"""Commands on data sets: what there is, prepare it, look at it, check its split."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from lmd_bench.cli.app import app, one_task
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import Dataset, Factor, ImageSize
from lmd_bench.core.errors import UserError
from lmd_bench.core.tables import add_plain_row
from lmd_bench.data.options import DataOptions, TaskOptions

if TYPE_CHECKING:
    from lmd_bench.data.table import DatasetCard, ImageTable

FACTORS = (None, 10.0, 50.0, 100.0, 200.0, 500.0)  # imbalance factors shown; None is natural
_BAR = 24  # characters of the longest bar


@app.command()
def datasets(name: Annotated[str | None, typer.Argument()] = None) -> None:
    """List the data sets: what is present, class counts, licence, how to get it."""
    if name is None:
        show_datasets()
    else:
        show_dataset(name)


@app.command()
@expanded
def prepare(
    dataset: Dataset,
    data: DataOptions,
    image_size: ImageSize = 64,
) -> None:
    """Decode and resize all images once, into the cache that every trial reads."""
    from lmd_bench.cli.progress import image_progress
    from lmd_bench.data.build import prepare_dataset, source_notes

    source = data.source()
    with image_progress() as progress:
        prepared = prepare_dataset(dataset, source, image_size, progress)
    for note in source_notes([dataset], source):
        typer.echo(f"Note: {note}.", err=True)
    missing = f", {prepared.n_missing} missing" if prepared.n_missing else ""
    what = (
        f"{prepared.features().shape[1]} features of {len(prepared.table)} images"
        if prepared.holds_features
        else f"{len(prepared.table)} images at {image_size} px"
    )
    print(f"{dataset}: {what}{missing}; fingerprint {prepared.fingerprint}, in {prepared.folder}")


@app.command()
@expanded
def views(
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .jpg or .webp.")],
    data: DataOptions,
    image_size: ImageSize = 64,
    per_class: Annotated[int, typer.Option(min=1, help="Images of each class.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the images chosen and of their views.")] = 0,
) -> None:
    """Draw a contact sheet: what augmentation and mixing make of a few images of each class."""
    from lmd_bench.cli.progress import image_progress
    from lmd_bench.data.build import prepare_dataset
    from lmd_bench.data.views.contact_sheet import write_contact_sheet

    with image_progress() as progress:
        prepared = prepare_dataset(dataset, data.source(), image_size, progress)
    n_images = write_contact_sheet(prepared, out, per_class, seed)
    print(f"{dataset}: views of {n_images} images at {image_size} px, in {out}")


@app.command()
@expanded
def check(
    dataset: Dataset,
    data: DataOptions,
    cut: TaskOptions,
    imbalance_factor: Factor = "natural",
    split_out: Annotated[
        Path | None, typer.Option(help="New folder for the split, which --split-dir reads back.")
    ] = None,
) -> None:
    """Look for leaks, doubles, broken files and classes too small; exit code 1 if any is found."""
    from lmd_bench.cli.check import run_check

    spec = one_task(dataset, imbalance_factor, cut)
    if not run_check(spec, data.source(cut.split_dir), split_out):
        raise typer.Exit(1)


def show_datasets() -> None:
    """Print a line for each data set: classes, images, licence, and what is present here."""
    from lmd_bench.data.listing import list_datasets

    table = Table(
        Column("name", no_wrap=True),
        Column("classes", justify="right"),
        Column("images", justify="right"),
        Column("here", no_wrap=True),
        Column("licence", no_wrap=True, overflow="ellipsis"),
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for line in list_datasets().to_dict("records"):
        n_classes, n_images = line["classes"], line["images"]
        add_plain_row(
            table,
            line["name"],
            str(n_classes) if n_classes else "yours",
            f"{n_images:,}" if n_images else "yours",
            line["here"],
            line["licence"],
        )
    console = Console(highlight=False, emoji=False)
    console.print(table)
    console.print("lmd-bench datasets NAME says how to get one; LMD_BENCH_DATA names their folder.")


def show_dataset(name: str) -> None:
    """Print all of one data set: its card, where it was looked for, and its class counts."""
    from lmd_bench.data import datasets
    from lmd_bench.data.listing import presence, present_images

    card = datasets.load(name).card
    console = Console(highlight=False, emoji=False)
    console.print(Text.assemble((card.name, "bold"), f"  {card.title}"))
    console.print(
        f"licence   {card.licence}\ncitation  {card.citation}\nurl       {card.url}", markup=False
    )
    console.print(f"groups    {card.group or 'none'}\nhow       {card.how_to_get}", markup=False)
    console.print(f"here      {presence(datasets.load(name))}", markup=False)
    table = present_images(datasets.load(name))
    sizes = "" if table is None or table.splits is None else f": {_sizes(table.splits)}"
    console.print(f"splits    {card.splits or 'none published'}{sizes}", markup=False)
    console.print(_counts(card, table))
    if table is not None:
        _show_factors(console, card.name, table)


def _counts(card: "DatasetCard", present: "ImageTable | None") -> Table:
    """Return the classes with the images expected and those present."""
    import numpy as np

    from lmd_bench.core.text import natural_order

    names = card.class_names if present is None else present.class_names
    here = None if present is None else np.bincount(present.labels, minlength=len(names))
    shown = here if here is not None else np.array(card.expected_counts or [0] * len(names))
    table = Table("class", "expected", "here", "")
    for label in natural_order(names):
        add_plain_row(
            table,
            names[label],
            f"{card.expected_counts[label]:,}" if card.expected_counts else "?",
            "-" if here is None else f"{here[label]:,}",
            bar(int(shown[label]), int(shown.max(initial=1)), 2 * _BAR),
        )
    return table


def _show_factors(console: Console, name: str, present: "ImageTable") -> None:
    """Print the training images of each class at each factor that the data can give."""
    import numpy as np

    from lmd_bench.core.schema import TaskSpec
    from lmd_bench.core.text import factor_name
    from lmd_bench.data.options import TaskOptions
    from lmd_bench.data.tasks.protocols import cut

    protocol, *_ = TaskOptions().ways
    tasks: dict[str, list[int]] = {}
    refused: list[str] = []
    kept = ""
    for factor in FACTORS:
        title = factor_name(factor)
        try:
            split = cut(present, TaskSpec(name, protocol, factor))
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
            add_plain_row(table, present.class_names[label], *cells)
        console.print(table)
    if refused:
        console.print("Not to be had: " + "\n".join(refused), markup=False)


def bar(value: int, largest: int, length: int) -> str:
    """Return a bar of up to `length` characters; something is shown of every value above 0."""
    return "█" * max(int(value > 0), round(length * value / max(1, largest)))


def _sizes(splits: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {splits.count(name):,}" for name in ("train", "val", "test"))
