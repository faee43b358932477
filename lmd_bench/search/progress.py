"""What a person sees of a running search: a live table, or lines where there is no terminal."""

import sys
import time
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lmd_bench.schema import Progress
from lmd_bench.search.jobs import Job, Row, ranked, value_of
from lmd_bench.search.plan import most_trials
from lmd_bench.search.queue import JobQueue
from lmd_bench.search.studies import Study


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


@dataclass(frozen=True)
class Totals:
    """How far a search is."""

    done: int
    total: int  # at most, while selected configs and offered encoders are not known
    seconds_left: float | None  # None until a trial has finished


def make_display() -> Display:
    """Return the live display on a terminal, else the one that prints lines."""
    console = Console(file=sys.stdout)  # this very stream: Ray's output is led away from sys.stdout
    return LiveDisplay(console) if console.is_terminal else LineDisplay(console)


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
        self._print(
            f"{len(queue.studies)} studies, at most {now.total} trials, {now.done} of them stored, "
            f"{n_slots} at a time"
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

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveDisplay:
    """Keeps a table of studies and one of running trials up to date."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._queue: JobQueue | None = None
        self._n_slots = 1
        self._began = time.monotonic()
        self._epochs: dict[str, tuple[str, Progress | None]] = {}  # running: name, last epoch
        self._studies: RenderableType = Text()  # drawn anew by the search, never by the clock
        self._totals = Totals(0, 0, None)

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

    def _refresh(self) -> None:
        assert self._queue is not None, "a display is opened first"
        self._totals = totals(self._queue, self._n_slots)
        self._studies = study_table(self._queue)

    def _render(self) -> RenderableType:
        # Runs on Rich's clock, in a thread of its own: it reads only what is replaced as a whole.
        elapsed = time.monotonic() - self._began
        left = self._totals.seconds_left
        foot = f"{self._totals.done} of at most {self._totals.total} trials · {clock(elapsed)} so far"
        foot += "" if left is None else f" · about {clock(left)} to go"
        return Group(self._studies, running_table(self._epochs), Text(foot))


def totals(queue: JobQueue, n_slots: int) -> Totals:
    """Return how far a search is; the time left goes by what its studies' trials took."""
    studies = list(queue.studies.values())
    rows = [row for study in studies for row in study.rows] + list(queue.confirmed.values())
    left = {study.spec.id: _trials_left(queue, study) for study in studies}
    total = len(rows) + sum(left.values())
    if not rows:
        return Totals(0, total, None)
    typical = sum(row["seconds"] for row in rows) / len(rows)
    seconds = 0.0
    for study in studies:
        own = [row["seconds"] for row in study.rows]
        seconds += left[study.spec.id] * (sum(own) / len(own) if own else typical)
    return Totals(len(rows), total, seconds / n_slots)


def study_table(queue: JobQueue) -> Table:
    """Return the table of studies."""
    table = Table("task", "method", "trials", "failed", "best val bal. acc.", "confirmed")
    for study in queue.studies.values():
        task, method, _ = study.spec.id.split("/")
        failed = sum(value_of(row) is None for row in study.rows)
        best = ranked(study.rows)[:1]
        jobs = queue.confirmations.get(study.spec.id)
        done = sum(job.key in queue.confirmed for job in jobs or ())
        table.add_row(
            task,
            method,
            f"{len(study.rows)}/{most_trials(queue, study)}",
            str(failed) if failed else "",
            f"{best[0]['val_balanced_accuracy']:.3f}" if best else "",
            f"{done}/{len(jobs)}" if jobs else "",
        )
    return table


def running_table(epochs: dict[str, tuple[str, Progress | None]]) -> Table:
    """Return the table of running trials."""
    table = Table("running", "stage", "epoch", "loss", "val bal. acc.")
    for name, progress in epochs.values():
        if progress is None:
            table.add_row(name, "starting")
            continue
        table.add_row(
            name,
            progress.stage,
            f"{progress.epoch}/{progress.n_epochs}",
            f"{progress.loss:.3f}",
            f"{progress.val_balanced_accuracy:.3f}",
        )
    return table


def job_name(job: Job) -> str:
    """Return a short name: method, trial and phase."""
    phase = "confirms " if job.spec.phase == "confirm" else ""
    default = " (default)" if job.context.is_default else ""
    return f"{job.spec.method} {phase}#{job.context.trial_number}{default}"


def describe(row: Row) -> str:
    """Return what became of a trial."""
    value = value_of(row)
    if value is None:
        return f"{row['status']}, {row['cause']} ({clock(row['seconds'])})"
    return f"val balanced accuracy {value:.3f} ({clock(row['seconds'])})"


def clock(seconds: float) -> str:
    """Return "4.2 s", "3 min 05 s" or "2 h 10 min"."""
    if not isfinite(seconds):
        return "?"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _trials_left(queue: JobQueue, study: Study) -> int:
    search = max(0, most_trials(queue, study) - len(study.rows))
    if not study.spec.requested or queue.blocked(study):
        return search
    jobs = queue.confirmations.get(study.spec.id)
    if jobs is None:
        return search + queue.request.confirm_seeds * min(2, most_trials(queue, study))
    return search + sum(job.key not in queue.confirmed for job in jobs)
