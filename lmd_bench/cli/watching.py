"""Commands that tell how searches and machines are doing."""

from typing import Annotated

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.options import RESULTS, Results


@app.command()
def status(results: Results = RESULTS) -> None:
    """Say how far the searches of a folder are; works from any machine that sees the folder."""
    from lmd_bench.search.watching.status import show_status

    show_status(results)


@app.command()
def watch(
    results: Results = RESULTS,
    seconds: Annotated[float, typer.Option(min=0.5, help="Between two looks.")] = 5.0,
) -> None:
    """Keep the status of a folder's searches on the screen until Ctrl-C."""
    from lmd_bench.search.watching import status

    status.watch(results, seconds)


@app.command()
def failures(results: Results = RESULTS) -> None:
    """List failed trials by cause, with a traceback of each."""
    from lmd_bench.search.watching.failures import show_failures

    show_failures(results)


@app.command()
def doctor(
    results: Results = RESULTS,
    address: Annotated[
        str, typer.Option(help="Ray cluster whose nodes are looked at; `local`: this machine.")
    ] = "local",
) -> None:
    """Say whether trials would run here and on every node; exit code 1 if something is amiss."""
    from lmd_bench.search.tune.doctor import run_doctor

    if not run_doctor(results.resolve(), address):
        raise typer.Exit(1)
