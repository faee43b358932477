"""The command that takes methods apart."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lmd_bench.cli import completion
from lmd_bench.cli.app import app, command_line
from lmd_bench.cli.compare import LesionColumn, Lesions, lesions_of
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import RESULTS, AblationOptions, Factors, Results, Seed, Settings
from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.tables import add_plain_row
from lmd_bench.data.options import DataOptions, TaskOptions
from lmd_bench.search.options import Resources

if TYPE_CHECKING:
    from lmd_bench.experiments.ablation.design import Design
    from lmd_bench.experiments.ablation.estimate import Estimate
    from lmd_bench.search.request import SearchRequest


@app.command()
@expanded
def ablate(
    data: DataOptions,
    cut: TaskOptions,
    resources: Resources,
    asked: AblationOptions,
    file: Annotated[
        str | None, typer.Argument(help="YAML file, or the name of a shipped one, such as lmd.")
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="Data sets; repeat or use commas.", autocompletion=completion.datasets),
    ] = None,
    imbalance_factor: Factors = None,
    seed: Seed = 0,
    settings: Settings = None,
    table: Annotated[
        bool, typer.Option("--table", help="Only draw the tables of what --results holds.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print cells, encoders and hours; start nothing.")
    ] = False,
    format: Annotated[
        Literal["table", "markdown", "latex", "csv", "json"], typer.Option(help="Of the tables.")
    ] = "table",
    out: Annotated[Path | None, typer.Option(help="File for the tables.")] = None,
    against: Annotated[
        str | None,
        typer.Option(help="With --table: cell that the others are compared with; the reference."),
    ] = None,
    clusters: Lesions = None,
    cluster_column: LesionColumn = "lesion_id",
    results: Results = RESULTS,
) -> None:
    """Take a method apart: run its cells on the same seeds, and say what each part brings."""
    from lmd_bench.cli.emit import write
    from lmd_bench.experiments.ablation.analysis import analyse_all, read_ablations
    from lmd_bench.experiments.ablation.tables import FORMATS, render
    from lmd_bench.leaderboard.answer import terminal_width

    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    width = terminal_width() if out is None else None
    lesions = lesions_of(clusters, cluster_column)
    if table:
        name = Path(file).stem if file else None
        write(render(read_ablations(results.resolve(), name, lesions, against), format, width), out)
        return
    if file is None or not dataset:
        raise UserError(
            "An ablation takes a file and --dataset, such as `lmd-bench ablate lmd --dataset "
            "synthetic`; `--table` alone draws the tables of what is stored."
        )
    from lmd_bench.cli.progress import image_progress
    from lmd_bench.core.options import parse_factors, split_commas
    from lmd_bench.data.build import task_specs
    from lmd_bench.experiments.ablation.run import AskedFor, plan_ablation, record_of, run_ablation

    factors = parse_factors(imbalance_factor or ["natural"])
    specs = task_specs(split_commas(dataset), factors, *cut.ways)
    with image_progress() as progress:
        design, request = plan_ablation(
            AskedFor(file, tuple(settings or ()), asked.mode, asked.retune, asked.base_from),
            specs,
            source=data.source(cut.split_dir),
            progress=progress,
            results=results.resolve(),
            n_epochs=asked.epochs,
            confirm_seeds=asked.confirm_seeds,
            seed=seed,
            command=command_line(),
            **resources.fields(),
        )
    if dry_run:
        from lmd_bench.experiments.ablation.estimate import estimate

        _print_estimate(design, request, estimate(design, request))
        return
    code = run_ablation(design, request)
    analyses = analyse_all(request.results, [record_of(design, request)], lesions)
    write(render(analyses, format, width), out)
    raise typer.Exit(code)


def _print_estimate(design: "Design", request: "SearchRequest", outline: "Estimate") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from lmd_bench.experiments.ablation.contrasts import design_sentence

    record, work = outline.record, outline.work
    table = Table("cell", "stages", "differs from the reference in", box=SIMPLE_HEAD)
    for cell in record.cells:
        changes = ", ".join(f"{key}={value}" for key, value in cell.changes.items())
        differs = "(the reference)" if cell.name == record.reference else changes
        add_plain_row(table, cell.name, f"{cell.representation}+{cell.calibration}", differs)
    console = Console(highlight=False, emoji=False)
    console.print(table)
    if sentence := design_sentence(record):
        console.print(sentence)
    most = "at most " if design.retune else ""
    n_tasks = len(request.tasks)
    console.print(
        f"{len(design.cells)} cells on {n_tasks} task{'s' if n_tasks > 1 else ''}, "
        f"{request.confirm_seeds} seeds each: {most}{work.n_trials} trials and {most}"
        f"{work.n_encoders} encoders to train; {work.n_stored} trials are stored."
    )
    console.print(outline.hours)
