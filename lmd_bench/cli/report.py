"""The command that writes the report."""

from pathlib import Path
from typing import Annotated

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.leaderboard import Rule
from lmd_bench.cli.options import RESULTS, Results


@app.command()
def report(
    results: Results = RESULTS,
    rule: Rule = "val_balanced_accuracy",
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these sections, such as budget or confusion; repeat or use commas."
        ),
    ] = None,
) -> None:
    """Write all tables and figures as one HTML file, which opens from disk without a network."""
    from lmd_bench.report.page import write_report

    names = [name.strip() for part in only or [] for name in part.split(",") if name.strip()]
    write_report(results, out, rule, names)
    print(f"The report is in {out}: {out.stat().st_size / 1e6:.1f} MB; open it in a browser")
