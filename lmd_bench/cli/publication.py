"""Commands on results that are given away: pack them, look through them, show them."""

from pathlib import Path
from typing import Annotated

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.leaderboard import Rule
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import SplitDir
from lmd_bench.data.options import DataOptions

_LISTED = 20  # faults that are printed


@app.command()
def submit(
    folders: Annotated[list[Path], typer.Argument(help="Results folders; they are only read.")],
    to: Annotated[Path, typer.Option(help="File to write, such as results.zip.")],
    no_logits: Annotated[
        bool,
        typer.Option("--no-logits", help="Leave out logits: nobody can compute metrics again."),
    ] = False,
) -> None:
    """Pack results as one file with hashes, without ids of images, paths or names of machines."""
    from lmd_bench.store.packs import pack

    packed = pack(folders, to, logits=not no_logits)
    n_conflicts = sum(len(arrival.conflicts) for arrival in packed.arrivals)
    if n_conflicts:
        print(f"{n_conflicts} rows have another value in a later folder; the first stays")
    print(f"{to}: {packed.n_rows} rows, {packed.n_bytes / 1e6:.1f} MB")
    print(f"SHA-256 {packed.sha256}; keep it, and tell it to whoever gets the file")


@app.command()
@expanded
def verify(
    place: Annotated[Path, typer.Argument(help="Pack of `submit`, or a results folder.")],
    data: DataOptions,
    split_dir: SplitDir = None,
    unpack: Annotated[
        Path | None, typer.Option(help="Leave what a pack holds here, as a results folder.")
    ] = None,
    with_data: Annotated[
        bool,
        typer.Option("--with-data", help="Compare images and labels with the data set itself."),
    ] = False,
) -> None:
    """Look for what was forged or lost in results: exit code 1 if there is anything."""
    from lmd_bench.cli.progress import image_progress
    from lmd_bench.experiments import verification

    source = data.source(split_dir) if with_data else None
    with image_progress() as on_images:
        found = verification.verify(place, into=unpack, source=source, on_images=on_images)
    if found.sha256:
        print(f"SHA-256 {found.sha256}")
    print(f"{place}: {found.n_rows} rows, all metrics of {found.n_recomputed} computed again")
    for fault in found.faults[:_LISTED]:
        print(f"{fault.kind}: {fault.where}: {fault.what}")
    if len(found.faults) > _LISTED:
        print(f"and {len(found.faults) - _LISTED} more")
    for note in found.notes:
        print(f"note: {note}")
    if found.faults:
        raise typer.Exit(1)
    print("nothing is wrong")


@app.command()
def publish(
    folders: Annotated[
        list[Path], typer.Argument(help="Results folders and packs; they are only read.")
    ],
    to: Annotated[Path, typer.Option(help="Folder of the site; an earlier site is replaced.")],
    rule: Rule = "val_balanced_accuracy",
) -> None:
    """Write a site of leaderboards, the report and downloads, which opens from disk."""
    from lmd_bench.report.site import INDEX
    from lmd_bench.report.site import publish as write_site

    site = write_site(folders, to, rule)
    n_conflicts = sum(len(arrival.conflicts) for arrival in site.arrivals)
    if n_conflicts:
        print(f"{n_conflicts} rows have another value in a later folder; the first stays")
    print(
        f"{site.folder / INDEX}: {site.n_entries} entries of {site.n_rows} rows, "
        f"{site.n_verified} verified"
    )
