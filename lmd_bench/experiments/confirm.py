"""Retrain the config of a stored search row on the task's confirmation seeds, without Ray.

A search confirms what val balanced accuracy selects, and the default. Another rule, or a smaller
budget, may select another trial; `lmd-bench confirm KEY` fills that cell of the leaderboard.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lmd_bench.core.errors import UserError
from lmd_bench.core.plugins import check_versions
from lmd_bench.core.schema import DataSource, OnEpoch, Row, TrialSpec, no_report
from lmd_bench.data.build import OnImages, check_tasks
from lmd_bench.store.rows import spec_of
from lmd_bench.store.store import open_store
from lmd_bench.training.device import context_here


def confirm(
    results: Path,
    keys: Sequence[str],
    source: DataSource,
    command: str,
    on_epoch: OnEpoch = no_report,
    on_images: OnImages | None = None,
) -> Iterator[Row]:
    """Run what is missing of the confirmation of each search row; yield all its rows, old and new.

    Args:
        results: Folder of the results.
        keys: Of search rows; the first letters are enough.
        source: Where the images lie.
        command: The command line, for the rows.
        on_epoch: Is told of each epoch of a trial.
        on_images: Called as images are decoded.

    Raises:
        UserError: no such row, no seeds to share, or other data than the row was made from.
    """
    from lmd_bench.training.trial import execute_trial

    store = open_store(results)
    rows = store.rows()
    selected = [store.find(key, "search") for key in keys]
    for row in selected:
        if row["status"] != "ok":
            raise UserError(
                f"Trial {row['key']} failed ({row['cause']}), so its config is not confirmed."
            )
    for row in selected:
        spec = checked_spec(row)
        seeds = confirmation_seeds(rows, row)
        check_tasks([(spec.task, spec.task_fingerprint)], source, on_images)
        context = replace(
            context_here(results, row["dataset"], source, command),
            trial_number=row["trial_number"],
            repeat_of=row["repeat_of"] or "",
            factor_range=row["factor_range"] or "",
            is_default=row["is_default"],
            encoder_rank=row["encoder_rank"],
            n_stage1_trials=row["n_stage1_trials"],
            n_searched=row["n_searched"],
            source_key=row["key"],
        )
        for seed in seeds:
            job = replace(spec, phase="confirm", seed=seed)
            yield store.get(job.key) or execute_trial(job, context, on_epoch)


def checked_spec(row: Row) -> TrialSpec:
    """Return the trial that a row is of.

    Raises:
        UserError: this version of lmd-bench, or a plug-in's file, would run another trial than the
            row says.
    """
    spec = spec_of(row)
    if spec.key != row["key"]:
        raise UserError(
            f"Trial {row['key']} was run by lmd-bench {row['package_version']}, whose trials "
            "differ from those of this version; run the search again, or install that version."
        )
    check_versions(spec.versions)
    return spec


def confirmation_seeds(rows: Iterable[Row], row: Row) -> list[int]:
    """Return the seeds that other configurations of the row's task are confirmed with.

    They are those of its study; of a study without any, those of its search, which all methods
    share; else those of all searches of the task.

    Raises:
        UserError: there are none yet.
    """
    rows, task = list(rows), row["task_fingerprint"]
    # A search trains all of its trials with one seed, and another search of the task with another.
    search = {r["study"] for r in rows if r["phase"] == "search" and r["seed"] == row["seed"]}
    runs = [r for r in rows if r["phase"] == "confirm" and r["task_fingerprint"] == task]
    own = [r for r in runs if r["study"] == row["study"]]
    own = own or [r for r in runs if r["study"] in search] or runs
    if not own:
        raise UserError(
            f"Nothing of the task of trial {row['key']} is confirmed yet, so there are no seeds to "
            "share; let its search run to the end first."
        )
    return sorted({int(r["seed"]) for r in own})
