"""Commands that train: one trial by hand, or a search."""

from pathlib import Path
from typing import Annotated

import typer

from lmd_bench.commands.app import app, command_line, one_task
from lmd_bench.options import (
    RESULTS,
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
    imbalance_factor: Factors = None,
    trials: Annotated[
        int, typer.Option(help="Trials of each study, the default config first.")
    ] = 8,
    epochs: Epochs = 10,
    confirm_seeds: Annotated[
        int, typer.Option(help="Fresh seeds that the chosen and default configs are retrained on.")
    ] = 3,
    seed: Seed = 0,
    top_k: Annotated[
        int, typer.Option(help="Encoders, best on val, that a calibration may stand on.")
    ] = 3,
    sampler: Annotated[
        str, typer.Option(help="tpe, random, cmaes, gp or qmc; equal for all studies.")
    ] = "tpe",
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same trials at any concurrency.")
    ] = False,
    settings: Settings = None,
    range: Annotated[
        list[str] | None,
        typer.Option(help="Search section.key=low:high (or one,another) instead; repeat."),
    ] = None,
    points: Annotated[
        Path | None, typer.Option(help="YAML list of configs to try right after the default.")
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
        n_trials=trials,
        n_epochs=epochs,
        confirm_seeds=confirm_seeds,
        seed=seed,
        sampler=sampler,
        deterministic=deterministic,
        top_k=top_k,
        overrides=overrides,
        ranges=parse_ranges(range or [], chosen),
        source=source,
        points=read_points(points) if points else (),
        command=command_line(),
        **vars(resources),
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
