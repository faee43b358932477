"""What a person sees of a running search: a live table, or lines where there is no terminal."""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, runtime_checkable

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from lmd_bench.core.schema import Progress
from lmd_bench.core.tables import add_plain_row
from lmd_bench.core.text import clock
from lmd_bench.search.jobs import Job, Row, job_name, ranked, value_of
from lmd_bench.search.plan import most_trials
from lmd_bench.search.proposing.study import Study
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


@dataclass(frozen=True)
class Totals:
    """How far a search is."""

    done: int
    total: int  # at most, while selected configs and offered encoders are not known
    limit: str  # "at most", or "about" where hours are the budget
    seconds_left: float | None  # None until a trial has finished


def totals(queue: JobQueue, n_slots: int) -> Totals:
    """Return how far a search is; the time left goes by what its studies' trials took."""
    studies = list(queue.studies.values())
    rows = [row for study in studies for row in study.rows] + list(queue.retrained.values())
    left = {study.spec.id: _trials_left(queue, study) for study in studies}
    waiting = [id for id in queue.retrainings if id not in left]  # fixed jobs, of no study
    n_fixed = sum(job.key not in queue.retrained for i in waiting for job in queue.retrainings[i])
    total = len(rows) + sum(left.values()) + n_fixed
    limit = "about" if queue.request.hours else "at most"
    if not rows:
        return Totals(0, total, limit, None)
    # What failed at once says nothing of what is to come.
    rows_of_cost = [row for row in rows if row["status"] in ("ok", "pruned")] or rows
    typical = sum(row["seconds"] for row in rows_of_cost) / len(rows_of_cost)
    seconds = n_fixed * typical
    for study in studies:
        own = [row["seconds"] for row in study.rows if row["status"] in ("ok", "pruned")]
        seconds += left[study.spec.id] * (sum(own) / len(own) if own else typical)
    return Totals(len(rows), total, limit, seconds / n_slots)


def study_tables(queue: JobQueue) -> Group:
    """Return a table of studies for each task, below the task's name; one of fixed jobs first."""
    parts: list[RenderableType] = []
    if any(id not in queue.studies for id in queue.retrainings):
        parts.append(_fixed_table(queue))
    for task, studies in groupby(queue.studies.values(), key=lambda study: study.spec.task_name):
        parts += [Text(task, style="bold", overflow="fold"), _study_table(queue, studies)]
    return Group(*parts)


def _fixed_table(queue: JobQueue) -> Table:
    """Return a table of the jobs that no study has proposed, by what they are for."""
    table = _name_table("jobs", "failed", "done")
    for id, jobs in queue.retrainings.items():
        if id in queue.studies:
            continue
        done = [queue.retrained[job.key] for job in jobs if job.key in queue.retrained]
        failed = sum(value_of(row) is None for row in done)
        add_plain_row(table, id, str(failed or ""), f"{len(done)}/{len(jobs)}")
    return table


def _study_table(queue: JobQueue, studies: Iterable[Study]) -> Table:
    heads = ("trials", "failed", "best val", "confirmed")
    table = _name_table("method", *heads)
    for study in studies:
        failed = sum(value_of(row) is None for row in study.rows)
        best = ranked(study.rows)[:1]
        jobs = queue.retrainings.get(study.spec.id)
        done = sum(job.key in queue.retrained for job in jobs or ())
        add_plain_row(
            table,
            study.spec.method.name,
            f"{len(study.rows)}/{most_trials(queue, study)}",
            str(failed) if failed else "",
            f"{best[0]['val_balanced_accuracy']:.3f}" if best else "",
            f"{done}/{len(jobs)}" if jobs else "",
        )
    return table


def running_table(epochs: dict[str, tuple[str, Progress | None]]) -> Table:
    """Return the table of running trials."""
    table = _name_table("running", "stage", "epoch", "loss", "val")
    for name, progress in epochs.values():
        if progress is None:
            add_plain_row(table, name, "starting")
            continue
        add_plain_row(
            table,
            name,
            progress.stage,
            f"{progress.epoch}/{progress.n_epochs}",
            f"{progress.loss:.3f}",
            f"{progress.val_balanced_accuracy:.3f}",
        )
    return table


def _name_table(names: str, *heads: str) -> Table:
    """Return an empty table: a column of names, then columns of short values that stay whole."""
    short = [Column(head, no_wrap=True) for head in heads]
    return Table(Column(names, overflow="fold"), *short, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def describe(row: Row) -> str:
    """Return what became of a trial."""
    value = value_of(row)
    if value is None:
        return f"{row['status']}, {row['cause']} ({clock(row['seconds'])})"
    return f"val balanced accuracy {value:.3f} ({clock(row['seconds'])})"


def _trials_left(queue: JobQueue, study: Study) -> int:
    search = max(0, most_trials(queue, study) - len(study.rows))
    if not study.spec.requested or queue.blocked(study):
        return search
    jobs = queue.retrainings.get(study.spec.id)
    if jobs is None:
        return search + queue.request.confirm_seeds * min(2, most_trials(queue, study))
    return search + sum(job.key not in queue.retrained for job in jobs)
