"""Commands that compare methods: on one task, over tasks, over budgets and imbalance factors."""

from pathlib import Path
from typing import Annotated

import typer

from lmd_bench.commands.app import app
from lmd_bench.commands.reading import Rule
from lmd_bench.options import RESULTS, Results


@app.command()
def compare(
    methods: Annotated[list[str], typer.Argument(help="The first is compared with the others.")],
    with_all: Annotated[
        bool, typer.Option("--with-all", help="Compare with every confirmed method of the task.")
    ] = False,
    results: Results = RESULTS,
    rule: Rule = "val_balanced_accuracy",
    clusters: Annotated[
        Path | None, typer.Option(help="CSV with image_id and a column of lesions or patients.")
    ] = None,
    cluster_column: Annotated[str, typer.Option(help="That column.")] = "lesion_id",
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
) -> None:
    """Compare methods on the same test images: differences, intervals, paired tests, power."""
    from lmd_bench.leaderboard.comparisons import Clusters, print_comparison

    lesions = Clusters(clusters, cluster_column) if clusters else None
    print_comparison(results, methods, format, with_all, rule, lesions)


@app.command()
def ranks(
    results: Results = RESULTS,
    rule: Rule = "val_balanced_accuracy",
    format: Annotated[str, typer.Option(help="table or json.")] = "table",
) -> None:
    """Rank methods over all tasks, test their differences, say how sure a first place is."""
    from lmd_bench.leaderboard.rankings import print_ranks

    print_ranks(results, format, rule)
