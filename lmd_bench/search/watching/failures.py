"""The failed trials of a results folder, grouped by what went wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lmd_bench.core.schema import Row
from lmd_bench.core.text import clock
from lmd_bench.search.jobs import RETRIED
from lmd_bench.store.store import open_store


@dataclass(frozen=True)
class Failure:
    """All trials that ended in one way."""

    status: str
    cause: str
    methods: tuple[str, ...]
    n_trials: int
    seconds: float  # that they cost
    traceback: Path | None  # of the latest of them that left one


def failures(rows: Sequence[Row], folder: Path) -> list[Failure]:
    """Return the failures by status and cause, the most frequent first.

    Args:
        rows: of the store.
        folder: where it keeps tracebacks.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["finished_at"]):
        if row["status"] != "ok":
            groups.setdefault((row["status"], row["cause"]), []).append(row)
    found = [_failure(*name, members, folder) for name, members in groups.items()]
    return sorted(found, key=lambda failure: (-failure.n_trials, failure.status, failure.cause))


def show_failures(results: Path) -> None:
    """Print the failures of a results folder.

    Raises:
        UserError: there are no results there.
    """
    store = open_store(results)
    rows = store.rows()
    found = failures(rows, results / "tracebacks")
    console = Console(highlight=False)
    if not found:
        console.print(f"None of {len(rows)} trials failed.")
        return
    table = Table("trials", "status", "cause", "methods", "cost", "traceback", box=SIMPLE_HEAD)
    for failure in found:
        table.add_row(
            str(failure.n_trials),
            failure.status,
            failure.cause,
            ", ".join(failure.methods),
            clock(failure.seconds),
            str(failure.traceback.relative_to(results)) if failure.traceback else "",
        )
    console.print(table)
    console.print(f"{sum(f.n_trials for f in found)} of {len(rows)} trials failed.")
    if any(failure.status in RETRIED for failure in found):
        console.print(
            f"The same search with --retry-failed runs {', '.join(sorted(RETRIED))} again."
        )


def _failure(status: str, cause: str, rows: Sequence[Row], folder: Path) -> Failure:
    files = [folder / f"{row['key']}.txt" for row in reversed(rows)]
    return Failure(
        status=status,
        cause=cause,
        methods=tuple(sorted({row["method"] for row in rows})),
        n_trials=len(rows),
        seconds=float(sum(row["seconds"] for row in rows)),
        traceback=next((path for path in files if path.is_file()), None),
    )
