"""The progress bars of what runs in this process, on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isnan

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars

from lmd_bench.core.schema import OnEpoch, Progress
from lmd_bench.data.build import OnImages
from lmd_bench.data.download import OnBytes


@contextmanager
def epoch_bars() -> Iterator[OnEpoch]:
    """Show one bar for each stage of a trial; give what is to be told of each epoch."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    of_stage: dict[str, TaskID] = {}
    bars = Bars(*columns, console=Console(stderr=True))

    def show(point: Progress) -> None:
        # Not from the start: the bar of images that are prepared before may be drawn until now.
        bars.start()
        if point.stage not in of_stage:
            of_stage[point.stage] = bars.add_task(point.stage, total=point.n_epochs, facts="")
        value = point.val_balanced_accuracy
        val = "" if isnan(value) else f"  val {100 * value:.1f} %"
        facts = f"loss {point.loss:.3f}{val}"
        bars.update(of_stage[point.stage], completed=point.epoch, facts=facts)

    try:
        yield show
    finally:
        if of_stage:
            bars.stop()


@contextmanager
def image_progress(what: str = "Preparing") -> Iterator[OnImages]:
    """Give what draws a bar while images are decoded, and at no other time.

    Args:
        what: is done with them.
    """
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    of_dataset: dict[str, TaskID] = {}
    bars = Bars(*columns, transient=True, console=Console(stderr=True))

    def show(name: str, done: int, total: int) -> None:
        # Not from the start: where the cache holds the images nothing is drawn, and what runs
        # afterwards may draw a display of its own.
        if name not in of_dataset:
            bars.start()
            of_dataset[name] = bars.add_task(f"{what} {name}", total=total)
        bars.update(of_dataset[name], completed=done)
        if done == total:
            bars.stop()
            bars.remove_task(of_dataset.pop(name))

    try:
        yield show
    finally:
        bars.stop()


@contextmanager
def byte_progress() -> Iterator[OnBytes]:
    """Give what draws a bar for each file that is fetched."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    of_file: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True)) as bars:

        def show(name: str, done: int, total: int) -> None:
            if name not in of_file:
                of_file[name] = bars.add_task(name)
            bars.update(of_file[name], completed=done, total=total or None)

        yield show
