"""The progress bars of what runs in this process, on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from lmd_bench.core.schema import OnEpoch, Progress


@contextmanager
def epoch_bars() -> Iterator[OnEpoch]:
    """Show one bar for each stage of a trial; give what is to be told of each epoch."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        of_stage: dict[str, TaskID] = {}

        def show(point: Progress) -> None:
            if point.stage not in of_stage:
                of_stage[point.stage] = bars.add_task(point.stage, total=point.n_epochs, facts="")
            facts = f"loss {point.loss:.3f}  val {100 * point.val_balanced_accuracy:.1f} %"
            bars.update(of_stage[point.stage], completed=point.epoch, facts=facts)

        yield show
