"""How far the searches of a results folder are, from its files alone: no driver, torch or Ray."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from lmd_bench.core.errors import UserError
from lmd_bench.core.schema import JUDGED_ON_TEST, Row
from lmd_bench.core.text import clock, name_table
from lmd_bench.search.watching.traces import (
    PlannedStudy,
    SearchTrace,
    Sign,
    read_searches,
    read_signs,
)
from lmd_bench.store.store import open_store


@dataclass(frozen=True)
class StudyStatus:
    """How far one study is."""

    plan: PlannedStudy
    done: int
    failed: int
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


def status(results: Path, rows: Sequence[Row]) -> list[Status]:
    """Return the state of each search of a folder, the latest last; `rows` are its store's."""
    by_study: dict[str, list[Row]] = {}
    for row in rows:
        by_study.setdefault(row["study"], []).append(row)
    signs = read_signs(results)
    found: list[Status] = []
    for trace in read_searches(results):
        ids = {study.id for study in trace.studies}
        own = tuple(sign for sign in signs if sign.study in ids)
        studies = tuple(_study(plan, by_study.get(plan.id, []), own) for plan in trace.studies)
        found.append(Status(trace, studies, own))
    return found


def show_status(results: Path) -> None:
    """Print how far the searches of a folder are.

    Raises:
        UserError: there are no results, or no search left its plan.
    """
    Console(highlight=False).print(_render(results))


def watch(results: Path, seconds: float) -> None:
    """Keep the status on the screen, read anew every so many seconds, until Ctrl-C."""
    with Live(_render(results), auto_refresh=False) as live:
        try:
            while True:
                time.sleep(seconds)
                live.update(_render(results), refresh=True)
        except KeyboardInterrupt:
            return


def _study(plan: PlannedStudy, rows: Sequence[Row], signs: Sequence[Sign]) -> StudyStatus:
    searched = [row for row in rows if row["phase"] == "search"]
    values = [row["val_balanced_accuracy"] for row in searched if row["status"] == "ok"]
    known = [value for value in values if value is not None and isfinite(value)]
    return StudyStatus(
        plan=plan,
        done=len(searched),
        failed=sum(row["status"] != "ok" for row in rows),
        running=sum(sign.study == plan.id for sign in signs),
        confirmed=sum(row["phase"] in JUDGED_ON_TEST for row in rows),
        best=max(known, default=None),
        seconds=float(sum(row["seconds"] for row in rows)),
    )


def _render(results: Path) -> Group:
    found = status(results, open_store(results).rows())
    if not found:
        raise UserError(
            f"No search has left its plan in {results}; start one with lmd-bench search, or name "
            "another folder with --results."
        )
    return Group(*(part for one in found for part in _parts(one)))


def _parts(one: Status) -> list[Table | str]:
    tables = [
        _studies(task, list(members))
        for task, members in groupby(one.studies, key=lambda study: study.plan.task)
    ]
    left = one.seconds_left
    line = f"{one.done} rows stored, at most {sum(s.left for s in one.studies)} to come"
    line += f", about {clock(left)} to go" if left else ""
    return [*tables, *([_running(one.signs)] if one.signs else []), line]


def _studies(task: str, studies: Sequence[StudyStatus]) -> Table:
    heads = ("trials", "running", "failed", "val", "confirmed", "cost")
    table = name_table("method", *heads)
    table.title, table.title_justify = task, "left"
    for study in studies:
        table.add_row(
            study.plan.method,
            f"{study.done}/{study.plan.trials}" if study.plan.trials else "",
            str(study.running or ""),
            str(study.failed or ""),
            "" if study.best is None else f"{study.best:.3f}",
            f"{study.confirmed}/{study.plan.confirmations}" if study.plan.confirmations else "",
            clock(study.seconds) if study.seconds else "",
        )
    return table


def _running(signs: Sequence[Sign]) -> Table:
    heads = ("stage", "epoch", "loss", "val", "last heard")
    table = name_table("running", *heads)
    now = time.time()
    for sign in signs:
        table.add_row(
            sign.name,
            sign.stage or "starting",
            f"{sign.epoch}/{sign.n_epochs}" if sign.n_epochs else "",
            "" if sign.loss is None else f"{sign.loss:.3f}",
            "" if sign.val_balanced_accuracy is None else f"{sign.val_balanced_accuracy:.3f}",
            f"{clock(max(0.0, now - sign.at))} ago",
        )
    return table
