"""The failed trials of a results folder, grouped by what went wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lmd_bench.core.schema import Row


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
        # A pruned trial is no failure: it was ended because others were better.
        if row["status"] not in ("ok", "pruned"):
            groups.setdefault((row["status"], row["cause"]), []).append(row)
    failures = [_failure(*name, members, folder) for name, members in groups.items()]
    return sorted(failures, key=lambda failure: (-failure.n_trials, failure.status, failure.cause))


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
