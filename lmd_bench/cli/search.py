"""Commands that train: one trial by hand, or a search."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from lmd_bench.cli.app import app, command_line, one_task
from lmd_bench.cli.option_groups import expanded
from lmd_bench.cli.options import RESULTS, Dataset, Epochs, Factor, Results, Seed, Settings
from lmd_bench.core.tables import add_plain_row
from lmd_bench.core.text import natural_order
from lmd_bench.data.options import DataOptions, TaskOptions
from lmd_bench.search.options import SearchOptions

if TYPE_CHECKING:
    from lmd_bench.core.schema import Row
    from lmd_bench.search.disk import Disk
    from lmd_bench.search.plan import StudyPlan
    from lmd_bench.search.proposing.portfolio import Portfolio
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
    from lmd_bench.cli.progress import epoch_bars, image_progress
    from lmd_bench.training.single import train_one

    with image_progress() as on_images, epoch_bars() as on_epoch:
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
            on_images,
        )
    _print_trial(row)
    if row["status"] != "ok":
        raise typer.Exit(1)


@app.command()
@expanded
def search(
    options: SearchOptions,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and start no trial.")
    ] = False,
) -> None:
    """Search hyperparameters of methods on tasks, then confirm the chosen ones on test."""
    from lmd_bench.cli.progress import image_progress
    from lmd_bench.data.build import source_notes

    with image_progress() as progress:
        request = options.request(command=command_line(), progress=progress)
    names = dict.fromkeys(task.dataset for task, _ in request.tasks)
    for note in source_notes(names, request.source):
        typer.echo(f"Note: {note}.", err=True)
    requests = options.by_seed(request)
    if dry_run:
        for repeat in requests:
            print_plan(repeat)
        return
    from lmd_bench.search.run import run_repeats

    with image_progress() as progress:
        outcome = run_repeats(requests, progress=progress)
    raise typer.Exit(outcome.exit_code)


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
    from lmd_bench.cli.progress import epoch_bars, image_progress
    from lmd_bench.experiments.confirm import confirm as confirmed

    source, all_well = data.source(split_dir), True
    with image_progress() as on_images, epoch_bars() as on_epoch:
        for row in confirmed(results.resolve(), key, source, command_line(), on_epoch, on_images):
            _print_confirmation(row)
            all_well &= row["status"] == "ok"
    if not all_well:
        raise typer.Exit(1)


def print_plan(request: "SearchRequest") -> None:
    """Print what a search would run for a request; nothing is started or written."""
    from lmd_bench.search.plan import plan_of
    from lmd_bench.search.proposing.samplers import LEARNS_FROM, MODELS
    from lmd_bench.store.cleaning import free_bytes

    outline = plan_of(request)
    console = Console(highlight=False, emoji=False)
    for task, studies in groupby(outline.studies, key=lambda study: study.task):
        console.print(_plan_table(task, studies))
    if request.hours:
        console.print(
            f"Each stage has {request.hours:g} hours; how many trials that makes is known once its "
            "first has run, so the numbers here are the least."
        )
    shares = {study.n_shares for study in outline.studies}
    if max(shares) > 1:
        n, unit = (request.hours, "hours") if request.hours else (request.n_trials, "trials")
        console.print(
            f"A method of one stage has {2 * n:g} {unit}, as many as both stages of others "
            f"together (--budget total). Calibrations choose among the encoders of the first {n:g}."
        )
    if request.portfolio is not None and request.portfolio.source:
        for line in _portfolio_lines(request.portfolio, outline.studies):
            console.print(line, markup=False)
    n_trials = request.n_trials
    if request.sampler in MODELS and not request.hours and n_trials < LEARNS_FROM:
        learns = max(shares) * n_trials >= LEARNS_FROM
        which = f"{n_trials} of a stage of two" if learns else "of each study"
        console.print(
            f"{request.sampler} does not begin below {LEARNS_FROM} trials: all "
            f"{which}, after the default, are drawn at random."
        )
    console.print(
        f"{'About' if request.hours else 'At most'} {outline.trials} search trials, "
        f"{outline.confirmations} confirmations and {outline.encoders} "
        f"encoders to train; {outline.stored} trials are stored."
    )
    if outline.disk is not None and outline.disk.n_files:
        console.print(_disk_line(outline.disk, free_bytes(request.results), request.keep_encoders))


def _portfolio_lines(portfolio: "Portfolio", studies: "Sequence[StudyPlan]") -> list[str]:
    """Return which configurations of a portfolio are tried, those that studies share once."""
    tried: dict[str, tuple[StudyPlan, int]] = {}
    for study in studies:
        if study.from_portfolio:
            text = repr((study.method, study.from_portfolio))
            tried[text] = study, tried.get(text, (study, 0))[1] + 1
    if not tried:
        # Of the shipped one nobody asked for anything.
        none = f"The portfolio {portfolio.source} has nothing for these studies."
        return [] if portfolio.is_shipped else [none]
    lines = [
        "Right after the default, and counted in the trials, come configurations of the portfolio "
        f"{portfolio.source} (--points none goes without):"
    ]
    for study, n_studies in tried.values():
        n = len(study.from_portfolio)
        tasks = f", in each of {n_studies} studies" if n_studies > 1 else ""
        lines.append(f"{study.method}: {n} configuration{'s' if n > 1 else ''}{tasks}")
        lines += [
            "  " + ", ".join(f"{key}={value}" for key, value in config.items())
            for config in study.from_portfolio
        ]
    return lines


def _disk_line(disk: "Disk", free: int, keep: str) -> str:
    each = f", {disk.encoder_bytes / 1e6:.0f} MB an encoder" if disk.encoder_bytes else ""
    line = f"They take up to {disk.n_bytes / 1e9:.1f} GB in {disk.n_files} files{each}"
    if disk.encoder_bytes and keep != "all":
        line += f"; --keep-encoders {keep} drops some of it at the end of each study"
    line += f". {free / 1e9:.1f} GB are free."
    if disk.n_bytes > free:
        line += " That may not do: take fewer trials, or --results on a larger disk."
    return line


def _plan_table(task: str, studies: "Iterable[StudyPlan]") -> Table:
    # Names are never cut: which method it is may be at their end.
    names = [Column(head, overflow="fold") for head in ("method", "stands on")]
    numbers = [Column(head, no_wrap=True) for head in ("trials stored", "confirmed")]
    title = Text(task, style="table.title")
    table = Table(*names, *numbers, title=title, title_justify="left", box=SIMPLE_HEAD)
    for study in studies:
        trials = f"{study.done} of {study.budget}"
        confirmations = f"{study.confirmed} of {study.confirmations}"
        add_plain_row(table, study.method, study.stands_on, trials, confirmations)
    return table


def _print_trial(row: "Row") -> None:
    console = Console(highlight=False, emoji=False)
    if row["status"] != "ok":
        console.print(f"[red]{row['status']}[/red]:", end=" ")
        console.print(row["cause"], markup=False)
        return
    names, recalls = row["class_names"], row["val_recall"]
    recall = ", ".join(f"{names[i]} {100 * recalls[i]:.0f}" for i in natural_order(names))
    console.print(
        f"{row['method']} on {row['dataset']}, seed {row['seed']}: val balanced accuracy "
        f"{100 * row['val_balanced_accuracy']:.1f} %, macro-F1 {100 * row['val_macro_f1']:.1f} %, "
        f"many/medium/few recall {100 * row['val_many_recall']:.1f} / "
        f"{100 * row['val_medium_recall']:.1f} / {100 * row['val_few_recall']:.1f} % "
        f"(best stage-1 epoch {row['best_epoch']}, {row['seconds']:.0f} s)\n"
        f"recall by class, %: {recall}\nrow {row['key']}; test stays closed until a search's "
        "confirmation",
        markup=False,
    )


def _print_confirmation(row: "Row") -> None:
    name = f"{row['method']} #{row['trial_number']}, seed {row['seed']}"
    console = Console(highlight=False, emoji=False)
    if row["status"] != "ok":
        console.print(f"{name}: {row['status']}, {row['cause']}", markup=False)
        return
    score = 100 * row["test_balanced_accuracy"]
    console.print(f"{name}: test balanced accuracy {score:.1f} %, row {row['key']}")
