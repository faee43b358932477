"""What the rows say of each cell of an ablation on one task: scores by seed, failures, cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal

from lmd_bench.core.schema import Row
from lmd_bench.experiments.ablation.record import AblationRecord, CellRecord, TaskRecord
from lmd_bench.leaderboard.studies.group import StudyRows
from lmd_bench.leaderboard.studies.predictions import Judged, read_judged
from lmd_bench.leaderboard.studies.rules import VAL_BALANCED_ACCURACY
from lmd_bench.stats.metrics import METRICS
from lmd_bench.store.store import Store

SCORES = tuple(name for name, metric in METRICS.items() if metric.in_board)
RULE = VAL_BALANCED_ACCURACY
Status = Literal["ok", "partial", "failed", "missing"]


@dataclass(frozen=True, eq=False)
class CellScores:
    """One cell on one task: the runs of its selected configuration on test."""

    cell: CellRecord
    status: Status
    cause: str  # why it is not ok
    values: Mapping[str, Mapping[int, float]]  # score -> seed -> value
    judged: Judged | None  # None where no logits were kept
    n_failed: int  # seeds
    n_trials: int
    seconds: float  # all its runs here
    standalone_seconds: float  # had each trained its own stage 1

    @property
    def seeds(self) -> tuple[int, ...]:
        """Return the seeds that ended well."""
        return tuple(self.values["balanced_accuracy"])


def read_scores(
    store: Store, record: AblationRecord, task: TaskRecord, rows: Mapping[str, Sequence[Row]]
) -> dict[str, CellScores]:
    """Return each cell by name, those without a result too.

    Args:
        store: where the logits lie.
        record: the ablation.
        task: one of its tasks.
        rows: of each study.

    Raises:
        UserError: logits are damaged.
    """
    return {
        cell.name: _cell_scores(
            store,
            cell,
            rows.get(task.studies[cell.name], ()),
            rows.get(task.stands_on.get(cell.name, ""), ()),
            record.n_seeds,
        )
        for cell in record.cells
    }


def _cell_scores(
    store: Store, cell: CellRecord, rows: Sequence[Row], base: Sequence[Row], n_seeds: int
) -> CellScores:
    study = StudyRows("", cell.name, "", cell.name, tuple(rows))
    selected = study.selected(RULE)
    runs = study.ok_runs(selected)
    failed = [row for row in study.runs(selected) if row["status"] != "ok"]
    status, cause = _status(study, selected, runs, failed, base, n_seeds)
    return CellScores(
        cell=cell,
        status=status,
        cause=cause,
        values={name: {seed: _score(row, name) for seed, row in runs.items()} for name in SCORES},
        judged=read_judged(store, study, RULE) if runs else None,
        n_failed=len(failed),
        n_trials=len(study.trials),
        seconds=sum((row["seconds"] for row in rows), 0.0),
        standalone_seconds=sum((row["standalone_seconds"] for row in rows), 0.0),
    )


def _status(
    study: StudyRows,
    selected: Row | None,
    runs: Mapping[int, Row],
    failed: Sequence[Row],
    base: Sequence[Row],
    n_seeds: int,
) -> tuple[Status, str]:
    if not study.trials:
        if base and all(row["status"] != "ok" for row in base if row["phase"] == "search"):
            return "failed", f"its stage 1 gave no encoder ({causes(base)})"
        return "missing", "not run yet"
    if selected is None:
        return "failed", causes(study.trials)
    if failed:
        n = len(failed) + len(runs)
        return ("partial" if runs else "failed"), f"{len(failed)} of {n} seeds: {causes(failed)}"
    if len(runs) < n_seeds:
        left = n_seeds - len(runs)
        return ("partial" if runs else "missing"), f"{left} of {n_seeds} seeds not run yet"
    return "ok", ""


def causes(rows: Sequence[Row]) -> str:
    """Return what became of rows that failed: `2 diverged, loss nan in epoch 1`."""
    bad = Counter((row["status"], row["cause"]) for row in rows if row["status"] != "ok")
    parts = [f"{n} {status}{f', {cause}' if cause else ''}" for (status, cause), n in bad.items()]
    return "; ".join(parts)


def _score(row: Row, name: str) -> float:
    value = row[f"test_{name}"]
    return float("nan") if value is None or isnan(value) else float(value)
