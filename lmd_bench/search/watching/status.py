"""How far the searches of a results folder are, from its files alone: no driver, torch or Ray."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import JUDGED_ON_TEST, Row
from lmd_bench.search.watching.traces import (
    PlannedStudy,
    SearchTrace,
    Sign,
    read_searches,
    read_signs,
)
from lmd_bench.store.following import Follower
from lmd_bench.store.store import open_store

# Of a row: all that is asked here, so that 100,000 of them are read in a moment.
COLUMNS = ("key", "study", "phase", "status", "val_balanced_accuracy", "seconds")


@dataclass(frozen=True)
class StudyStatus:
    """How far one study is."""

    plan: PlannedStudy
    done: int
    failed: int
    pruned: int
    running: int
    confirmed: int
    best: float | None  # val balanced accuracy of the search
    seconds: float  # all its rows have cost

    @property
    def left(self) -> int:
        """Return the trials and confirmations to come, at most."""
        search = max(0, self.plan.trials - self.done)
        return search + max(0, self.plan.confirmations - self.confirmed)


@dataclass(frozen=True)
class Status:
    """How far a search is."""

    trace: SearchTrace
    studies: tuple[StudyStatus, ...]
    signs: tuple[Sign, ...]  # of running trials

    @property
    def done(self) -> int:
        """Return the rows that are there."""
        return sum(study.done + study.confirmed for study in self.studies)

    @property
    def seconds_left(self) -> float | None:
        """Return the time to go by what rows have cost so far; None before the first."""
        left = sum(study.left for study in self.studies)
        if self.done == 0:
            return None
        return left * sum(study.seconds for study in self.studies) / self.done / self.trace.n_slots


def follower(results: Path) -> Follower:
    """Return what reads a folder's rows for `read_status`, each file once however often it looks.

    Raises:
        UserError: there are no results.
    """
    return Follower(open_store(results), COLUMNS)


def read_status(results: Path, rows: Follower | None = None) -> list[Status]:
    """Return the state of each search of a folder, the latest last.

    Args:
        results: The folder.
        rows: Of it, where it is looked at again and again.

    Raises:
        UserError: there are no results, or no search left its plan.
    """
    statuses = status(results, (rows or follower(results)).table().to_pylist())
    if not statuses:
        raise UserError(
            f"No search has left its plan in {results}; start one with lmd-bench search, or name "
            "another folder with --results."
        )
    return statuses


def open_studies(results: Path) -> set[str]:
    """Return the studies of all searches of a folder that still lack rows."""
    rows = open_store(results).scan(COLUMNS).table.to_pylist()
    return {
        study.plan.id
        for search in status(results, rows)
        for study in search.studies
        if study.left or study.running
    }


def status(results: Path, rows: Sequence[Row]) -> list[Status]:
    """Return the state of each search of a folder, the latest last; `rows` are its store's."""
    by_study: dict[str, list[Row]] = {}
    for row in rows:
        by_study.setdefault(row["study"], []).append(row)
    signs = read_signs(results)
    statuses: list[Status] = []
    for trace in read_searches(results):
        ids = {study.id for study in trace.studies}
        # A killed worker leaves its sign of life behind, though its trial may have its row by now.
        done = {row["key"] for id in ids for row in by_study.get(id, [])}
        own = tuple(sign for sign in signs if sign.study in ids and sign.key not in done)
        studies = tuple(_study(plan, by_study.get(plan.id, []), own) for plan in trace.studies)
        statuses.append(Status(trace, studies, own))
    return statuses


def _study(plan: PlannedStudy, rows: Sequence[Row], signs: Sequence[Sign]) -> StudyStatus:
    searched = [row for row in rows if row["phase"] == "search"]
    values = [row["val_balanced_accuracy"] for row in searched if row["status"] == "ok"]
    judged = [value for value in values if value is not None and isfinite(value)]
    return StudyStatus(
        plan=plan,
        done=len(searched),
        failed=sum(row["status"] not in ("ok", "pruned") for row in rows),
        pruned=sum(row["status"] == "pruned" for row in rows),
        running=sum(sign.study == plan.id for sign in signs),
        confirmed=sum(row["phase"] in JUDGED_ON_TEST for row in rows),
        best=max(judged, default=None),
        seconds=float(sum(row["seconds"] for row in rows)),
    )
