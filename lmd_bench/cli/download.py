"""The command that fetches a data set, once its licence is accepted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lmd_bench.cli import completion
from lmd_bench.cli.app import app
from lmd_bench.core.errors import UserError

if TYPE_CHECKING:
    from lmd_bench.data.datasets import Dataset
    from lmd_bench.data.download import Source


@app.command()
def download(
    name: Annotated[
        str,
        typer.Argument(
            help="Data set; `lmd-bench datasets` lists them.", autocompletion=completion.datasets
        ),
    ],
    size: Annotated[
        int | None,
        typer.Option(help="Pixels of its images, where it is published in several sizes."),
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="Its folder; default: `$LMD_BENCH_DATA/<name>`.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Take the licence that is shown without it.")
    ] = False,
) -> None:
    """Fetch a data set: checked, unpacked, and put where it is looked for."""
    from lmd_bench.cli.progress import byte_progress
    from lmd_bench.core import paths
    from lmd_bench.data import datasets
    from lmd_bench.data.download import download, sources
    from lmd_bench.data.listing import presence

    dataset = datasets.load(name)
    root = paths.data_root(dataset.card.name, data_root)
    if root is None:
        raise UserError(
            f"No folder was named for data set '{dataset.card.name}'; set LMD_BENCH_DATA to the "
            "folder of all data sets, or name one with --data-root."
        )
    _show(dataset, root, sources(dataset, root, size))
    if not accept_licence:
        raise UserError(
            f"Read the licence ({dataset.card.licence}, {dataset.card.url}); if you take it, give "
            "--accept-licence."
        )
    with byte_progress() as progress:
        download(dataset, root, size, progress)
    print(f"{dataset.card.name}: {presence(dataset, root=root)}")


def _show(dataset: "Dataset", root: Path, files: "list[Source]") -> None:
    card = dataset.card
    console = Console(highlight=False, emoji=False, stderr=True)
    console.print(
        f"{card.title}\nlicence   {card.licence}\ncitation  {card.citation}", markup=False
    )
    console.print(f"url       {card.url}\nfolder    {root}", markup=False)
    for source in files:
        file = source.file
        size = f", {file.n_bytes / 1e9:.2f} GB" if file.n_bytes else ""
        check = (
            f"checked against the published {file.checksum.partition(':')[0]}"
            if file.checksum
            else "no checksum is known: that of the first download is kept, and later ones compared"
        )
        here = "is here" if source.here else check
        console.print(f"file      {file.name}{size}: {here}", markup=False)
