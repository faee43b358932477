"""Commands on data sets: what there is, prepare it, look at it, check its split."""

from pathlib import Path
from typing import Annotated

import typer

from lmd_bench.cli.app import app, one_task
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import DataOptions, Dataset, Factor, ImageSize, TaskOptions


@app.command()
def datasets(name: Annotated[str | None, typer.Argument()] = None) -> None:
    """List the data sets: what is present, class counts, licence, how to get it."""
    from lmd_bench.cli.dataset_listings import show_dataset, show_datasets

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
    from lmd_bench.data.build import prepare_dataset

    prepared = prepare_dataset(dataset, data.source(), image_size)
    missing = f", {prepared.n_missing} missing" if prepared.n_missing else ""
    print(
        f"{dataset}: {len(prepared.table)} images at {image_size} px{missing}; "
        f"fingerprint {prepared.fingerprint}, in {prepared.folder}"
    )


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
    from lmd_bench.data.build import prepare_dataset
    from lmd_bench.data.views.contact_sheet import write_contact_sheet

    prepared = prepare_dataset(dataset, data.source(), image_size)
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
