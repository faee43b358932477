"""From what a person typed to built tasks: lists, imbalance factors, prepared images."""

from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lmd_bench.core import machine as hardware
from lmd_bench.core.errors import UserError, unknown
from lmd_bench.core.schema import DataSource, TaskSpec
from lmd_bench.data import datasets
from lmd_bench.data.images import prepare as images
from lmd_bench.data.images.prepare import PreparedImages
from lmd_bench.data.tasks.protocols import PROTOCOLS
from lmd_bench.data.tasks.task import build_task

NATURAL = "natural"


def task_specs(
    names: Iterable[str],
    factors: Iterable[float | None],
    protocol: str,
    split_seed: int,
    image_size: int,
    n_max: int | None,
) -> list[TaskSpec]:
    """Return the tasks of every data set at every factor.

    Raises:
        UserError: an unknown data set or protocol.
    """
    if protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS)
    factors = list(factors)
    return [
        TaskSpec(datasets.load(name).card.name, protocol, factor, split_seed, image_size, n_max)
        for name in names
        for factor in factors
    ]


def prepare_dataset(name: str, source: DataSource, image_size: int) -> PreparedImages:
    """Return the prepared images of a data set, made now with a progress bar where needed."""
    card = datasets.load(name).card
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True, console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"Preparing {card.name} at {image_size} px", total=None)
        return images.prepare(
            card.name,
            source,
            image_size,
            n_threads=hardware.n_cores(),
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )


def build_tasks(specs: Iterable[TaskSpec], source: DataSource) -> tuple[tuple[TaskSpec, str], ...]:
    """Return each task with its fingerprint; the images are prepared on the way.

    Raises:
        UserError: data that are absent, or that cannot give a task.
    """
    specs = list(specs)
    several = len({spec.dataset for spec in specs}) > 1
    if source.split_dir is not None and several:
        raise UserError(
            "--split-dir names the splits of one data set, but several were asked for; run one "
            "search for each, with the same --results."
        )
    if source.root is not None and several:
        raise UserError(
            "--data-root names the folder of one data set, but several were asked for; put them "
            "below one folder under their names and set LMD_BENCH_DATA to it."
        )
    built: list[tuple[TaskSpec, str]] = []
    for spec in specs:
        prepared = prepare_dataset(spec.dataset, source, spec.image_size)
        task = build_task(prepared.table, spec, prepared.fingerprint, source)
        built.append((spec, task.fingerprint))
    return tuple(built)


def check_tasks(tasks: Iterable[tuple[TaskSpec, str]], source: DataSource) -> None:
    """Check that the data here are those that rows were made from.

    Args:
        tasks: each with the fingerprint that its rows have.
        source: where the data lie on this machine.

    Raises:
        UserError: they give another task.
    """
    for spec, expected in tasks:
        ((_, fingerprint),) = build_tasks([spec], source)
        if fingerprint != expected:
            raise UserError(
                f"The data of {spec.dataset} here give task {fingerprint}, but the rows are of "
                f"{expected}; give the files that the search read, with --data-root."
            )
