"""Commands on the store of results: gather, join, explain and repeat its rows."""

from pathlib import Path
from typing import Annotated

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import RESULTS, Results, SplitDir
from lmd_bench.data.options import DataOptions

Key = Annotated[str, typer.Argument(help="Key of a row; the beginning is enough if it is unique.")]


@app.command()
def compact(results: Results = RESULTS) -> None:
    """Gather the rows of many small files in one; safe while searches write and if it is killed."""
    from lmd_bench.store.compaction import print_compaction

    print_compaction(results)


@app.command()
def explain(key: Key, results: Results = RESULTS) -> None:
    """Print where a row comes from: task, study, source, encoder, seeds, versions, cost."""
    from lmd_bench.store.lineage import print_lineage

    print_lineage(results, key)


@app.command()
@expanded
def reproduce(
    key: Key, data: DataOptions, split_dir: SplitDir = None, results: Results = RESULTS
) -> None:
    """Run a row's trial again from nothing; exit code 1 if something else comes out."""
    from lmd_bench.experiments.reproduce import print_reproduction

    if not print_reproduction(results, key, data.source(split_dir)):
        raise typer.Exit(1)


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Results folders; they are only read.")],
    into: Annotated[Path, typer.Option(help="Results folder, made where there is none.")],
    private: Annotated[
        bool, typer.Option("--private", help="Leave out image ids, logits and command lines.")
    ] = False,
) -> None:
    """Join results of several sites in one folder; exit code 1 if a trial has two outcomes."""
    from lmd_bench.store.merging import print_merge

    if not print_merge(folders, into, private=private):
        raise typer.Exit(1)


@app.command()
def dashboard(
    results: Results = RESULTS,
    port: Annotated[int, typer.Option(help="Of the dashboard, on this machine alone.")] = 8080,
) -> None:
    """Rebuild the Optuna studies of a folder and open optuna-dashboard on them."""
    from lmd_bench.search.watching.dashboard import show_dashboard

    show_dashboard(results, port)
