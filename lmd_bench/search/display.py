"""What a person sees of a running search: a live table, or lines where there is no terminal."""

import sys
import time
from typing import Protocol, runtime_checkable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from lmd_bench.core.schema import Progress
from lmd_bench.core.text import clock
from lmd_bench.search.jobs import Job, Row, job_name
from lmd_bench.search.overview import Totals, describe, running_table, study_tables, totals
from lmd_bench.search.queue import JobQueue


@runtime_checkable
class Display(Protocol):
    """Is told what happens in a search."""

    def open(self, queue: JobQueue, n_slots: int) -> None:
        """Begin, with what the store already holds."""
        ...

    def started(self, job: Job) -> None:
        """Show that a trial was handed out."""
        ...

    def advanced(self, job: Job, progress: Progress) -> None:
        """Show an epoch of a trial."""
        ...

    def finished(self, job: Job, row: Row | None) -> None:
        """Show the row of a trial; None for one that was lost and put back."""
        ...

    def close(self) -> None:
        """End."""
        ...

    def note(self, text: str) -> None:
        """Say something that is not about one trial."""
        ...


def make_display(verbose: bool = False, *, on_stderr: bool = False) -> Display:
    """Return the live display on a terminal, else, or where others print too, that of lines."""
    if on_stderr:  # stdout is for a program
        return LineDisplay(Console(file=sys.stderr))
    console = Console(file=sys.stdout)  # this very stream: Ray's output is led away from sys.stdout
    return LiveDisplay(console) if console.is_terminal and not verbose else LineDisplay(console)


class LineDisplay:
    """Prints a line for each finished trial."""

    def __init__(self, console: Console) -> None:
        """Print to `console`."""
        self._console = console
        self._queue: JobQueue | None = None
        self._n_slots = 1

    def open(self, queue: JobQueue, n_slots: int) -> None:
        """Say what is stored and what is to come."""
        self._queue, self._n_slots = queue, n_slots
        now = totals(queue, n_slots)
        studies = f"{len(queue.studies)} studies, " if queue.studies else ""
        self._print(
            f"{studies}{now.limit} {now.total} trials, {now.done} of them "
            f"stored, {n_slots} at a time"
        )

    def started(self, job: Job) -> None:
        """Print nothing."""

    def advanced(self, job: Job, progress: Progress) -> None:
        """Print nothing."""

    def finished(self, job: Job, row: Row | None) -> None:
        """Print what became of a trial."""
        assert self._queue is not None, "a display is opened first"
        now = totals(self._queue, self._n_slots)
        outcome = "lost with its worker, put back" if row is None else describe(row)
        self._print(f"[{now.done}/{now.total}] {job_name(job)}: {outcome}")

    def close(self) -> None:
        """Print nothing."""

    def note(self, text: str) -> None:
        """Print a sentence."""
        self._print(text)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """Keeps a table of studies and one of running trials up to date."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        self._queue: JobQueue | None = None
        self._n_slots = 1
        self._began = time.monotonic()
        self._epochs: dict[str, tuple[str, Progress | None]] = {}  # running: name, last epoch
        self._studies: RenderableType = Text()  # drawn anew by the search, never by the clock
        self._totals = Totals(0, 0, "at most", None)
        self._live = Live(  # draws at once, so it comes last
            console=console,
            get_renderable=self._render,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def open(self, queue: JobQueue, n_slots: int) -> None:
        """Show what is stored."""
        self._queue, self._n_slots = queue, n_slots
        self._epochs = {}
        self._refresh()
        self._live.start()

    def started(self, job: Job) -> None:
        """Add a running trial."""
        self._epochs = {**self._epochs, job.key: (job_name(job), None)}
        self._refresh()

    def advanced(self, job: Job, progress: Progress) -> None:
        """Show an epoch."""
        self._epochs = {**self._epochs, job.key: (job_name(job), progress)}

    def finished(self, job: Job, row: Row | None) -> None:
        """Take a trial from the running ones."""
        self._epochs = {key: shown for key, shown in self._epochs.items() if key != job.key}
        self._refresh()

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._epochs = {}
        self._live.stop()

    def note(self, text: str) -> None:
        """Print a sentence, above the tables while they are live."""
        self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _refresh(self) -> None:
        assert self._queue is not None, "a display is opened first"
        self._totals = totals(self._queue, self._n_slots)
        self._studies = study_tables(self._queue)

    def _render(self) -> RenderableType:
        # Runs on Rich's clock, in a thread of its own: it reads only what is replaced as a whole.
        now, left = self._totals, self._totals.seconds_left
        line = f"{now.done} of {now.limit} {now.total} trials · "
        line += f"{clock(time.monotonic() - self._began)} so far"
        line += "" if left is None else f" · about {clock(left)} to go"
        # The studies come last: a terminal that is too low for all of them cuts off the end.
        running = [running_table(self._epochs)] if self._epochs else []
        return Group(Text(line), *running, self._studies)
