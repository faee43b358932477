"""How far a search is: numbers, and the tables that show them."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lmd_bench.core.name_table import name_table
from lmd_bench.core.schema import Progress
from lmd_bench.core.text import clock
from lmd_bench.search.jobs import Row, ranked, value_of
from lmd_bench.search.plan import most_trials
from lmd_bench.search.proposing.study import Study
from lmd_bench.search.queue import JobQueue


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
    rows = [row for study in studies for row in study.rows] + list(queue.confirmed.values())
    left = {study.spec.id: _trials_left(queue, study) for study in studies}
    waiting = [id for id in queue.confirmations if id not in left]  # fixed jobs, of no study
    n_fixed = sum(job.key not in queue.confirmed for i in waiting for job in queue.confirmations[i])
    total = len(rows) + sum(left.values()) + n_fixed
    limit = "about" if queue.request.hours else "at most"
    if not rows:
        return Totals(0, total, limit, None)
    typical = sum(row["seconds"] for row in rows) / len(rows)
    seconds = n_fixed * typical
    for study in studies:
        own = [row["seconds"] for row in study.rows]
        seconds += left[study.spec.id] * (sum(own) / len(own) if own else typical)
    return Totals(len(rows), total, limit, seconds / n_slots)


def study_tables(queue: JobQueue) -> Group:
    """Return a table of studies for each task, below the task's name; one of fixed jobs first."""
    parts: list[RenderableType] = []
    if any(id not in queue.studies for id in queue.confirmations):
        parts.append(_fixed_table(queue))
    for task, studies in groupby(queue.studies.values(), key=_task_of):
        parts += [Text(task, style="bold", overflow="fold"), _study_table(queue, studies)]
    return Group(*parts)


def _task_of(study: Study) -> str:
    return study.spec.id.split("/")[0]


def _fixed_table(queue: JobQueue) -> Table:
    """Return a table of the jobs that no study has proposed, by what they are for."""
    table = name_table("jobs", "failed", "done")
    for id, jobs in queue.confirmations.items():
        if id in queue.studies:
            continue
        done = [queue.confirmed[job.key] for job in jobs if job.key in queue.confirmed]
        failed = sum(value_of(row) is None for row in done)
        table.add_row(id, str(failed or ""), f"{len(done)}/{len(jobs)}")
    return table


def _study_table(queue: JobQueue, studies: Iterable[Study]) -> Table:
    heads = ("trials", "failed", "best val", "confirmed")
    table = name_table("method", *heads)
    for study in studies:
        failed = sum(value_of(row) is None for row in study.rows)
        best = ranked(study.rows)[:1]
        jobs = queue.confirmations.get(study.spec.id)
        done = sum(job.key in queue.confirmed for job in jobs or ())
        table.add_row(
            study.spec.method.name,
            f"{len(study.rows)}/{most_trials(queue, study)}",
            str(failed) if failed else "",
            f"{best[0]['val_balanced_accuracy']:.3f}" if best else "",
            f"{done}/{len(jobs)}" if jobs else "",
        )
    return table


def running_table(epochs: dict[str, tuple[str, Progress | None]]) -> Table:
    """Return the table of running trials."""
    table = name_table("running", "stage", "epoch", "loss", "val")
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
    jobs = queue.confirmations.get(study.spec.id)
    if jobs is None:
        return search + queue.request.confirm_seeds * min(2, most_trials(queue, study))
    return search + sum(job.key not in queue.confirmed for job in jobs)
