"""Commands that train: one trial by hand, or a search."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmd_bench.cli.app import app, command_line, one_task
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import (
    RESULTS,
    Budget,
    DataOptions,
    Dataset,
    Datasets,
    Drawn,
    Epochs,
    Factor,
    Factors,
    Resources,
    Results,
    Seed,
    Settings,
    Strategy,
    TaskOptions,
)

if TYPE_CHECKING:
    from lmd_bench.core.schema import DataSource, Row, TaskSpec
    from lmd_bench.search.plan import StudyPlan
    from lmd_bench.search.request import SearchRequest


@app.command()
@expanded
def train(
    dataset: Dataset,
    method: Annotated[str, typer.Option(help="Method, or representation+calibration.")],
    data: DataOptions,
    cut: TaskOptions,
    imbalance_factor: Factor = "natural",
    epochs: Epochs = 10,
    seed: Seed = 0,
    settings: Settings = None,
    results: Results = RESULTS,
) -> None:
    """Train one trial, without Ray, and judge it on val; its row goes to the results."""
    from lmd_bench.cli.progress import epoch_bars
    from lmd_bench.training.single import train_one

    with epoch_bars() as on_epoch:
        row = train_one(
            one_task(dataset, imbalance_factor, cut),
            method,
            epochs,
            seed,
            settings or [],
            results.resolve(),
            data.source(cut.split_dir),
            command_line(),
            on_epoch,
        )
    _print_trial(row)
    if row["status"] != "ok":
        raise typer.Exit(1)


@app.command()
@expanded
def search(
    dataset: Datasets,
    method: Annotated[list[str], typer.Option(help="Methods, or `all`; repeat or use commas.")],
    data: DataOptions,
    cut: TaskOptions,
    resources: Resources,
    budget: Budget,
    strategy: Strategy,
    drawn: Drawn,
    imbalance_factor: Factors = None,
    seed: Seed = 0,
    settings: Settings = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and start no trial.")
    ] = False,
    results: Results = RESULTS,
) -> None:
    """Search hyperparameters of methods on tasks, then confirm the chosen ones on test."""
    from lmd_bench.cli.parsing import parse_factors, split_commas
    from lmd_bench.data.build import task_specs

    source = data.source(cut.split_dir)
    factors = parse_factors(imbalance_factor or ["natural"])
    specs = task_specs(
        split_commas(dataset), factors, cut.protocol, cut.split_seed, cut.image_size, cut.n_max
    )
    request = search_request(
        method, specs, source, results, seed, settings, budget, strategy, resources, drawn
    )
    if dry_run:
        print_plan(request)
        return
    from lmd_bench.search.run import run_search

    raise typer.Exit(run_search(request).exit_code)


@app.command()
@expanded
def confirm(
    key: Annotated[list[str], typer.Argument(help="Keys of search rows; their beginning will do.")],
    data: DataOptions,
    split_dir: Annotated[
        Path | None, typer.Option(help="Folder of published splits, as the search read it.")
    ] = None,
    results: Results = RESULTS,
) -> None:
    """Retrain the configs of search trials on the task's confirmation seeds, and judge on test."""
    from lmd_bench.cli.progress import epoch_bars
    from lmd_bench.experiments.confirm import confirm as confirmed

    source, all_well = data.source(split_dir), True
    with epoch_bars() as on_epoch:
        for row in confirmed(results.resolve(), key, source, command_line(), on_epoch):
            _print_confirmation(row)
            all_well &= row["status"] == "ok"
    if not all_well:
        raise typer.Exit(1)


def search_request(
    method: list[str],
    specs: "Iterable[TaskSpec]",
    source: "DataSource",
    results: Path,
    seed: int,
    settings: list[str] | None,
    budget: Budget,
    strategy: Strategy,
    resources: Resources,
    drawn: Drawn,
) -> "SearchRequest":
    """Return the search that options ask for, on tasks whose images are prepared on the way.

    Raises:
        UserError: unknown methods, settings or ranges, or data that cannot give a task.
    """
    from lmd_bench.cli.parsing import split_commas
    from lmd_bench.data.build import build_tasks
    from lmd_bench.methods.catalogue import resolve_methods
    from lmd_bench.methods.space import parse_settings
    from lmd_bench.search.proposing.points import read_points, read_warm_start
    from lmd_bench.search.proposing.ranges import parse_ranges
    from lmd_bench.search.request import SearchRequest

    chosen = resolve_methods(split_commas(method))
    earlier = drawn.warm_start
    return SearchRequest(
        methods=chosen,
        overrides=parse_settings(settings or []),
        tasks=build_tasks(specs, source),
        results=results.resolve(),
        seed=seed,
        ranges=parse_ranges(drawn.range or [], chosen),
        source=source,
        points=read_points(drawn.points) if drawn.points else (),
        warm_start=read_warm_start(earlier, results, chosen) if earlier else {},
        command=command_line(),
        **budget.fields(),
        **strategy.fields(),
        **resources.fields(),
    )


def print_plan(request: "SearchRequest") -> None:
    """Print what a search would run for a request; nothing is started or written."""
    from lmd_bench.search.plan import plan_of

    outline = plan_of(request)
    console = Console(highlight=False)
    for task, studies in groupby(outline.studies, key=lambda study: study.task):
        console.print(_plan_table(task, studies))
    if request.hours:
        console.print(
            f"Each study has {request.hours:g} hours; how many trials that makes is known once its "
            "first has run, so the numbers here are the least."
        )
    console.print(
        f"{'About' if request.hours else 'At most'} {outline.trials} search trials, "
        f"{outline.confirmations} confirmations and {outline.encoders} "
        f"encoders to train; {outline.stored} trials are stored."
    )


def _plan_table(task: str, studies: "Iterable[StudyPlan]") -> Table:
    heads = ("method", "stands on", "trials stored", "confirmations stored")
    table = Table(*heads, title=task, title_justify="left", box=SIMPLE_HEAD)
    for study in studies:
        trials = f"{study.done} of {study.budget}"
        confirmations = f"{study.confirmed} of {study.confirmations}"
        table.add_row(study.method, study.stands_on, trials, confirmations)
    return table


def _print_trial(row: "Row") -> None:
    console = Console(highlight=False)
    if row["status"] != "ok":
        console.print(f"[red]{row['status']}[/red]: {row['cause']}")
        return
    recall = ", ".join(
        f"{name} {100 * value:.0f}"
        for name, value in zip(row["class_names"], row["val_recall"], strict=True)
    )
    console.print(
        f"{row['method']} on {row['dataset']}, seed {row['seed']}: val balanced accuracy "
        f"{100 * row['val_balanced_accuracy']:.1f} %, macro-F1 {100 * row['val_macro_f1']:.1f} %, "
        f"many/medium/few recall {100 * row['val_many_recall']:.1f} / "
        f"{100 * row['val_medium_recall']:.1f} / {100 * row['val_few_recall']:.1f} % "
        f"(best stage-1 epoch {row['best_epoch']}, {row['seconds']:.0f} s)\n"
        f"recall by class, %: {recall}\nrow {row['key']}; test stays closed until a search's "
        "confirmation"
    )


def _print_confirmation(row: "Row") -> None:
    name = f"{row['method']} #{row['trial_number']}, seed {row['seed']}"
    console = Console(highlight=False)
    if row["status"] != "ok":
        console.print(f"{name}: {row['status']}, {row['cause']}", markup=False)
        return
    score = 100 * row["test_balanced_accuracy"]
    console.print(f"{name}: test balanced accuracy {score:.1f} %, row {row['key']}")
