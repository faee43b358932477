"""The command line: parse, call, print. Heavy imports wait until a command needs them."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from lmd_bench.errors import UserError
from lmd_bench.options import (
    RESULTS,
    DataOptions,
    Dataset,
    Datasets,
    Epochs,
    Factor,
    Factors,
    ImageSize,
    Resources,
    Results,
    Seed,
    Settings,
    TaskOptions,
    expanded,
)

if TYPE_CHECKING:
    from lmd_bench.schema import TaskSpec

app = typer.Typer(
    name="lmd-bench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Fair, resumable benchmarking of long-tailed medical image classification.",
)


def main() -> NoReturn:
    """Run the command line; a UserError is one sentence on stderr and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


@app.command()
def datasets(name: Annotated[str | None, typer.Argument()] = None) -> None:
    """List the data sets: what is present, class counts, licence, how to get it."""
    from lmd_bench.dataset_listings import show_dataset, show_datasets

    if name is None:
        show_datasets()
    else:
        show_dataset(name)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument()] = None,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Show which pairs of stages make sense.")
    ] = False,
) -> None:
    """List the methods, or show one: its two stages, paper, search space and defaults."""
    from lmd_bench.method_listings import show_matrix, show_method, show_methods

    if matrix:
        show_matrix()
    elif name is None:
        show_methods()
    else:
        show_method(name)


@app.command()
@expanded
def prepare(
    dataset: Dataset,
    data: DataOptions,
    image_size: ImageSize = 64,
) -> None:
    """Decode and resize all images once, into the cache that every trial reads."""
    from lmd_bench.planning import prepare_dataset

    prepared = prepare_dataset(dataset, data.source(), image_size)
    missing = f", {prepared.n_missing} missing" if prepared.n_missing else ""
    print(
        f"{dataset}: {len(prepared.table)} images at {image_size} px{missing}; "
        f"fingerprint {prepared.fingerprint}, in {prepared.folder}"
    )


@app.command()
@expanded
def views(
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .jpg or .webp.")],
    data: DataOptions,
    image_size: ImageSize = 64,
    per_class: Annotated[int, typer.Option(min=1, help="Images of each class.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the images chosen and of their views.")] = 0,
) -> None:
    """Draw a contact sheet: what augmentation and mixing make of a few images of each class."""
    from lmd_bench.contact_sheet import write_contact_sheet
    from lmd_bench.planning import prepare_dataset

    prepared = prepare_dataset(dataset, data.source(), image_size)
    n_images = write_contact_sheet(prepared, out, per_class, seed)
    print(f"{dataset}: views of {n_images} images at {image_size} px, in {out}")


@app.command()
@expanded
def check(
    dataset: Dataset,
    data: DataOptions,
    cut: TaskOptions,
    imbalance_factor: Factor = "natural",
    split_out: Annotated[
        Path | None, typer.Option(help="New folder for the split, which --split-dir reads back.")
    ] = None,
) -> None:
    """Look for leaks, doubles, broken files and classes too small; exit code 1 if any is found."""
    from lmd_bench.checks.show import run_check

    spec = _one_task(dataset, imbalance_factor, cut)
    if not run_check(spec, data.source(cut.split_dir), split_out):
        raise typer.Exit(1)


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
        _one_task(dataset, imbalance_factor, cut),
        method,
        epochs,
        seed,
        settings or [],
        results.resolve(),
        data.source(cut.split_dir),
        _command(),
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
        command=_command(),
        **vars(resources),
    )
    if dry_run:
        from lmd_bench.search.plan import print_plan

        print_plan(request)
        return
    from lmd_bench.search.run import run_search

    raise typer.Exit(run_search(request).exit_code)


@app.command()
def status(results: Results = RESULTS) -> None:
    """Say how far the searches of a folder are; works from any machine that sees the folder."""
    from lmd_bench.status import show_status

    show_status(results)


@app.command()
def watch(
    results: Results = RESULTS,
    seconds: Annotated[float, typer.Option(min=0.5, help="Between two looks.")] = 5.0,
) -> None:
    """Keep the status of a folder's searches on the screen until Ctrl-C."""
    from lmd_bench import status

    status.watch(results, seconds)


@app.command()
def failures(results: Results = RESULTS) -> None:
    """List failed trials by cause, with a traceback of each."""
    from lmd_bench.failures import show_failures

    show_failures(results)


@app.command()
def doctor(
    results: Results = RESULTS,
    address: Annotated[
        str, typer.Option(help="Ray cluster whose nodes are looked at; `local`: this machine.")
    ] = "local",
) -> None:
    """Say whether trials would run here and on every node; exit code 1 if something is amiss."""
    from lmd_bench.search.doctor import run_doctor

    if not run_doctor(results.resolve(), address):
        raise typer.Exit(1)


@app.command()
def leaderboard(
    results: Results = RESULTS,
    format: Annotated[str, typer.Option(help="table, markdown, csv or json.")] = "table",
) -> None:
    """Print the methods of each task by mean test balanced accuracy over confirmation seeds."""
    from lmd_bench.leaderboard.tables import print_leaderboard

    print_leaderboard(results, format)


def _one_task(dataset: str, factor: str, cut: TaskOptions) -> "TaskSpec":
    from lmd_bench.planning import parse_factors, task_specs

    factors = parse_factors([factor])
    if len(factors) != 1:
        raise UserError(f"This command takes one imbalance factor, but '{factor}' came.")
    specs = task_specs([dataset], factors, cut.protocol, cut.split_seed, cut.image_size, cut.n_max)
    return specs[0]


def _command() -> str:
    return "lmd-bench " + shlex.join(sys.argv[1:])
