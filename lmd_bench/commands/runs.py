"""Commands that train: one trial by hand, or a search."""

from pathlib import Path
from typing import Annotated

import typer

from lmd_bench.commands.app import app, command_line, one_task
from lmd_bench.options import (
    RESULTS,
    Budget,
    DataOptions,
    Dataset,
    Datasets,
    Epochs,
    Factor,
    Factors,
    Resources,
    Results,
    Seed,
    Settings,
    Strategy,
    TaskOptions,
    expanded,
)


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
    from lmd_bench.single import train_one

    row = train_one(
        one_task(dataset, imbalance_factor, cut),
        method,
        epochs,
        seed,
        settings or [],
        results.resolve(),
        data.source(cut.split_dir),
        command_line(),
    )
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
    imbalance_factor: Factors = None,
    seed: Seed = 0,
    settings: Settings = None,
    range: Annotated[
        list[str] | None,
        typer.Option(help="Search section.key=low:high (or one,another) instead; repeat."),
    ] = None,
    points: Annotated[
        Path | None, typer.Option(help="YAML list of configs to try right after the default.")
    ] = None,
    warm_start: Annotated[
        Path | None, typer.Option(help="Earlier results folder, whose best configs come next.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and start no trial.")
    ] = False,
    results: Results = RESULTS,
) -> None:
    """Search hyperparameters of methods on tasks, then confirm the chosen ones on test."""
    from lmd_bench.planning import build_tasks, parse_factors, split_commas, task_specs
    from lmd_bench.search.points import read_points
    from lmd_bench.search.ranges import parse_ranges
    from lmd_bench.search.request import SearchRequest
    from lmd_bench.search.warm_start import read_warm_start
    from lmd_bench.search_space import parse_settings, resolve_methods

    source = data.source(cut.split_dir)
    chosen = resolve_methods(split_commas(method))
    overrides = parse_settings(settings or [])
    factors = parse_factors(imbalance_factor or ["natural"])
    specs = task_specs(
        split_commas(dataset), factors, cut.protocol, cut.split_seed, cut.image_size, cut.n_max
    )
    request = SearchRequest(
        methods=chosen,
        tasks=build_tasks(specs, source),
        results=results.resolve(),
        seed=seed,
        overrides=overrides,
        ranges=parse_ranges(range or [], chosen),
        source=source,
        points=read_points(points) if points else (),
        warm_start=read_warm_start(warm_start, results, chosen) if warm_start else {},
        command=command_line(),
        **budget.fields(),
        **strategy.fields(),
        **resources.fields(),
    )
    if dry_run:
        from lmd_bench.search.plan import print_plan

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
    from lmd_bench.confirm import confirm as confirm_rows

    if not confirm_rows(results.resolve(), key, data.source(split_dir), command_line()):
        raise typer.Exit(1)
