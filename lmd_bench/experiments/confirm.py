"""Retrain the config of a stored search row on the task's confirmation seeds, without Ray.

A search confirms what val balanced accuracy selects, and the default. Another rule, or a smaller
budget, may select another trial; `lmd-bench confirm KEY` fills that cell of the leaderboard.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lmd_bench.core import paths
from lmd_bench.core.errors import UserError
from lmd_bench.core.machine import n_cores
from lmd_bench.core.schema import DataSource, OnEpoch, Row, TrialContext, TrialSpec, no_report
from lmd_bench.data.build import build_tasks
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import open_store
from lmd_bench.training.device import n_gpus


def confirm(
    results: Path,
    keys: Sequence[str],
    source: DataSource,
    command: str,
    on_epoch: OnEpoch = no_report,
) -> Iterator[Row]:
    """Run what is missing of the confirmation of each search row; yield all its rows, old and new.

    Args:
        results: Folder of the results.
        keys: Of search rows; the first letters are enough.
        source: Where the images lie.
        command: The command line, for the rows.
        on_epoch: Is told of each epoch of a trial.

    Raises:
        UserError: no such row, no seeds to share, or other data than the row was made from.
    """
    from lmd_bench.training.trial import execute_trial

    store = open_store(results)
    rows = store.rows()
    for row in [search_row(rows, key) for key in keys]:
        spec = checked_spec(row)
        seeds = confirmation_seeds(rows, row)
        _check_data(spec, source)
        context = _context(row, results, source, command)
        for seed in seeds:
            job = replace(spec, phase="confirm", seed=seed)
            yield store.get(job.key) or execute_trial(job, context, on_epoch)


def search_row(rows: Iterable[Row], key: str) -> Row:
    """Return the search row whose key begins so.

    Raises:
        UserError: none or several begin so, or the trial failed.
    """
    found = [row for row in rows if row["phase"] == "search" and row["key"].startswith(key)]
    if not found:
        raise UserError(f"No search trial has a key that begins with '{key}'; see column `key`.")
    if len(found) > 1:
        keys = ", ".join(row["key"] for row in found[:5])
        raise UserError(f"{len(found)} keys begin with '{key}': {keys}; give more letters.")
    if found[0]["status"] != "ok":
        raise UserError(
            f"Trial {found[0]['key']} failed ({found[0]['cause']}), so its config is not confirmed."
        )
    return found[0]


def checked_spec(row: Row) -> TrialSpec:
    """Return the trial that a row is of.

    Raises:
        UserError: this version of lmd-bench would run another trial than the row says.
    """
    spec = spec_of(row)
    if spec.key != row["key"]:
        raise UserError(
            f"Trial {row['key']} was run by lmd-bench {row['package_version']}, whose trials "
            "differ from those of this version; run the search again, or install that version."
        )
    return spec


def confirmation_seeds(rows: Iterable[Row], row: Row) -> list[int]:
    """Return the seeds that other configurations of the row's task are confirmed with.

    Raises:
        UserError: there are none yet.
    """
    task = row["task_fingerprint"]
    runs = [r for r in rows if r["phase"] == "confirm" and r["task_fingerprint"] == task]
    own = [r for r in runs if r["study"] == row["study"]] or runs
    if not own:
        raise UserError(
            f"Nothing of the task of trial {row['key']} is confirmed yet, so there are no seeds to "
            "share; let its search run to the end first."
        )
    return sorted({int(r["seed"]) for r in own})


def _check_data(spec: TrialSpec, source: DataSource) -> None:
    ((_, fingerprint),) = build_tasks([spec.task], source)
    if fingerprint != spec.task_fingerprint:
        raise UserError(
            f"The data of {spec.task.dataset} here give task {fingerprint}, but the trial is of "
            f"{spec.task_fingerprint}; give the files that its search read, with --data-root."
        )


def _context(row: Row, results: Path, source: DataSource, command: str) -> TrialContext:
    return TrialContext(
        results=results,
        source=paths.located(row["dataset"], source),
        n_threads=n_cores(),
        gpu_share=float(min(1, n_gpus())),
        trial_number=row["trial_number"],
        is_default=row["is_default"],
        encoder_rank=row["encoder_rank"],
        source_key=row["key"],
        command=command,
    )
