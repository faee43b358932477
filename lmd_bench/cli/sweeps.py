"""Commands over several tasks: a sweep of imbalance factors, and configs used elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from lmd_bench.cli.app import app, command_line
from lmd_bench.cli.compare import Format, LesionColumn, Lesions, lesions_of
from lmd_bench.cli.leaderboard import Rule
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import RESULTS, Results
from lmd_bench.cli.search import print_plan
from lmd_bench.data.options import DataOptions
from lmd_bench.search.options import CORE, Resources, SearchOptions

FACTORS = "10,20,50,100,200,500"
Tasks = list[str] | None


@app.command()
@expanded
def sweep(
    options: SearchOptions,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and start no trial.")
    ] = False,
    rule: Rule = "val_balanced_accuracy",
    metric: Annotated[str, typer.Option(help="As `imbalance` takes it.")] = "balanced_accuracy",
    format: Format = "table",
) -> None:
    """Search methods at several imbalance factors, on nested train sets and one test set."""
    from lmd_bench.cli.emit import check_format, emit
    from lmd_bench.cli.progress import image_progress
    from lmd_bench.core.options import split_commas
    from lmd_bench.core.schema import TaskSpec
    from lmd_bench.experiments.sweep import sweep_tasks
    from lmd_bench.leaderboard.studies.rules import rule_named
    from lmd_bench.methods.catalogue import resolve_methods
    from lmd_bench.search.staging import study_specs

    check_format(format)
    rule_named(rule)
    # A mistake is told before images are prepared.
    resolve_methods(split_commas(options.method or [CORE]))
    cut = options.task
    protocol, split_seed, image_size, n_max = cut.ways
    common = TaskSpec("", protocol, None, split_seed, image_size, n_max)
    source = options.data.source(cut.split_dir)
    datasets, factors = split_commas(options.dataset), options.factors(FACTORS)
    with image_progress() as progress:
        specs, sentences = sweep_tasks(datasets, factors, common, source, progress)
    for sentence in sentences:
        typer.echo(sentence, err=format != "table")
    request = options.request(specs, command=command_line())
    requests = options.by_seed(request)
    if dry_run:
        for repeat in requests:
            print_plan(repeat)
        return
    from lmd_bench.search.display import make_display
    from lmd_bench.search.run import INTERRUPTED, run_repeats

    display = make_display(request.verbose, on_stderr=format != "table")
    outcome = run_repeats(requests, display)
    if outcome.exit_code != INTERRUPTED:
        ids = {s.id for repeat in requests for s in study_specs(repeat) if s.requested}
        from lmd_bench.experiments.results import open_results

        emit(open_results(options.results).imbalance(metric, rule, only=ids), format)
    raise typer.Exit(outcome.exit_code)


@app.command()
@expanded
def transfer(
    data: DataOptions,
    resources: Resources,
    method: Annotated[Tasks, typer.Option(help="Methods; all that were tuned twice.")] = None,
    tuned_at: Annotated[
        Tasks, typer.Option("--from", help="Tasks: a data set, if100, or part of a fingerprint.")
    ] = None,
    used_at: Annotated[Tasks, typer.Option("--to", help="As --from.")] = None,
    study: Annotated[str, typer.Option(help="Of studies whose id holds this text.")] = "",
    split_dir: Annotated[
        Path | None, typer.Option(help="Folder of published splits, as the search read it.")
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Print what is stored and run nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much is missing, and start no trial.")
    ] = False,
    clusters: Lesions = None,
    cluster_column: LesionColumn = "lesion_id",
    results: Results = RESULTS,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="Another folder of results whose tasks count with these; repeat."),
    ] = None,
    rule: Rule = "val_balanced_accuracy",
    format: Format = "table",
) -> None:
    """Use configs tuned on one task on the others, and show what that loses."""
    from lmd_bench.cli.emit import check_format, emit
    from lmd_bench.core.options import split_commas
    from lmd_bench.experiments.transfer import Chosen, missing_transfers, transfer_answer

    check_format(format)
    chosen = Chosen(
        tuple(split_commas(method or [])),
        tuple(split_commas(tuned_at or [])),
        tuple(split_commas(used_at or [])),
        study,
    )
    code = 0
    if not table:
        specs = missing_transfers(results, chosen, rule, also or ())
        if dry_run or not specs:
            n_encoders = len({spec.encoder_key for spec, _ in specs.values()})
            typer.echo(
                f"{len(specs)} runs are missing, with at most {n_encoders} encoders to train.",
                err=format != "table",
            )
        else:
            from lmd_bench.cli.progress import image_progress
            from lmd_bench.experiments.transfer import run_transfers
            from lmd_bench.search.display import make_display

            with image_progress() as progress:
                code = run_transfers(
                    specs,
                    results.resolve(),
                    data.source(split_dir),
                    resources.fields(),
                    command_line(),
                    make_display(resources.verbose, on_stderr=format != "table"),
                    progress,
                )
    if not dry_run:
        lesions = lesions_of(clusters, cluster_column)
        emit(transfer_answer(results, chosen, rule, lesions, also or ()), format)
    raise typer.Exit(code)
