"""Commands for plug-ins of one's own: write one, and check that it does what it has to."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.option_groups import expanded
from lmd_bench.core.errors import UserError
from lmd_bench.core.outside import Kind
from lmd_bench.data.options import DataOptions

_KINDS: dict[str, Kind] = {
    "calibration": "calibration",
    "representation": "representation",
    "dataset": "datasets",
    "encoder": "encoders",
    "metric": "metrics",
}


@app.command()
def new(
    kind: Annotated[
        Literal["calibration", "representation", "dataset", "encoder", "metric"],
        typer.Argument(help="What it is."),
    ],
    name: Annotated[str, typer.Argument(help="What it is called.")],
    folder: Annotated[Path, typer.Option(help="Where its files go.")] = Path(),
) -> None:
    """Write a plug-in of your own that works: its file, search space and test."""
    from lmd_bench.contract.new import write_plugin

    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; make it first.")
    files = write_plugin(_KINDS[kind], name, folder)
    for file in files:
        print(f"wrote {file}")
    print(f"lmd-bench check-plugin {files[0]} says whether it does what it has to")


@app.command("check-plugin")
@expanded
def check_plugin(
    places: Annotated[list[Path], typer.Argument(help="Its file, or a folder of such; repeat.")],
    data: DataOptions,
) -> None:
    """Check that plug-ins of your own do what each of their kind has to; a line for each check."""
    from lmd_bench.contract.check import checks
    from lmd_bench.core import outside

    n_broken = 0
    for plugin in outside.add(places):
        for check in checks(plugin.kind, plugin.name, data.source()):
            failure = check.failure()
            n_broken += bool(failure)
            print(f"{plugin.name}: {'no ' if failure else 'yes'} {check.title}", flush=True)
            if failure:
                print(f"{plugin.name}:     {failure}", flush=True)
    if n_broken:
        raise typer.Exit(1)
