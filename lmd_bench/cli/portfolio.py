"""The command that learns what searches try first from earlier ones, and judges it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lmd_bench.cli.app import app
from lmd_bench.cli.compare import Format


@app.command()
def portfolio(
    action: Annotated[
        Literal["learn", "judge"],
        typer.Argument(help="Write a portfolio, or leave each data set out and judge it there."),
    ],
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Results folders.")],
    size: Annotated[int, typer.Option(min=1, help="Configurations of each method, at most.")] = 4,
    to: Annotated[
        Path | None, typer.Option(help="File that `learn` writes; the shipped one if not given.")
    ] = None,
    format: Format = "table",
) -> None:
    """Learn from search rows, on val alone, which configurations a search tries first."""
    from rich.console import Console

    from lmd_bench.cli.emit import emit
    from lmd_bench.experiments.portfolio.judging import judge
    from lmd_bench.experiments.portfolio.learning import learn, write
    from lmd_bench.search.proposing.portfolio import default_file

    if action == "judge":
        with Console(stderr=True).status("fitting"):
            answer = judge(folders, size)
        emit(answer, format)
        return
    with Console(stderr=True).status("fitting"):
        learned = learn(folders, size)
    path = to or default_file()
    write(learned, path)
    n_trials = sum(len(study.tried) for study in learned.evidence)
    print(
        f"{path}: {len(learned.entries)} methods, of {n_trials} trials on "
        f"{len({study.task for study in learned.evidence})} tasks"
    )
    for reason in learned.left_out:
        print(f"not learned from, {reason}")
