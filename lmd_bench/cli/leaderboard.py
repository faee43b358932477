"""The command that prints the leaderboard."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.options import RESULTS, OfStudies, Results
from lmd_bench.core.errors import UserError

Rule = Annotated[
    Literal[
        "val_balanced_accuracy",
        "val_macro_f1",
        "val_worst_class",
        "val_lower_confidence",
        "last_epoch",
        "oracle_test",
    ],
    typer.Option(help="What selects a configuration; oracle_test is watermarked."),
]


@app.command()
def leaderboard(
    results: Results = RESULTS,
    format: Annotated[
        Literal["table", "markdown", "latex", "csv", "json", "parquet"],
        typer.Option(help="Of the table; parquet takes --out."),
    ] = "table",
    rule: Rule = "val_balanced_accuracy",
    at_budget: Annotated[
        str | None,
        typer.Option(help="Look at what each study found for this: 10 (trials), 4h, 4gpuh, 2kwh."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Metrics to show, such as mcc,macro_auc,nll; all: every one, also ECE."),
    ] = None,
    show: Annotated[
        str,
        typer.Option(help="single runs; their seeds together; an ensemble of methods; use commas."),
    ] = "single",
    study: OfStudies = "",
    out: Annotated[Path | None, typer.Option(help="File to write in place of printing.")] = None,
) -> None:
    """Print the methods of each task by mean test balanced accuracy over confirmation seeds."""
    from lmd_bench.cli.emit import check_format, emit, emit_leaderboard, write
    from lmd_bench.experiments.results import open_results
    from lmd_bench.leaderboard.ensembles import SINGLE, parse_shown

    shown = parse_shown(show)
    if shown != (SINGLE,):
        check_format(format)
        if metrics:
            raise UserError("Option --metrics goes with --show single alone; leave out one.")
        if study:
            raise UserError("Option --study goes with --show single alone; leave out one.")
        answer = open_results(results).ensembles(rule, shown, at_budget=at_budget)
        if out is None:
            emit(answer, format)
        else:
            write(answer.render(format), out)
        return
    board = open_results(results).leaderboard(
        rule, at_budget=at_budget, metrics=metrics or (), study=study
    )
    emit_leaderboard(board, format, out)
